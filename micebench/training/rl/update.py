"""One pass over an iteration's lessons: forward passes, gradients over all processes, optimizer steps."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor

from micebench.errors import RunError
from micebench.training.rl.minibatches import Batch, Lesson, edit_seed, updates
from micebench.training.rl.policies.diffusion import Policy, Trace, shape_of
from micebench.training.rl.recipe import LearnRecipe
from micebench.training.rl.rollout import Rollouts
from micebench.training.rl.policies.weights import Copy, Which


class Method(Protocol):
    """How lessons become losses: see `nft` and `grpo`.

    Attributes:
        sampled_by: the weights that roll out.
        copies: earlier selves of the policy that it needs.
        draws: lessons per edit.
        positives_only: whether only edits better than their group are learnt from.

    `after_iteration` is told how many optimizer steps the training has made so far.
    """

    sampled_by: Which
    copies: Sequence[Copy]
    draws: int
    positives_only: bool

    def losses(self, policy: Policy, module: Any, batch: Batch) -> tuple[Tensor, dict[str, float]]: ...
    def after_iteration(self, policy: Policy, steps: int) -> None: ...


class Learner:
    """Optimizer, its schedule, and the average of the weights.

    Attributes:
        module: the policy's denoiser, as accelerate has wrapped it.
    """

    def __init__(
        self, accelerator: Accelerator, policy: Policy, method: Method, part: LearnRecipe, seed: int
    ) -> None:
        self._accelerator, self._policy, self._method = accelerator, policy, method
        self._part, self._seed = part, seed
        optimizer = torch.optim.AdamW(policy.parameters(), lr=part.lr, weight_decay=part.weight_decay)
        self.module, self.optimizer = accelerator.prepare(policy.denoiser, optimizer)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / part.warmup))
        self.ema = EMAModel(policy.parameters(), decay=part.ema)
        self.ema.to(accelerator.device)

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training so far; resumed with the schedule."""
        return self.schedule.last_epoch

    def learn(
        self, lessons: Sequence[Lesson], rollouts: Rollouts[Trace], first: int, values: Tensor, iteration: int
    ) -> dict[str, float]:
        """Learn from lessons of all processes; means of the methods' numbers, over this process's forward passes.

        Args:
            lessons: the same in every process.
            rollouts: of this process: sessions `first`, `first` + 1, ... of all.
            values: (S, G, T) advantages of all processes' sessions.
        """
        accelerator = self._accelerator
        said: list[dict[str, float]] = []
        for chunk in updates(lessons, self._part.batch):
            batches = self._batches(chunk, rollouts, first, values, iteration)
            for number, batch in enumerate(batches, 1):
                with accelerator.no_sync(self.module) if number < len(batches) else nullcontext():
                    with accelerator.autocast():
                        losses, numbers = self._method.losses(self._policy, self.module, batch)
                    # gradients are averaged over processes, and each has but its share of the chunk
                    share = accelerator.num_processes / len(chunk) if batch.counts else 0.0
                    accelerator.backward(losses.sum() * share)
                if batch.counts:
                    said.append({"loss": losses.detach().mean().item(), **numbers})
            norm = accelerator.clip_grad_norm_(self._policy.parameters(), self._part.clip_norm)
            if accelerator.scaler is None:  # with one (fp16) such a step is skipped
                _check_finite(norm, iteration + 1)
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.schedule.step()
            self.ema.step(self._policy.parameters())
            said.append({"gradient_norm": float(norm) if norm is not None else 0.0})
        return {**_means(said), "lr": float(self.schedule.get_last_lr()[0])}

    def _batches(
        self, chunk: Sequence[Lesson], rollouts: Rollouts[Trace], first: int, values: Tensor, iteration: int
    ) -> list[Batch]:
        """Forward passes of one optimizer step: one shape each, and as many in every process."""
        own = {lesson: trace for lesson in chunk if (trace := _trace(rollouts, lesson, first)) is not None}
        alike: dict[Any, list[Lesson]] = {}
        for lesson, trace in own.items():
            alike.setdefault(shape_of(trace), []).append(lesson)
        micro = self._part.micro
        parts = [same[at : at + micro] for same in alike.values() for at in range(0, len(same), micro)]

        def batch(part: Sequence[Lesson]) -> Batch:
            sessions = [rollouts.sessions[lesson.place[0] - first].id for lesson in part]
            return Batch(
                [own[lesson] for lesson in part],
                torch.stack([values[lesson.place] for lesson in part]).float(),
                [lesson.draw for lesson in part],
                [
                    edit_seed(self._seed, iteration, session, lesson.place)
                    for session, lesson in zip(sessions, part, strict=True)
                ],
            )

        batches = [batch(part) for part in parts]
        return batches + [_idle(rollouts)] * (self._most(len(batches)) - len(batches))

    def _most(self, passes: int) -> int:
        """The largest number of forward passes that any process has to make."""
        if self._accelerator.num_processes == 1:
            return passes
        counts = self._accelerator.gather(torch.tensor([passes], device=self._accelerator.device))
        return int(counts.max())  # type: ignore[union-attr]


def _trace(rollouts: Rollouts[Trace], lesson: Lesson, first: int) -> Trace | None:
    """What was sampled at a lesson's place; None if another process has it."""
    session, rollout, turn = lesson.place
    if not 0 <= session - first < len(rollouts.sessions):
        return None
    return rollouts.traces[session - first][rollout][turn]


def _idle(rollouts: Rollouts[Trace]) -> Batch:
    """A forward pass that counts for nothing."""
    for row in rollouts.traces:
        for traces in row:
            for trace in traces:
                if trace is not None:
                    return Batch([trace], torch.zeros(1), [0], [0], counts=False)
    raise RunError("not one edit of this process's rollouts came about; see the reasons above")


def _means(said: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = sorted({name for numbers in said for name in numbers})
    return {name: float(np.mean([numbers[name] for numbers in said if name in numbers])) for name in names}


def _check_finite(norm: Tensor | None, iteration: int) -> None:
    """Raises RunError before a step that would leave NaN in every weight. The norm is the same in all processes."""
    if norm is not None and not bool(torch.isfinite(norm)):
        raise RunError(
            f"iteration {iteration}: the gradient has NaN or infinite values, and nothing was learnt from it; "
            "lower learn.lr, or set precision: no, and start again in another folder"
        )
