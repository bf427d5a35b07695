"""Whether a recipe's steps, window and noise levels fit the sampler of its model, seen before weights are loaded."""

import inspect
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from micebench.cards import EditorCard, check_fields
from micebench.editors.diffusers import PipelineOptions
from micebench.errors import CardError, MicebenchError, needs_extra
from micebench.training.rl.recipe import RlRecipe

_SHIFTS = (0.0, 5.0)
"""Largest range of the time shift that a pipeline derives from an image's size."""


def check_sampling(recipe: RlRecipe, card: EditorCard) -> None:
    """What would otherwise show in the first rollout or optimizer step.

    Raises:
        CardError: a window that reaches the last step; `nft.sigma_range` without a noise level, as far as the
            model's scheduler can be read from its folder.
        MicebenchError: a LoRA is to be trained, and peft is not installed.
    """
    if recipe.lora is not None and find_spec("peft") is None:
        raise needs_extra("adapters", ImportError("peft"))
    options = check_fields(card.options, PipelineOptions, where=f"model {card.id!r}, options")
    plan = recipe.rollout.sampling
    steps = plan.steps or options.steps or _default_steps(options.pipeline)
    if steps is None:
        return
    try:
        plan.starts(steps)
    except MicebenchError as error:
        raise CardError(f"recipe {recipe.id!r}, rollout.sampling: {error}") from error
    if recipe.nft is not None:
        _check_levels(recipe, card, options, steps)


def _check_levels(recipe: RlRecipe, card: EditorCard, options: PipelineOptions, steps: int) -> None:
    assert recipe.nft is not None
    config = _scheduler_config(card)
    if config is None or options.scheduler is not None:
        return
    low, high = recipe.nft.sigma_range
    given = options.call.get("sigmas")
    found = [_levels(config, steps, given, shift) for shift in _SHIFTS]
    if any(levels is None for levels in found):
        return
    smallest, largest = found  # a larger shift makes every level larger
    assert smallest is not None
    assert largest is not None
    if any(least < high and most >= low for least, most in zip(smallest, largest, strict=True)):
        return
    known = ", ".join(f"{level:.3g}" for level in smallest)
    raise CardError(
        f"recipe {recipe.id!r}, nft.sigma_range [{low:g}, {high:g}) holds none of the sampler's noise levels {known}"
        + ("" if smallest == largest else " (and larger ones, for larger images)")
    )


def _levels(config: dict[str, Any], steps: int, given: Any, shift: float) -> list[float] | None:
    """The noise levels of the steps, in [0, 1]; None where this scheduler's cannot be computed alone."""
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    try:
        scheduler: Any = FlowMatchEulerDiscreteScheduler.from_config(config)
        sigmas = np.linspace(1.0, 1 / steps, steps) if given is None else np.asarray(given, float)
        scheduler.set_timesteps(sigmas=sigmas, mu=shift)
    except (ValueError, TypeError):
        return None
    return [float(level) for level in scheduler.sigmas[:-1]]


def _scheduler_config(card: EditorCard) -> dict[str, Any] | None:
    """The config of a `FlowMatchEulerDiscreteScheduler` in the model's folder; None if there is none to be read."""
    if card.weights is None:
        return None
    path: Path = card.weights_folder() / "scheduler" / "scheduler_config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # loading the pipeline has the better words for it
        return None
    flow = isinstance(config, dict) and config.get("_class_name") == "FlowMatchEulerDiscreteScheduler"
    return config if flow and not config.get("use_flow_sigmas") else None


def _default_steps(pipeline: str) -> int | None:
    import diffusers

    kind = getattr(diffusers, pipeline, None)
    if kind is None:
        return None
    parameter = inspect.signature(kind.__call__).parameters.get("num_inference_steps")
    return parameter.default if parameter is not None and isinstance(parameter.default, int) else None
