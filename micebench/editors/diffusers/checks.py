"""Do a card's options go with its pipeline class? Asked before anything is loaded."""

import inspect
from collections.abc import Mapping

from micebench.cards import EditorCard
from micebench.editors.diffusers.options import Area, PipelineOptions
from micebench.editors.diffusers.pipeline_specs import HABITS, Habit
from micebench.errors import CardError, nearest

OURS = frozenset(
    {
        *("self", "kwargs", "return_dict", "output_type", "num_images_per_prompt", "generator", "latents"),
        *("image", "input_images", "prompt", "negative_prompt", "num_inference_steps"),
        *("width", "height", "max_area", "_auto_resize", "max_input_image_size", "use_input_image_size_as_output"),
        *("callback", "callback_steps", "callback_on_step_end", "callback_on_step_end_tensor_inputs"),
    }
)
"""Arguments of a call that a card has options for, or no say in."""


def check_options(card: EditorCard, options: PipelineOptions) -> Habit:
    """The habit of the card's pipeline class. Raises CardError where an option does not go with it."""
    name = options.pipeline
    where = f"model {card.id!r}, options"
    if name not in HABITS:
        raise CardError(f"{where}.pipeline: no {name!r} among the editing pipelines; {nearest(name, HABITS)}")
    habit = HABITS[name]
    if options.max_batch is not None and options.max_batch > 1 and not habit.batches:
        raise CardError(f"{where}.max_batch: {name} edits one image per call; leave it out")
    if options.references != "last" and not habit.references:
        raise CardError(f"{where}.references: {name} takes a single image; leave it out")
    if options.references != "last" and card.context != "history":
        raise CardError(f"{where}.references: the source is shown under context history only; set context: history")
    if "text_cache_mib" in options.model_fields_set and not habit.embeddings:
        raise CardError(f"{where}.text_cache_mib: {name} keeps no text embeddings; leave it out")
    if options.resolution == "preferred" and not habit.preferred:
        raise CardError(f"{where}.resolution: {name} has no preferred sizes; give native, area or at_most")
    if not habit.sized and options.resolution != Area(area=habit.own_area or 0):
        raise CardError(f"{where}.resolution: {name} always works at {{area: {habit.own_area}}}; say so")
    return habit


def check_call(card: EditorCard, options: PipelineOptions, parameters: Mapping[str, inspect.Parameter]) -> None:
    """Raises CardError where the arguments a card adds to the call are unknown, ours to set, or without effect."""
    where = f"model {card.id!r}, options.call"
    known = sorted(set(parameters) - OURS)
    for name in options.call:
        if name in OURS:
            raise CardError(
                f"{where}: {name!r} is set by micebench; see docs/editors.md for the option that governs it"
            )
        if name not in known:
            raise CardError(f"{where}: {options.pipeline} takes no {name!r}; {nearest(name, known, limit=30)}")
    if options.negative_prompt is not None and "negative_prompt" not in parameters:
        raise CardError(f"model {card.id!r}, options.negative_prompt: {options.pipeline} takes none; leave it out")
    guided = parameters.get("true_cfg_scale")
    if guided is not None and options.negative_prompt is None:
        scale = options.call.get("true_cfg_scale", guided.default)
        if scale > 1:
            raise CardError(
                f"{where}: true_cfg_scale {scale} does nothing without a negative prompt; "
                'set negative_prompt: " ", or true_cfg_scale: 1.0'
            )
