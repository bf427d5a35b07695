"""A comparison as lines of tables: one model that terminal, page and job summary draw, so they cannot disagree."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from micebench.comparison.gate import LOWER_IS_BETTER
from micebench.report.formatting import label, visible

Mood = Literal["better", "worse", ""]
"""What a line shows beyond chance: interval and test agree that there is a difference. "": neither."""


@dataclass(frozen=True, slots=True)
class Line:
    """One number of two runs, in percent and percentage points; None where undefined. `turn` "" is all turns."""

    name: str
    turn: str
    base: float
    new: float
    difference: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    mde: float | None
    n: int
    of: int
    mood: Mood

    @property
    def ends(self) -> str:
        """``"-6.1, +0.4"``, or "" where there is no interval."""
        return "" if self.low is None or self.high is None else f"{signed(self.low)}, {signed(self.high)}"

    @property
    def counted(self) -> str:
        """``"240"``, or ``"238/240"`` where not everything was scored."""
        return str(self.n) if self.n == self.of else f"{self.n}/{self.of}"


@dataclass(frozen=True, slots=True)
class Block:
    """The lines of one metric or edit type, turn by turn."""

    name: str
    lines: tuple[Line, ...]


def blocks(metrics: Mapping[str, Mapping[str, Mapping[str, Any]]], level: float) -> list[Block]:
    """NAME -> TURN -> cell, as blocks; what is undefined in either run has no line."""
    found: list[Block] = []
    for name, turns in metrics.items():
        lines = [line(name, turn, cell, level) for turn, cell in turns.items() if cell["difference"] is not None]
        if lines:
            found.append(Block(label(name), tuple(lines)))
    return found


def edit_types(comparison: Mapping[str, Any]) -> list[Block]:
    """Success by edit type over all turns."""
    return blocks({kind: {"": cell} for kind, cell in comparison["edit_types"].items()}, comparison["level"])


def line(name: str, turn: str, cell: Mapping[str, Any], level: float) -> Line:
    """A cell that has a difference."""
    numbers = {field: cell[field] for field in ("difference", "low", "high", "p", "p_holm", "mde", "n", "of")}
    return Line(name, turn, base=cell["a"], new=cell["b"], mood=_mood(name, cell, level), **numbers)


def _mood(name: str, cell: Mapping[str, Any], level: float) -> Mood:
    low, high, chance = cell["low"], cell["high"], cell["p_holm"]
    if low is None or chance is None or chance >= 1.0 - level or low <= 0.0 <= high:
        return ""
    return "better" if (cell["difference"] < 0) == (name in LOWER_IS_BETTER) else "worse"


def unmatched(comparison: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[str]]]:
    """(what is wrong, session ids) of the sessions that were left out."""
    for field, words in (
        ("only_a", "only in the base run"),
        ("only_b", "only in the new run"),
        ("changed", "left out: the same id with other content"),
    ):
        if comparison[field]:
            yield words, comparison[field]


def names(comparisons: Sequence[Mapping[str, Any]]) -> list[str]:
    """What to call the base run, then each new one: its model, or its folder where two have the same model."""
    runs = [*(one["a"] for one in comparisons[:1]), *(one["b"] for one in comparisons)]
    models = [visible(run["model"], 80) for run in runs]
    folders = [visible(run["path"].rstrip("/").rpartition("/")[2], 80) for run in runs]
    chosen = [folder if models.count(model) > 1 else model for folder, model in zip(folders, models, strict=True)]
    return [f"{name} ({place})" if chosen.count(name) > 1 else name for place, name in enumerate(chosen)]


def signed(number: float) -> str:
    """One decimal with its sign; never "-0.0"."""
    return f"{round(number, 1) + 0.0:+.1f}"
