"""Which sessions the page shows: one pass over the run that keeps a few numbers per session."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from micebench.report.formatting import LEGITIMATE
from micebench.verdicts import instruction_asked

if TYPE_CHECKING:
    from micebench.engine.run_reader import Run

Key = tuple[str, int]
"""(session id, repeat)."""


@dataclass(slots=True)
class Outcome:
    """How one session went, as far as picking and sorting need to know.

    `followed` holds one entry per turn: True, False, or None where instruction-following verdicts are missing. Where
    an image is asked about earlier instructions too, it has to follow all of them.
    """

    track: str
    order: int
    followed: list[bool | None]
    gaps: int = 0
    consistency: float = 0.0
    scored: int = 0

    @property
    def first_failure(self) -> int | None:
        """The turn that failed first; None if none did, or if an unscored turn came before it."""
        for turn, followed in enumerate(self.followed, start=1):
            if followed is None:
                return None
            if not followed:
                return turn
        return None

    @property
    def kind(self) -> str:
        """``"pass"``, ``"fail-K"`` or ``"undetermined"``."""
        if (failed := self.first_failure) is not None:
            return f"fail-{failed}"
        return "pass" if all(self.followed) else "undetermined"

    @property
    def badness(self) -> tuple[float, float, int]:
        """Sorts ascending from worst: share of turns followed before the first that was not, then what
        stayed consistent, then the run's order."""
        kept = 0
        for followed in self.followed:
            if not followed:
                break
            kept += 1
        mean = self.consistency / self.scored if self.scored else 1.0
        return kept / max(len(self.followed), 1), round(mean, 6), self.order


def outcomes(run: "Run") -> dict[Key, Outcome]:
    """A few numbers on every session and repeat of the run, in the run's order."""
    found: dict[Key, Outcome] = {}
    for session in run.sessions():
        for repeat in range(max(run.manifest.repeats, 1)):
            turns: list[bool | None] = [None] * len(session.turns)
            found[session.id, repeat] = Outcome(session.track, len(found), turns)
    judged: dict[Key, int] = defaultdict(int)
    said: dict[tuple[Key, int], list[bool]] = defaultdict(list)
    for verdict in run.verdicts():
        outcome = found.get((verdict.session, verdict.repeat))
        if outcome is None or not 1 <= verdict.turn <= len(outcome.followed):
            continue
        judged[verdict.session, verdict.repeat] += 1
        if verdict.value is None:
            outcome.gaps += verdict.status not in LEGITIMATE
        elif verdict.metric == "IF" or 0 < instruction_asked(verdict.metric) < verdict.turn:
            said[(verdict.session, verdict.repeat), verdict.turn].append(verdict.value > 0.5)
        elif verdict.metric.startswith("CC."):
            outcome.consistency += verdict.value
            outcome.scored += 1
    for (key, turn), answers in said.items():
        complete = len(answers) == 1 + sum(0 < instruction_asked(name) < turn for name in run.manifest.metrics)
        if complete or not all(answers):
            found[key].followed[turn - 1] = all(answers)
    for key, outcome in found.items():
        outcome.gaps += max(len(outcome.followed) * len(run.manifest.metrics) - judged[key], 0)
    return found


def pick(found: Mapping[Key, Outcome], limit: int) -> list[Key]:
    """At most `limit` keys: one after the other from each combination of track and outcome, so that rare
    failures are seen; within a combination in the order of a hash, so that the choice is no one's."""
    strata: dict[tuple[str, str], list[Key]] = defaultdict(list)
    for key, outcome in found.items():
        strata[outcome.track, outcome.kind].append(key)
    queues = [sorted(strata[name], key=_draw, reverse=True) for name in sorted(strata)]
    picked: list[Key] = []
    while len(picked) < limit and any(queues):
        for queue in queues:
            if queue and len(picked) < limit:
                picked.append(queue.pop())
    return picked


def _draw(key: Key) -> bytes:
    return hashlib.sha256(f"{key[1]}:{key[0]}".encode("utf-8", "surrogatepass")).digest()
