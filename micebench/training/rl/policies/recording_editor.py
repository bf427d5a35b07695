"""The editor of evaluation, that also keeps what its denoiser was asked."""

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from micebench.cards import EditorCard
from micebench.editors.base import Edited, EditRequest
from micebench.editors.diffusers import DiffusersEditor
from micebench.training.rl.samplers import SamplingPlan
from micebench.training.rl.scheduler import RolloutScheduler, rollout_scheduler
from micebench.training.rl.policies.trajectories import Recording, Trace
from micebench.store.keys import derive_seed

if TYPE_CHECKING:
    from micebench.editors.base import EditResult
    from micebench.editors.diffusers.sizes import Size

    Result = EditResult | Edited


class RecordingEditor(DiffusersEditor):
    """`DiffusersEditor` in all that makes an image, with the sampler exchanged and the denoiser listened to.

    However a batch is split, halved for want of memory or repeated after a failure, a trace belongs to its request.
    """

    def __init__(self, card: EditorCard) -> None:
        super().__init__(card)
        self._scheduler: RolloutScheduler | None = None
        self._starts: dict[int, int] = {}  # id of a request -> first stochastic step
        self._traces: dict[int, Trace] = {}  # id of a request -> its trace

    def steps(self, plan: SamplingPlan) -> int:
        """Denoising steps of an edit: the plan's, else the card's, else the pipeline's default."""
        if said := plan.steps or self.options.steps:
            return said
        return inspect.signature(type(self.pipeline).__call__).parameters["num_inference_steps"].default

    def sample(
        self, requests: Sequence[EditRequest], plan: SamplingPlan, starts: Sequence[int]
    ) -> "list[tuple[Result, Trace | None]]":
        """Edit as `edit` does, under a sampling plan; the trace is None where there is no image.

        Args:
            starts: per request the first stochastic step; see `draw_windows`.
        """
        own = [replace(request) for request in requests]  # a request given twice is two edits
        self._starts = {id(request): start for request, start in zip(own, starts, strict=True)}
        self._traces = {}
        options = self.options
        self.options = options.model_copy(update={"steps": self.steps(plan)})
        try:
            with rollout_scheduler(self.pipeline, plan) as self._scheduler:
                results = self.edit(own)
        finally:
            self.options, self._scheduler = options, None
        return [(result, self._traces.get(id(request))) for request, result in zip(own, results, strict=True)]

    def _call(self, requests: Sequence[EditRequest], size: "Size") -> "list[Result]":
        if self._scheduler is None:  # an edit that nobody learns from
            return super()._call(requests, size)
        self._scheduler.begin([self._starts[id(r)] for r in requests], [_noise(r.seed) for r in requests])
        recording = Recording()
        hook = self.pipeline.transformer.register_forward_pre_hook(recording, with_kwargs=True)
        try:
            results = super()._call(requests, size)
        finally:
            hook.remove()
        traces = recording.traces(self._scheduler.trajectory())
        learnable: list[Result] = []
        for request, result, trace in zip(requests, results, traces, strict=True):
            if isinstance(result, Edited) and result.image is None:
                learnable.append(result)
            elif not _finite(trace):  # whatever its image: one such number spoils every weight
                learnable.append(Edited(None, failed="the edit's trajectory has NaN or infinite values"))
            else:
                self._traces[id(request)] = trace
                learnable.append(result)
        return learnable


def _finite(trace: Trace) -> bool:
    kept = (trace.clean, trace.latents, trace.log_probs, trace.context)
    return all(bool(part.isfinite().all()) for part in kept if part is not None)


def _noise(seed: int) -> torch.Generator:
    """The source of an edit's sampler noise. Not the edit's own seed: that already made its first latents."""
    return torch.Generator("cpu").manual_seed(derive_seed("rl sampler", "", 0, 0, seed))
