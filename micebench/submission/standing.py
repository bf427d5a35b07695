"""The number that a submission is ranked by, and what of it is missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from micebench.metrics.coverage import missing
from micebench.report.formatting import number, plural
from micebench.report.summary_columns import ranked_by

if TYPE_CHECKING:
    from micebench.metrics.verdict_table import VerdictTable


@dataclass(frozen=True)
class Standing:
    """What a submission is ranked by.

    Attributes:
        title: of the number; "" where none of its numbers can be ranked by.
        value: over what was scored, in percent.
        bound: the same with every missing verdict at its worst: what it is ranked by.
        missing_verdicts, missing_sessions: verdicts that are missing, and sessions that lack any.
    """

    title: str
    value: float | None
    bound: float | None
    missing_verdicts: int
    missing_sessions: int

    @property
    def words(self) -> str:
        """One line; "" where nothing is missing."""
        if not self.missing_verdicts:
            return ""
        gaps = f"{plural(self.missing_verdicts, 'verdict')} of {plural(self.missing_sessions, 'session')} missing"
        if self.bound is None:
            return gaps
        return (
            f"{gaps}: {self.title} is ranked as {number(self.bound)}, its bound with each of them at its worst "
            f"({number(self.value)} over what was scored)"
        )


def standing(summary: Mapping[str, Any], table: "VerdictTable") -> Standing:
    """Args: summary: content of ``summary.json``; table: the verdicts that it was computed from."""
    verdicts, sessions = missing(table)
    column = ranked_by(summary)
    if column is None:
        return Standing("", None, None, verdicts, sessions)
    return Standing(column.title, column.of(summary).value, column.bound_of(summary), verdicts, sessions)
