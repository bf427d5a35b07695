"""Two runs of one task by one judge, compared session by session."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from micebench.cards import judge_command
from micebench.engine.run_reader import Run, open_run
from micebench.errors import RunError

_SAME = (
    ("task", "task", "compare runs of one task"),
    ("task_version", "version of the task", "run the older one again with today's cards"),
    ("task_hash", "task card", "run the older one again with today's cards"),
    ("judge", "judge", "let one judge score both: micebench judge RUN --judge NAME"),
    ("judge_hash", "judge card", "let today's judge score both: micebench judge RUN --judge NAME"),
)


@dataclass(frozen=True)
class Comparison:
    """How run b differs from run a.

    Attributes:
        a, b: ``{"path", "model", "context", "repeats", "limit"}`` of the two runs.
        task, judge: what both share.
        numbers: see `micebench.metrics.paired`; percentage points, b minus a. Each cell has ``"p_holm"``, too: its
            p where runs are compared alone, and adjusted where `micebench.comparison.multi_run` compares several.
    """

    a: dict[str, Any]
    b: dict[str, Any]
    task: str
    judge: str
    numbers: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """``{"task", "judge", "a", "b"}`` and everything in `numbers`, as plain JSON types."""
        return {"task": self.task, "judge": self.judge, "a": self.a, "b": self.b, **self.numbers}


def compare(a: Run | Path | str, b: Run | Path | str, *, seed: int = 0) -> Comparison:
    """Paired differences b - a with intervals, permutation p and minimum detectable effect.

    Sessions that only one run has, or that differ in their content, are left out and named.

    Raises:
        RunError: the runs differ in task or judge, share no session, or one has no judge.
    """
    from micebench.metrics import Resampling, match, paired
    from micebench.metrics.holm import all_cells

    first, second = (run if isinstance(run, Run) else open_run(run) for run in (a, b))
    _check_comparable(first, second)
    tables = first.table(), second.table()
    differing = list(_differing(first, second))
    matched = match(*tables, differing)
    if not matched.shared:
        raise RunError(
            f"{first.path} and {second.path} share no session: {len(matched.changed)} have the same id but "
            f"other content, {len(matched.only_a)} are only in the first, {len(matched.only_b)} only in the "
            "second; compare runs over the same data and --limit"
        )
    numbers = paired(
        *tables,
        consistency=first.manifest.content_consistency,
        differing=differing,
        how=Resampling(seed=seed),
    )
    for cell in all_cells(numbers).values():
        cell["p_holm"] = cell["p"]
    judge = first.manifest.judge
    assert judge is not None
    return Comparison(_described(first), _described(second), first.manifest.task, judge, numbers)


def _check_comparable(first: Run, second: Run) -> None:
    for run in (first, second):
        if run.manifest.judge is None:
            raise RunError(f"{run.path} has no verdicts; run `{judge_command(run.path, 'NAME')}`")
    for field, word, remedy in _SAME:
        one, other = getattr(first.manifest, field), getattr(second.manifest, field)
        if one != other:
            values = f"{_short(one)} in {first.path}, {_short(other)} in {second.path}"
            raise RunError(f"the runs cannot be compared, their {word} differs: {values}; {remedy}")


def _short(value: Any) -> str:
    """A value for a message; of a hash its beginning."""
    return value[:12] if isinstance(value, str) and len(value) == 64 else str(value)


def _differing(first: Run, second: Run) -> Iterator[str]:
    """Ids of sessions whose annotations or source pixels are not the same in both runs."""
    one, other = first.edit_index().sessions, second.edit_index().sessions
    for place, name in enumerate(one.ids):
        there = other.position.get(name)
        if there is not None and (one.row_hash(place), one.source(place)) != (
            other.row_hash(there),
            other.source(there),
        ):
            yield name


def _described(run: Run) -> dict[str, Any]:
    manifest = run.manifest
    return {
        "path": str(run.path),
        "model": manifest.model,
        "context": manifest.context,
        "repeats": manifest.repeats,
        "limit": manifest.limit,
    }
