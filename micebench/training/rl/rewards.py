"""Rewards: the verdicts of any judge as tensors, given beside the sampling of the next turn.

What has no verdict is masked, counted, and too much of it stops the run; nothing here turns a failure into a number.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, cast

import torch
from torch import Tensor

from micebench.execution.judge_calls import Asked, Unit, answers, streamed
from micebench.errors import CardError, MicebenchError, one_line
from micebench.judges.base import Judge, StreamingJudge
from micebench.utils.daemon_pool import Callers
from micebench.training.rl.rollout import Place, Rollouts
from micebench.verdicts import METRICS, MeasureName, MetricName, Question, Status, Verdict

NO_IMAGE = "no_image"
"""Counted beside the statuses: turns that have no output to be judged."""

_PARTS = {"CC": ("CC.object", "CC.background")}
_UNKNOWN = (Status.UNPARSED, Status.REFUSED, Status.ERROR)
_REASON = 200  # characters of the example in an error line

Answered = list[tuple[Unit, Verdict]]


class RewardOutage(MicebenchError):
    """Too many edits of an iteration have no reward to learn from."""


@dataclass(frozen=True)
class RewardTable:
    """The rewards of S sessions, G rollouts each, T turns.

    Attributes:
        values: metric -> (S, G, T) float64 in [0, 1]. NaN: nothing to measure there, or no verdict (see `failed`).
        failed: (S, G, T) bool. There should be a reward, but the judge gave no verdict on some metric, or there is
            no image.
        counts: how many verdicts had each status, and `NO_IMAGE`: how many turns could not be judged.
        example: why one of the failed places has failed; "" if none has.
        judging_s: seconds the judge was at work, most of them beside the sampling.
    """

    values: dict[str, Tensor]
    failed: Tensor
    counts: dict[str, int]
    example: str
    judging_s: float


class Rewards:
    """Asks a judge about each turn in a thread of its own, while the policy samples the next one.

    The judge is given all questions of a turn at once; one that can stream (`StreamingJudge`) is fed rollout by
    rollout. Used for one iteration after the other: `submit` every turn, then `collect`.

    Args:
        judge: any judge; what it does against its contract is an `error` of the guilty item.
        metrics: the rewards' names; CC stands for the mean of CC.object and CC.background, of those there are.
        known: what the judge can be asked (its card's metrics). A part of CC that is not among them is not asked.
        limit: largest tolerated share of failed places, in [0, 1).

    Raises:
        CardError: a metric that the judge does not answer.
    """

    def __init__(
        self,
        judge: Judge,
        metrics: Sequence[str] = ("IF", "CC", "GA"),
        *,
        known: Sequence[str] = METRICS,
        limit: float = 0.05,
    ) -> None:
        self._parts = {metric: _parts(metric, known) for metric in metrics}
        self._limit = limit
        self._judge = judge
        self._rollouts: Rollouts[Any] | None = None
        # A daemon thread: whoever interrupts the training does not wait for a slow judge.
        self._thread: Callers[int, list[list[Asked]], tuple[Answered, float] | Exception] = Callers(self._answer, 1)

    def submit(self, turn: int, rollouts: Rollouts[Any]) -> None:
        """Have this turn's outputs judged; returns at once. Fits `on_turn` of `roll_out`."""
        if self._rollouts is not None and self._rollouts is not rollouts:
            raise ValueError("the rewards of other rollouts have not been collected yet")
        self._rollouts = rollouts
        self._thread.submit(turn, list(self._questions(turn, rollouts)))

    def collect(self) -> RewardTable:
        """Wait for the verdicts on all submitted turns.

        Raises:
            RewardOutage: more failed places than tolerated, with what has happened how often.
            EndpointError: the judge's server turns away every call.
        Exception: what else went wrong in the thread; a broken judge is not among it (see the class).
        """
        rollouts, self._rollouts = self._rollouts, None
        if rollouts is None:
            raise ValueError("no turn has been submitted")
        verdicts: dict[tuple[Place, str], Verdict] = {}
        judging_s, fault = 0.0, None
        while done := self._thread.collect(wait=True):
            for _, answer in done:
                if isinstance(answer, Exception):
                    fault = fault or answer
                    continue
                judging_s += answer[1]
                for unit, verdict in answer[0]:
                    session, rollout = divmod(unit.row, rollouts.group)
                    verdicts[(session, rollout, unit.turn - 1), unit.metric] = verdict
        if fault is not None:
            raise fault
        table = self._table(rollouts, verdicts, judging_s)
        self._check(table, rollouts)
        return table

    def close(self) -> None:
        """End the thread; what it is doing is not waited for."""
        self._thread.close()

    def _questions(self, turn: int, rollouts: Rollouts[Any]) -> Iterator[list[Asked]]:
        """One list per rollout that has an output at this turn."""
        metrics = [part for parts in self._parts.values() for part in parts]
        for number, session in enumerate(rollouts.sessions):
            for rollout, images in enumerate(rollouts.images[number]):
                if turn >= len(images):
                    continue
                row, shown = number * rollouts.group + rollout, tuple(images[: turn + 1])
                edit = f"{session.id} {rollout} {turn}"
                yield [
                    (
                        Unit(row, turn, metric, edit, shown[-1].sha256),
                        Question(cast(MetricName | MeasureName, metric), session, turn, shown, rollouts.composed),
                    )
                    for metric in metrics
                ]

    def _answer(self, rows: list[list[Asked]]) -> tuple[Answered, float] | Exception:
        """In the thread."""
        started = perf_counter()
        try:
            if isinstance(self._judge, StreamingJudge):
                told = list(streamed(self._judge, iter(rows)))
            else:
                asked = [question for row in rows for question in row]
                told = [(asked, answers(self._judge, asked))]
        except Exception as error:  # noqa: BLE001 (raised again in `collect`)
            return error
        answered = [
            (unit, verdict) for asked, verdicts in told for (unit, _), verdict in zip(asked, verdicts, strict=True)
        ]
        return answered, perf_counter() - started

    def _table(
        self, rollouts: Rollouts[Any], verdicts: dict[tuple[Place, str], Verdict], judging_s: float
    ) -> RewardTable:
        failed = torch.from_numpy(rollouts.failed_edits.copy())
        values = {metric: torch.full(failed.shape, float("nan"), dtype=torch.float64) for metric in self._parts}
        counts = Counter({NO_IMAGE: int(failed.sum())})
        example = next((f"no image: {reason}" for reason in rollouts.failures.values()), "")
        for place in _places(rollouts):
            for metric, parts in self._parts.items():
                given = [verdicts[place, part] for part in parts]
                counts.update(verdict.status.value for verdict in given)
                unknown = [verdict for verdict in given if verdict.status in _UNKNOWN]
                if unknown:
                    failed[place] = True
                    example = example or f"{metric}: {unknown[0].reason}"
                    continue
                scored = [verdict.value for verdict in given if verdict.value is not None]
                if scored:
                    values[metric][place] = sum(scored) / len(scored)
        return RewardTable(values, failed, dict(counts), one_line(example, _REASON), judging_s)

    def _check(self, table: RewardTable, rollouts: Rollouts[Any]) -> None:
        failed, places = int(table.failed.sum()), int(rollouts.exists.sum())
        if failed <= self._limit * places:
            return
        counted = ", ".join(f"{count} {status}" for status, count in sorted(table.counts.items()) if count)
        cause = "editor" if 2 * table.counts[NO_IMAGE] > failed else "judge"
        raise RewardOutage(
            f"{failed} of {places} edits have no reward, more than the tolerated {self._limit:.0%} "
            f"(verdicts: {counted}; e.g. {table.example}); fix the {cause} and start again, training resumes"
        )


def _places(rollouts: Rollouts[Any]) -> Iterator[Place]:
    """The judged places."""
    for session, rollout, turn in zip(*rollouts.edited.nonzero(), strict=True):
        yield int(session), int(rollout), int(turn)


def check_metrics(metrics: Sequence[str], known: Sequence[str]) -> None:
    """Raises CardError for a reward that a judge asked `known` does not give."""
    for metric in metrics:
        _parts(metric, known)


def _parts(metric: str, known: Sequence[str]) -> tuple[str, ...]:
    """What is asked for a reward's sake."""
    parts = tuple(part for part in _PARTS.get(metric, (metric,)) if part in known)
    if not parts:
        raise CardError(f"no reward {metric!r}: the judge is asked {', '.join(known)}; take it out of the weights")
    return parts
