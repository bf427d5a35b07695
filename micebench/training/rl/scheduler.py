"""The pipeline's own Euler scheduler, with a window of stochastic steps and a memory of them."""
# pyright: reportPrivateImportUsage=false, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportIncompatibleMethodOverride=false, reportOptionalMemberAccess=false
# (diffusers exports its classes lazily and annotates them too narrowly)

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self, cast

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteSchedulerOutput
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from micebench.errors import MicebenchError
from micebench.training.rl.samplers import SamplingPlan, log_prob, transition


@dataclass(frozen=True, slots=True)
class Trajectory:
    """What learning needs of one pipeline call of B items, n steps and a window of w.

    Attributes:
        sigmas: (n + 1,) noise levels, the last 0.
        starts: (B,) long, first stochastic step per item.
        latents: (B, w + 1, ...) float32, before, between and after the stochastic steps; None without a window.
            The network was shown them in its own precision.
        log_probs: (B, w) float32, of each stochastic step, see `samplers.log_prob`; None without a window.
        clean: (B, ...) float32, what was decoded.
    """

    sigmas: Tensor
    starts: Tensor
    latents: Tensor | None
    log_probs: Tensor | None
    clean: Tensor


class RolloutScheduler(FlowMatchEulerDiscreteScheduler):
    """Samples as the scheduler it is made `of` does, except that a plan's window of each item is stochastic.

    Before every call of the pipeline `begin` says where each item's window starts and what it draws noise from;
    after it, `trajectory` has what happened. Outside its window an item's step is the parent's, bit for bit. Inside,
    the step is `samplers.transition` in float32; between two stochastic steps the state stays float32 here even if
    the pipeline's latents do not, so that recorded latents and probabilities belong together.
    """

    plan: SamplingPlan
    _record: "_Record | None" = None

    @classmethod
    def of(cls, own: Any, plan: SamplingPlan) -> Self:
        """The same grid as `own`, a pipeline's `FlowMatchEulerDiscreteScheduler`.

        Raises:
            MicebenchError: `own` is something else, or already draws noise of its own.
        """
        if not isinstance(own, FlowMatchEulerDiscreteScheduler):
            raise MicebenchError(
                f"the pipeline samples with {type(own).__name__}; rollouts need a FlowMatchEulerDiscreteScheduler"
            )
        for option in ("stochastic_sampling", "invert_sigmas"):
            if own.config.get(option):
                raise MicebenchError(f"the pipeline's scheduler has {option}: true, which rollouts do not support")
        made = cast(Self, cls.from_config(own.config))
        made.set_shift(own.shift)
        made.plan = plan
        return made

    def begin(self, starts: Sequence[int], generators: Sequence[torch.Generator]) -> None:
        """Expect one call of the pipeline, of these items; what is recorded so far is forgotten.

        Args:
            starts: first stochastic step per item, see `samplers.draw_windows`.
            generators: one per item; may be those that the pipeline draws its first noise from.
        """
        self._record = _Record(torch.tensor(starts, dtype=torch.long), list(generators))
        self._step_index = None

    def trajectory(self) -> Trajectory:
        """What the call since `begin` did; given once."""
        record, self._record = self._record, None
        if record is None or record.clean is None:
            raise RuntimeError("no finished call of the pipeline to tell about")
        drawn = (record.latents, record.log_probs) if self.plan.window else (None, None)
        return Trajectory(self.sigmas.float(), record.starts, *drawn, record.clean)

    def step(
        self, model_output: Tensor, timestep: Tensor, sample: Tensor, *, return_dict: bool = True, **further: Any
    ) -> Any:
        """As the parent's; `model_output` is the velocity, `sample` the latents, (B, ...)."""
        if self.step_index is None:
            self._init_step_index(timestep)
        index = cast(int, self.step_index)
        result = super().step(model_output, timestep, sample, return_dict=False, **further)[0]
        self._note(index, model_output, sample, result)
        return FlowMatchEulerDiscreteSchedulerOutput(result) if return_dict else (result,)

    def _note(self, index: int, velocity: Tensor, sample: Tensor, result: Tensor) -> None:
        """Record a step, and write the stochastic items' into `result`."""
        record, steps = self._record, len(self.sigmas) - 1
        if record is None or len(record.starts) != len(sample):
            raise RuntimeError(f"a call with {len(sample)} items was not announced to the scheduler by begin()")
        if index == 0 and self.plan.window:
            self._check(record.starts, steps)
            record.make_room(sample, self.plan.window)
        offsets = index - record.starts
        rows = ((offsets >= 0) & (offsets < self.plan.window)).nonzero()[:, 0]
        if len(rows):
            self._draw(record, rows, index, velocity, sample, result)
        if index == steps - 1:
            record.clean = result.float()

    def _draw(
        self, record: "_Record", rows: Tensor, index: int, velocity: Tensor, sample: Tensor, result: Tensor
    ) -> None:
        offsets, sigmas = index - record.starts[rows], cast(Tensor, self.sigmas)
        entering = rows[offsets == 0]
        record.latents[entering, 0] = sample[entering].float()
        x = record.latents[rows, offsets]
        mean, std = transition(
            self.plan.kind, x, velocity[rows], sigmas[index], sigmas[index + 1], self.plan.noise_level, sigmas[1]
        )
        generators = [record.generators[row] for row in rows.tolist()]
        drawn = mean + std * randn_tensor(mean.shape, generator=generators, device=mean.device, dtype=mean.dtype)
        record.latents[rows, offsets + 1] = drawn
        record.log_probs[rows, offsets] = log_prob(drawn, mean, std)
        result[rows] = drawn.to(result.dtype)

    def _check(self, starts: Tensor, steps: int) -> None:
        allowed = self.plan.starts(steps)
        for start in set(starts.tolist()) - set(allowed):
            raise ValueError(f"a window cannot start at step {start}; the plan allows {allowed[0]} to {allowed[-1]}")


@dataclass(slots=True)
class _Record:
    """One call; fields as in `Trajectory`."""

    starts: Tensor
    generators: list[torch.Generator]
    latents: Tensor = field(init=False)
    log_probs: Tensor = field(init=False)
    clean: Tensor | None = None

    def make_room(self, sample: Tensor, window: int) -> None:
        self.latents = sample.new_zeros((len(sample), window + 1, *sample.shape[1:]), dtype=torch.float32)
        self.log_probs = sample.new_zeros((len(sample), window), dtype=torch.float32)


@contextmanager
def rollout_scheduler(pipeline: Any, plan: SamplingPlan) -> Iterator[RolloutScheduler]:
    """The pipeline with a `RolloutScheduler` in place of its own, which it gets back."""
    own = pipeline.scheduler
    pipeline.scheduler = made = RolloutScheduler.of(own, plan)
    try:
        yield made
    finally:
        pipeline.scheduler = own
