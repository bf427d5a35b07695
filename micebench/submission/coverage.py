"""How much of a run is there: edits, verdicts, and sessions that lack a verdict."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from micebench.report.formatting import LEGITIMATE, plural, visible
from micebench.store.run_index import EditIndex, VerdictIndex
from micebench.submission.card_checks import COVERAGE
from micebench.submission.errors import BundleError

SESSION_COVERAGE = 0.95
"""Least share of sessions without a missing verdict. One session may always lack some."""


@dataclass(frozen=True)
class Lacking:
    """Verdicts that are missing although there is an image to judge.

    Attributes:
        sessions: in which any is missing, or has no value for a reason that is not inherent in the question.
        of: all sessions.
        absent: verdicts that were never given: the judge was not asked.
        first: of those, in words.
    """

    sessions: int
    of: int
    absent: int
    first: str


def lacking(edits: EditIndex, verdicts: VerdictIndex) -> Lacking:
    """Count what is missing. An edit without an image has no verdict, and counts as an edit that is missing."""
    found = set[int]()
    absent, first = 0, ""
    for row, turn in _judged(edits):
        session = row // edits.repeats
        for metric in verdicts.metrics:
            status = verdicts.status(row, turn, metric)
            if status is None:
                absent += 1
                first = first or f"{metric} of session {visible(edits.sessions.ids[session], 60)!r} turn {turn}"
            if status is None or not (status == "ok" or status in LEGITIMATE):
                found.add(session)
    return Lacking(len(found), len(edits.sessions), absent, first)


def check_coverage(summary: Mapping[str, Any], gaps: Lacking, *, exact: bool) -> str:
    """Whether enough was edited and judged for the numbers to be compared. Returns what there is, in words.

    At least `COVERAGE` of the edits and of the verdicts, and all verdicts in `SESSION_COVERAGE` of the sessions. An
    exact judge answers every question, so that a verdict that it has not given was left out.

    Args:
        summary: content of a ``summary.json``.
        exact: the judge needs no model.

    Raises:
        BundleError: (check "coverage") with the remedy.
    """
    edits = summary["edits"]
    planned, verdicts = sum(edits.values()), Counter[str]()
    for statuses in summary["coverage"].values():
        verdicts.update(statuses)
    known = sum(count for status, count in verdicts.items() if status == "ok" or status in LEGITIMATE)
    shares = {"edits": (edits["ok"], planned), "verdicts": (known, verdicts.total())}
    for what, (there, of) in shares.items():
        if there < COVERAGE * of:
            missing = (
                "failed, were refused or were not reached" if what == "edits" else "are missing or have no value"
            )
            raise _refused(
                f"{of - there:,} of {of:,} {what} {missing}; at least {COVERAGE:.0%} must be there: "
                f"{'run' if what == 'edits' else 'judge'} it again to try those anew"
            )
    if exact and gaps.absent:
        raise _refused(
            f"{plural(gaps.absent, 'verdict')} missing, {gaps.first} the first; this judge answers every question: "
            "run `micebench judge RUN` to fill them in"
        )
    if gaps.sessions > max(1, (1 - SESSION_COVERAGE) * gaps.of):
        raise _refused(
            f"{gaps.sessions:,} of {plural(gaps.of, 'session')} lack a verdict; at least {SESSION_COVERAGE:.0%} must "
            "have all of theirs: run `micebench judge RUN --retry-failed` to ask for them again"
        )
    said = ", ".join(f"{there:,} of {of:,} {what}" for what, (there, of) in shares.items())
    return f"{said}, {plural(gaps.sessions, 'session')} lacking a verdict" if gaps.sessions else said


def _judged(edits: EditIndex) -> Iterator[tuple[int, int]]:
    """(row, turn) of the edits with an image."""
    for row in range(edits.rows):
        for turn in range(1, edits.sessions.turns[row // edits.repeats] + 1):
            if edits.image(row, turn) is None:
                break
            yield row, turn


def _refused(reason: str) -> BundleError:
    return BundleError("coverage", reason)
