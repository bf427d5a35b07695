"""RL post-training of an editor: roll out sessions, judge them, learn, repeat.

    sessions -> rollouts (policy) -> rewards (judge, beside the sampling) -> advantages -> lessons -> optimizer steps

What differs between the methods stands in `nft` and `grpo`. All that is drawn follows from the recipe's seed and the
place it is drawn for, never from a process or a batch: a resumed run is the uninterrupted one, and several processes
find what one would.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from torch import Tensor

from micebench.cards import EditorCard
from micebench.registry.model_files import NO_FILES, ModelFiles
from micebench.errors import MicebenchError, NothingGained, RunError
from micebench.training.rl.advantages import Advantages, advantages
from micebench.training.rl.methods.grpo import Grpo
from micebench.training.rl.update import Learner, Method
from micebench.training.rl.minibatches import choose
from micebench.training.rl.methods.nft import Nft
from micebench.training.rl.policies.diffusion import Policy, Trace
from micebench.training.rl.distributed import join_processes, raise_together
from micebench.training.rl.recipe import RlRecipe
from micebench.training.rl.report import write_report
from micebench.training.rl.rewards import Rewards, RewardTable
from micebench.training.rl.rollout import Rollouts, RolloutSpec, roll_out
from micebench.training.rl.sampling_checks import check_sampling
from micebench.training.rl.best_checkpoint import Selection
from micebench.training.rl.preflight import (
    check_splits,
    check_validation,
    check_validation_sessions,
    claim_model,
    rewarding_judge,
    starting_model,
    training_sessions,
)
from micebench.training.rl.validation import Validation
from micebench.sessions import Session
from micebench.tasks.dataset import iter_sessions
from micebench.tasks.load import load_task_card
from micebench.utils.text_files import check_writable
from micebench.training.common.work_dir import Log, Progress, claim, load_checkpoint, logger, save_checkpoint

if TYPE_CHECKING:
    from datasets import Dataset


def train_rl(
    recipe: RlRecipe,
    work: Path,
    *,
    card: EditorCard | None = None,
    files: ModelFiles = NO_FILES,
    data: Path | None = None,
    show: Log | None = None,
    device: str | None = None,
) -> Path:
    """Train, or go on training. What is best on validation (without validation: the end) is in ``work/best``.

    Args:
        card: the editor; None: the recipe's model.
        files: weights to be loaded instead of those the card names.
        data: the release folder of the training task (and of validation's), if it needs one.
        show: told (iteration, numbers) whenever something is logged.
        device: "cpu" keeps a machine's GPU out of it.

    Raises:
        MicebenchError: what is wrong with recipe, card or data, in one line; `RewardOutage` if the judge fails too
            often. The same call goes on from the last checkpoint.
        NothingGained: not one optimizer step was made in the whole training.
    """
    check_writable(work, "--out", RunError)
    accelerator = join_processes(recipe, work, device)
    task = load_task_card(recipe.task)
    card, identity = starting_model(recipe, task, card, files)
    check_splits(recipe)
    check_validation(recipe, card)
    check_sampling(recipe, card)
    judge = rewarding_judge(recipe, task)
    sessions = training_sessions(recipe, task, data)
    check_validation_sessions(recipe, data)
    if accelerator.is_main_process:
        claim(work, recipe, grows="iterations")
        claim_model(work, identity)
    rewards = Rewards(
        judge.build(), list(recipe.advantages.weights), known=judge.metrics, limit=recipe.rollout.missing_limit
    )
    accelerator.init_trackers("tensorboard")
    log = logger(work, accelerator, show)
    method = _method(recipe)
    torch.manual_seed(recipe.seed)  # a LoRA starts at random
    policy = Policy(
        card, recipe.lora, copies=method.copies, device=accelerator.device, checkpointing=recipe.checkpointing
    )
    learner = Learner(accelerator, policy, method, recipe.learn, recipe.seed)
    progress = Progress()
    _keep_in_checkpoints(accelerator, policy, learner, progress)
    load_checkpoint(accelerator, work / "checkpoint")
    iterate = Iteration(recipe, accelerator, card, sessions, policy, rewards, method, learner)
    validation = _validation(recipe, card, policy, accelerator, work, data)
    selection = Selection(accelerator, policy, learner.ema, validation, work)
    every = recipe.validation.every if recipe.validation else recipe.iterations
    try:
        while True:
            done = progress.step == recipe.iterations
            if done or progress.step % every == 0:
                selection.look(progress.step, log)
            if done:
                break
            numbers = iterate(progress.step)
            progress.step += 1
            log(progress.step, numbers)
            if progress.step % recipe.checkpoint_every == 0 or progress.step == recipe.iterations:
                save_checkpoint(accelerator, work / "checkpoint")
    finally:
        rewards.close()
    readings = validation.readings() if validation else []
    if len(readings) > 1 and accelerator.is_main_process:
        write_report(recipe, work, readings)
    kept = selection.result()
    accelerator.end_training()
    if not learner.steps:
        raise NothingGained(
            f"nothing was learnt in {recipe.iterations} iterations: {iterate.idle or 'no edit had an advantage'}; "
            f"{kept} holds the weights of the start"
        )
    return kept


class Iteration:
    """One round: roll out, judge, learn.

    Attributes:
        idle: why the last iteration taught nothing; "" if it did teach something.
    """

    idle = ""

    def __init__(
        self,
        recipe: RlRecipe,
        accelerator: Accelerator,
        card: EditorCard,
        sessions: "Dataset",
        policy: Policy,
        rewards: Rewards,
        method: Method,
        learner: Learner,
    ) -> None:
        plan = recipe.rollout.sampling
        self._recipe, self._accelerator, self._sessions = recipe, accelerator, sessions
        self._policy, self._rewards, self._method, self._learner = policy, rewards, method, learner
        self._spec = RolloutSpec(recipe.rollout.group, card.context, plan, policy.editor.steps(plan), recipe.seed)

    def __call__(self, iteration: int) -> dict[str, float]:
        """Returns numbers for the log. Raises RewardOutage before anything is learnt."""
        recipe, clock = self._recipe, _Clock()
        each = recipe.rollout.sessions // self._accelerator.num_processes
        first = each * self._accelerator.process_index
        with clock("sampling"):
            rollouts = self._roll_out(self._draw(iteration)[first : first + each], iteration)
        with clock("waiting"):
            table = self._collected()
        values, failed, edited = self._everyones(table, torch.from_numpy(rollouts.edited))
        found = advantages(values, failed, recipe.advantages)
        lessons = choose(
            found,
            edited,
            self._method.draws,
            recipe.learn.min_advantage,
            positives_only=self._method.positives_only,
            seed=f"{recipe.seed}/{iteration}",
        )
        self.idle = "" if lessons else _why_idle(found, edited, recipe.learn.min_advantage)
        with clock("learning"):
            learnt = self._learner.learn(lessons, rollouts, first, found.values, iteration)
            self._method.after_iteration(self._policy, self._learner.steps)
        return {
            **{f"advantage/{name}": value for name, value in found.statistics.items() if value == value},
            **{f"learn/{name}": value for name, value in learnt.items()},
            "learn/lessons": float(len(lessons)),
            **{f"judge/{status}": float(count) for status, count in table.counts.items()},
            **{f"seconds/{name}": value for name, value in clock.seconds.items()},
            "seconds/judging": table.judging_s,
        }

    def _draw(self, iteration: int) -> list[Session]:
        """The sessions of all processes: epochs over the task, each in an order of its own."""
        count, wanted = len(self._sessions), self._recipe.rollout.sessions
        epoch, position = divmod(iteration, count // wanted)
        order = list(range(count))
        random.Random(f"sessions/{self._recipe.seed}/{epoch}").shuffle(order)
        return list(iter_sessions(self._sessions.select(order[position * wanted : (position + 1) * wanted])))

    def _roll_out(self, sessions: Sequence[Session], iteration: int) -> Rollouts[Trace]:
        def sample(requests: Any, starts: Sequence[int]) -> Any:
            return self._policy.sample(requests, self._spec.plan, starts, weights=self._method.sampled_by)

        with self._accelerator.autocast():
            return roll_out(sample, sessions, self._spec, iteration=iteration, on_turn=self._rewards.submit)

    def _collected(self) -> RewardTable:
        table, fault = None, None
        try:
            table = self._rewards.collect()
        except MicebenchError as error:
            fault = error
        raise_together(self._accelerator, fault)
        assert table is not None
        return table

    def _everyones(self, table: RewardTable, edited: Tensor) -> tuple[Mapping[str, Tensor], Tensor, Tensor]:
        """Rewards, failures and edits of all processes' sessions, so that each finds the same advantages."""
        if self._accelerator.num_processes == 1:
            return table.values, table.failed, edited

        def gathered(own: Tensor, blank: float) -> Tensor:
            own = self._accelerator.pad_across_processes(own.to(self._accelerator.device), dim=2, pad_index=blank)  # type: ignore[arg-type]
            return self._accelerator.gather(own).cpu()  # type: ignore[union-attr]

        values = {name: gathered(table.values[name], torch.nan) for name in sorted(table.values)}
        masks = (gathered(mask.to(torch.uint8), 0).bool() for mask in (table.failed, edited))
        return values, next(masks), next(masks)


def _why_idle(found: Advantages, edited: Tensor, least: float) -> str:
    """Why not one edit of an iteration is learnt from, with the remedy."""
    if not edited.any():
        return "no edit came about; see the reasons above"
    usable = found.used & edited
    if not usable.any():
        return "no edit has a reward that it could be compared by; check the judge and advantages.weights"
    largest = found.values[usable].abs().max().item()
    if not largest:
        return (
            "all rollouts of a session have equal rewards; take sessions of which some rollouts succeed and some "
            "fail, another judge, or a larger rollout.group"
        )
    return f"the largest advantage is {largest:.2g}, learn.min_advantage {least:.2g}, or only losses were left"


def _method(recipe: RlRecipe) -> Method:
    clip = recipe.advantages.clip
    if recipe.nft is not None:
        return Nft(recipe.nft, clip)
    assert recipe.grpo is not None
    return Grpo(recipe.grpo, recipe.rollout.sampling, clip)


def _validation(
    recipe: RlRecipe, card: EditorCard, policy: Policy, accelerator: Accelerator, work: Path, data: Path | None
) -> Validation | None:
    if recipe.validation is None:
        return None
    folder, seed = work / "validation", recipe.seed
    data = data if load_task_card(recipe.validation.task).data is not None else None
    return Validation(recipe.validation, card, policy.editor, folder, seed, lambda: accelerator.autocast(), data)


def _keep_in_checkpoints(accelerator: Accelerator, policy: Policy, learner: Learner, progress: Progress) -> None:
    """What learns, its copies and its average; not the whole denoiser, of which a LoRA is a hundredth."""

    def without_models(models: list[Any], *others: Any) -> None:
        models.clear()
        if len(others) == 2:  # when saving: (weights, folder)
            others[0].clear()

    accelerator.register_for_checkpointing(policy, learner.schedule, learner.ema, progress)
    accelerator.register_save_state_pre_hook(without_models)
    accelerator.register_load_state_pre_hook(without_models)


class _Clock:
    """Seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = perf_counter()
        yield
        self.seconds[name] = perf_counter() - started
