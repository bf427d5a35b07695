"""Which verdicts have no value, and why: what the commands say after a judging."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from micebench.errors import one_line
from micebench.verdicts import Status

if TYPE_CHECKING:
    from micebench.engine.run_reader import Run

NOT_ASKED = "not asked"
_NO_VALUE = (Status.UNPARSED, Status.REFUSED, Status.ERROR)
_REASON = 200  # characters


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The verdicts of a run that could have a value, and have none.

    Attributes:
        asked: verdicts about edits that have an image.
        scored: how many of them have a value.
        missing: status (or `NOT_ASKED`) -> how many have none for this reason; not those without anything to
            measure, or with a wrong annotation.
        reasons: status -> the most frequent reason.
        silent: metrics for which there is not one value, though there could be.
    """

    asked: int
    scored: int
    missing: dict[str, int]
    reasons: dict[str, str]
    silent: tuple[str, ...]

    @property
    def nothing(self) -> bool:
        """Whether the judging yielded nothing: no value at all, or none for some metric."""
        return not self.scored or bool(self.silent)

    def line(self) -> str:
        """What is missing and why, in one line; "" if nothing is."""
        if not self.asked:
            return "no edit has an image, so that there was nothing to judge"
        if not self.missing:
            return (
                "" if self.scored else f"none of the {self.asked} verdicts has a value: there is nothing to measure"
            )
        counted = ", ".join(
            f"{count} {status}" + (f" ({self.reasons[status]})" if self.reasons.get(status) else "")
            for status, count in self.missing.items()
        )
        lead = f"the judge gave no value for {sum(self.missing.values())} of {self.asked} verdicts"
        silent = f"; none at all for {', '.join(self.silent)}" if self.silent and self.scored else ""
        return f"{lead}: {counted}{silent}"


def unanswered(run: "Run") -> Unanswered:
    """What a run's judge has not answered. Raises RunError: the run has no judge, or is damaged."""
    edits, verdicts = run.edit_index(), run.verdict_index()
    found: dict[str, Counter[str]] = {metric: Counter() for metric in verdicts.metrics}
    for row in range(edits.rows):
        for turn in range(1, edits.sessions.turns[row // edits.repeats] + 1):
            if edits.image(row, turn) is None:
                continue
            for metric in verdicts.metrics:
                status = verdicts.status(row, turn, metric)
                found[metric][NOT_ASKED if status is None else status.value] += 1
    counts = sum(found.values(), Counter[str]())
    missing = {status: counts[status] for status in (*(one.value for one in _NO_VALUE), NOT_ASKED) if counts[status]}
    silent = tuple(
        metric for metric, by in found.items() if not by[Status.OK] and any(by[status] for status in missing)
    )
    return Unanswered(counts.total(), counts[Status.OK], missing, _reasons(run, missing), silent)


def _reasons(run: "Run", missing: dict[str, int]) -> dict[str, str]:
    if not missing:
        return {}
    said: dict[str, Counter[str]] = {status: Counter() for status in missing}
    for verdict in run.verdicts():
        if verdict.status in said:
            said[verdict.status][one_line(verdict.reason, _REASON)] += 1
    return {status: counter.most_common(1)[0][0] for status, counter in said.items() if counter}
