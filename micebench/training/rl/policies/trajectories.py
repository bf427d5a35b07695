"""What is kept of one edit, and how the denoiser's call is made from it again.

Learning must see what sampling saw, to the bit: context image, prompt, position ids, guidance, even the rounding of
the time argument. So nothing is rebuilt: the arguments of the denoiser are kept as the pipeline gave them, and only
the noisy latents and the time are put in anew.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from micebench.training.rl.scheduler import Trajectory

_PER_ITEM = frozenset(
    {"encoder_hidden_states", "encoder_hidden_states_mask", "pooled_projections", "guidance", "img_shapes"}
)
"""Arguments of diffusers' transformers with one entry per item; the others are one for the whole batch."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Trace:
    """One edit, as learning needs it. N latent tokens of C channels, M tokens of context; all in main memory.

    Attributes:
        clean: (N, C) float32, the final latents.
        sigmas: (n + 1,) float32, noise levels of the sampler, the last one 0.
        timesteps: (n,) float32, the denoiser's time argument at each of the n steps, as rounded by the pipeline.
        start: first stochastic step.
        latents: (w + 1, N, C) float32, before each step of the window and after the last; None without one.
        log_probs: (w,) float32, of these steps under the policy that sampled them; None without a window.
        context: (M, C) latents of the images shown, in the dtype in which the denoiser got them.
        inputs: its other arguments of which every item has its own: prompt, pooled prompt, guidance ...
        shared: its arguments that are one for all items of a batch: position ids, flags ...
    """

    clean: torch.Tensor
    sigmas: torch.Tensor
    timesteps: torch.Tensor
    start: int
    latents: torch.Tensor | None
    log_probs: torch.Tensor | None
    context: torch.Tensor
    inputs: dict[str, Any]
    shared: dict[str, Any]


def shape_of(trace: Trace) -> Hashable:
    """Traces with equal keys can be collated: same shapes and dtypes, and the same shared arguments by content."""
    return (
        *(_signature(part) for part in (trace.clean, trace.context, trace.sigmas, trace.latents)),
        *((name, _signature(trace.inputs[name])) for name in sorted(trace.inputs)),
        *((name, _content(trace.shared[name])) for name in sorted(trace.shared)),
    )


def collate(
    traces: Sequence[Trace], latents: torch.Tensor, sigma: torch.Tensor, device: torch.device
) -> dict[str, Any]:
    """Arguments of one call of the denoiser for B traces of one shape.

    Args:
        latents: (B, N, C) noisy latents, in place of those sampled.
        sigma: (B,) their noise levels in [0, 1].
    """
    context = _stacked([trace.context for trace in traces], device)
    inputs = {name: _stacked([trace.inputs[name] for trace in traces], device) for name in traces[0].inputs}
    shared = {name: _moved(value, device) for name, value in traces[0].shared.items()}
    return {
        **inputs,
        **shared,
        "hidden_states": torch.cat([latents.to(device, context.dtype), context], dim=1),
        "timestep": _times(traces, sigma.to(device, torch.float32), device),
    }


class Recording:
    """A forward pre-hook (with keywords) of the denoiser: what it is called with during one call of its pipeline."""

    def __init__(self) -> None:
        self._first: dict[str, Any] = {}
        self._timesteps: list[torch.Tensor] = []

    def __call__(self, module: torch.nn.Module, positional: tuple[Any, ...], arguments: dict[str, Any]) -> None:
        if positional:
            raise RuntimeError(f"{type(module).__name__} was called with unnamed arguments, which are not recorded")
        if not self._first:
            self._first = dict(arguments)
        self._timesteps.append(arguments["timestep"].flatten()[0].float())

    def traces(self, trajectory: Trajectory) -> list[Trace]:
        """One for every item of the batch, in its order.

        Raises:
            RuntimeError: the pipeline called its denoiser more than once a step.
        """
        steps = len(trajectory.sigmas) - 1
        if len(self._timesteps) != steps:
            raise RuntimeError(
                f"{len(self._timesteps)} calls of the denoiser in {steps} steps: guidance by a second prediction "
                "cannot be learnt through; switch it off in the card's options.call"
            )
        items, tokens = trajectory.clean.shape[:2]
        given = {name: value for name, value in self._first.items() if name not in ("hidden_states", "timestep")}
        own = {name for name, value in given.items() if name in _PER_ITEM and value is not None}
        sigmas, timesteps = trajectory.sigmas.cpu(), torch.stack(self._timesteps).cpu()
        clean, context = trajectory.clean.cpu(), self._first["hidden_states"][:, tokens:].clone().cpu()
        latents = _per_item(trajectory.latents, items)
        log_probs = _per_item(trajectory.log_probs, items)
        starts: list[int] = trajectory.starts.tolist()
        inputs = {name: _moved(given[name], torch.device("cpu")) for name in own}
        shared = {name: _moved(value, torch.device("cpu")) for name, value in given.items() if name not in own}
        for name, value in inputs.items():
            if len(value) != items:
                raise RuntimeError(f"the denoiser got {len(value)} of {name} for {items} items")
        return [
            Trace(
                clean=clean[item],
                sigmas=sigmas,
                timesteps=timesteps,
                start=starts[item],
                latents=latents[item],
                log_probs=log_probs[item],
                context=context[item],
                inputs={name: value[item] for name, value in inputs.items()},
                shared=shared,
            )
            for item in range(items)
        ]


def _times(traces: Sequence[Trace], sigma: torch.Tensor, device: torch.device) -> torch.Tensor:
    """(B,) time arguments: at a noise level of the sampler the recorded one, elsewhere linear from the nearest."""
    sigmas = torch.stack([trace.sigmas[:-1] for trace in traces]).to(device)
    timesteps = torch.stack([trace.timesteps for trace in traces]).to(device)
    nearest = (sigmas - sigma[:, None]).abs().argmin(1, keepdim=True)
    scale = timesteps[:, :1] / sigmas[:, :1]
    at = timesteps.gather(1, nearest) + scale * (sigma[:, None] - sigmas.gather(1, nearest))
    return at[:, 0]


def _per_item(value: torch.Tensor | None, items: int) -> Sequence[torch.Tensor | None]:
    return [None] * items if value is None else value.cpu().unbind()


def _stacked(values: Sequence[Any], device: torch.device) -> Any:
    return torch.stack(list(values)).to(device) if isinstance(values[0], torch.Tensor) else list(values)


def _moved(value: Any, device: torch.device) -> Any:
    return value.detach().to(device) if isinstance(value, torch.Tensor) else value


def _signature(value: Any) -> Hashable:
    return (tuple(value.shape), value.dtype) if isinstance(value, torch.Tensor) else repr(value)


def _content(value: Any) -> Hashable:
    if not isinstance(value, torch.Tensor):
        return repr(value)
    return (*_signature(value), value.double().numpy().tobytes())  # type: ignore[misc]
