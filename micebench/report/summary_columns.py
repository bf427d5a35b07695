"""Which numbers of a summary a table shows, and which one it is ranked by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from micebench.report.formatting import LABELS, label
from micebench.report.tables import Cell, cell, turn_numbers

LOWER_IS_BETTER = frozenset({"collapse", "quality_drift"})
_RANKED_BY = ("overall", "turn_success", "cumulative_awareness", "content_consistency")
_COLUMNS = 5


@dataclass(frozen=True)
class Column:
    """A number of summary.json: a metric at a turn."""

    name: str
    turn: int

    @property
    def title(self) -> str:
        if self.name == "turn_success":
            return f"Turn-{self.turn} success"
        return f"{label(self.name)}, turn {self.turn}"

    @property
    def lower_is_better(self) -> bool:
        return self.name in LOWER_IS_BETTER

    @property
    def worst_side(self) -> Literal["at_least", "at_most"]:
        """The bound at which every missing verdict has its worst value."""
        return "at_most" if self.lower_is_better else "at_least"

    def bound_of(self, summary: Mapping[str, Any]) -> float | None:
        """The number with every missing verdict at its worst; the number itself where none is missing."""
        one = self.of(summary)
        return one.at_most if self.lower_is_better else one.at_least

    def of(self, summary: Mapping[str, Any]) -> Cell:
        return cell(summary["metrics"].get(self.name, {}).get(str(self.turn)))


def ranked_by(summary: Mapping[str, Any]) -> Column | None:
    """The number that a result is ranked by: the first of `_RANKED_BY`, or of its measures, at the last turn."""
    last = int(turn_numbers(summary)[-1])
    names = [*_RANKED_BY, *(name for name in LABELS if name not in _RANKED_BY)]
    return next((one for one in (Column(name, last) for name in names) if one.of(summary).value is not None), None)


def chosen_columns(summaries: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """The number ranked by first, then what else any of the results has, up to `_COLUMNS`."""
    last = max(int(turn_numbers(summary)[-1]) for summary in summaries)
    wanted = [column for column in map(ranked_by, summaries) if column]
    wanted += [Column(name, last) for name in _RANKED_BY[:1]]
    wanted += [
        Column("turn_success", last),
        Column("content_consistency", last),
        Column("cumulative_awareness", last),
    ]
    wanted += [Column("marginal_success", 1), Column("collapse", last), Column("quality_drift", last)]
    wanted += [Column(name, last) for name in LABELS]
    known = [one for one in dict.fromkeys(wanted) if any(one.of(each).value is not None for each in summaries)]
    return tuple(known[:_COLUMNS]) or (Column("overall", last),)
