"""What reviewers are asked, and in which order: the same for all of them."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from micebench.annotation.human_labels import Asked
from micebench.engine.run_reader import Run
from micebench.errors import RunError, nearest
from micebench.judges.human import QUESTIONS
from micebench.report.formatting import LEGITIMATE, plural
from micebench.verdicts import METRICS, Status, Verdict


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a run is to be labelled.

    Attributes:
        metrics: what is asked about each edit, in this order.
        pending: only what the run's judge has left open.
        sessions: so many sessions (with all their turns) drawn by `seed`; None: all.
        seed: of the order, and so of the draw.
    """

    metrics: tuple[str, ...] = ("IF",)
    pending: bool = False
    sessions: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for metric in self.metrics:
            if metric not in QUESTIONS:
                raise RunError(f"no question for metric {metric!r}; {nearest(metric, QUESTIONS)}")


@dataclass(frozen=True, slots=True)
class Queue:
    """Questions in the order in which they are asked; `rule` says in words how it came about."""

    items: tuple[Asked, ...]
    automatic: dict[Asked, Verdict]
    rule: str


def make_queue(run: Run, choice: Choice) -> Queue:
    """The questions about a run that has images, turn by turn, sessions in the order of a seeded hash.

    Raises:
        RunError: the run is damaged, or there is nothing to ask.
    """
    automatic = verdicts_by_judge(run, choice.metrics)
    groups: dict[tuple[str, int], list[Asked]] = {}
    for asked in _askable(run, choice.metrics):
        if not choice.pending or is_open(automatic.get(asked)):
            groups.setdefault((asked.session, asked.repeat), []).append(asked)
    order = sorted(groups, key=lambda group: _draw(choice.seed, *group))[: choice.sessions]
    items = tuple(asked for group in order for asked in groups[group])
    if not items:
        what = "that its judge has left open" if choice.pending else "with an image"
        raise RunError(f"{run.path}: no edit {what} to be asked about {', '.join(choice.metrics)}")
    return Queue(items, {asked: automatic[asked] for asked in items if asked in automatic}, _rule(choice, len(order)))


def is_open(verdict: Verdict | None) -> bool:
    """Whether a judge has left a question open: not asked, or no value although there is one to be had."""
    return verdict is None or (verdict.status != Status.OK and verdict.status.value not in LEGITIMATE)


def _askable(run: Run, metrics: Sequence[str]) -> Iterator[Asked]:
    """Every question about an edit that has an image, in the run's order."""
    edits = run.edit_index()
    for position, name in enumerate(edits.sessions.ids):
        for repeat in range(edits.repeats):
            for turn in range(1, edits.sessions.turns[position] + 1):
                if edits.image(position * edits.repeats + repeat, turn) is None:
                    break
                yield from (Asked(name, repeat, turn, metric) for metric in metrics)


def verdicts_by_judge(run: Run, metrics: Sequence[str] = METRICS) -> dict[Asked, Verdict]:
    """What the run's judge said; empty if it has none."""
    if run.manifest.judge is None:
        return {}
    return {
        Asked(record.session, record.repeat, record.turn, record.metric): record.verdict
        for record in run.verdicts()
        if record.metric in metrics
    }


def _draw(seed: int, session: str, repeat: int) -> bytes:
    return hashlib.sha256(f"review:{seed}:{repeat}:{session}".encode("utf-8", "surrogatepass")).digest()


def _rule(choice: Choice, sessions: int) -> str:
    which = "the first " if choice.sessions is not None else ""
    left = ", what the run's judge left open only" if choice.pending else ""
    return f"{which}{plural(sessions, 'session')} in the order of a hash of seed {choice.seed}, turn by turn{left}"
