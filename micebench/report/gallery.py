"""Which sessions the page shows, and everything it says about each of them.

Two passes over the run: the first keeps a few numbers per session and picks; the second reads instructions,
reasons and images of the picked ones only.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from micebench.errors import MicebenchError
from micebench.report.text import LEGITIMATE, STATUS_WORDS, number, visible
from micebench.report.thumbnails import Thumbnail, thumbnail
from micebench.verdicts import METRICS

if TYPE_CHECKING:
    from micebench.engine.run import Run
    from micebench.sessions import Session

Key = tuple[str, int]
"""(session id, repeat)."""
Mood = Literal["pass", "fail", "plain", "absent", "gap"]
"""How a chip looks. absent: rightly without a value; gap: a value is missing."""

SHORT: dict[str, str] = {
    "IF": "IF",
    "GA": "GA",
    "CC.object": "objects",
    "CC.background": "background",
    "destroyed": "destroyed",
    "quality": "quality",
}
_YES_NO = ("IF", "GA")
_REASON = 600  # characters of a reason that the page shows
_INSTRUCTION = 3000


@dataclass(slots=True)
class Outcome:
    """How one session went, as far as picking and sorting need to know.

    `followed` holds one entry per turn: True, False, or None where no instruction-following verdict exists.
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


@dataclass(frozen=True, slots=True)
class Chip:
    """One verdict: what it is called, what it says, and why."""

    metric: str
    name: str
    says: str
    mood: Mood
    reason: str


@dataclass(frozen=True, slots=True)
class TurnCard:
    number: int
    instruction: str
    edit_type: str
    formatted: str
    wanted: str
    image: Thumbnail | None
    absence: str
    chips: tuple[Chip, ...]


@dataclass(frozen=True, slots=True)
class SessionCard:
    """One session on the page. `types` are indices into the page's list of edit types."""

    id: str
    repeat: int
    track: str
    category: str
    rule: str
    kind: str
    verdict: str
    gaps: int
    order: int
    source: Thumbnail | None
    turns: tuple[TurnCard, ...]

    @property
    def columns(self) -> int:
        return len(self.turns) + 1

    @property
    def image_width(self) -> int:
        shown = [image.width for image in (self.source, *(turn.image for turn in self.turns)) if image]
        return max([144, *shown])


@dataclass(slots=True)
class _Evidence:
    """Edits and verdicts of one picked session."""

    edits: dict[int, tuple[str, str | None, str]] = field(default_factory=dict)  # turn -> status, sha, reason
    verdicts: dict[tuple[int, str], tuple[str, float | None, str]] = field(default_factory=dict)


def outcomes(run: "Run") -> dict[Key, Outcome]:
    """A few numbers on every session and repeat of the run, in the run's order."""
    found: dict[Key, Outcome] = {}
    for session in run.sessions():
        for repeat in range(max(run.manifest.repeats, 1)):
            turns: list[bool | None] = [None] * len(session.turns)
            found[session.id, repeat] = Outcome(session.track, len(found), turns)
    judged: dict[Key, int] = defaultdict(int)
    metrics: set[str] = set()
    for verdict in run.verdicts():
        outcome = found.get((verdict.session, verdict.repeat))
        if outcome is None or not 1 <= verdict.turn <= len(outcome.followed):
            continue
        metrics.add(verdict.metric)
        judged[verdict.session, verdict.repeat] += 1
        if verdict.value is None:
            outcome.gaps += verdict.status not in LEGITIMATE
        elif verdict.metric == "IF":
            outcome.followed[verdict.turn - 1] = verdict.value > 0.5
        elif verdict.metric.startswith("CC."):
            outcome.consistency += verdict.value
            outcome.scored += 1
    for key, outcome in found.items():
        outcome.gaps += max(len(outcome.followed) * max(len(metrics), 1) - judged[key], 0)
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


def cards(run: "Run", found: Mapping[Key, Outcome], picked: Sequence[Key]) -> Iterator[SessionCard]:
    """The picked sessions, in the order given, with images read one session at a time."""
    wanted = set(picked)
    evidence: dict[Key, _Evidence] = {key: _Evidence() for key in picked}
    ids = {name for name, _ in wanted}
    sessions = {session.id: session for session in run.sessions() if session.id in ids}
    for edit in run.edits():
        if (edit.session, edit.repeat) in wanted:
            reason = visible(edit.reason or "", _REASON)
            evidence[edit.session, edit.repeat].edits[edit.turn] = (edit.status, edit.image, reason)
    metrics: set[str] = set()
    for verdict in run.verdicts():
        metrics.add(verdict.metric)
        if (verdict.session, verdict.repeat) in wanted:
            answer = (str(verdict.status), verdict.value, visible(verdict.reason or "", _REASON))
            evidence[verdict.session, verdict.repeat].verdicts[verdict.turn, verdict.metric] = answer
    asked = [*(name for name in METRICS if name in metrics), *sorted(metrics - set(METRICS))]
    for key in picked:
        yield _card(run, sessions[key[0]], key[1], found[key], evidence[key], asked)


def _card(
    run: "Run", session: "Session", repeat: int, outcome: Outcome, evidence: _Evidence, asked: Sequence[str]
) -> SessionCard:
    turns: list[TurnCard] = []
    for turn in session.turns:
        status, sha, reason = evidence.edits.get(turn.number, ("missing", None, ""))
        image = _stored(run, sha)
        absence = ""
        if image is None:
            said = {"failed": "the editor failed", "missing": "not edited yet"}.get(status, "image unreadable")
            absence = f"{said}: {reason}" if reason else said
        chips = tuple(
            chip
            for metric in asked
            if (chip := _chip(metric, evidence.verdicts.get((turn.number, metric)))) is not None
        )
        turns.append(
            TurnCard(
                number=turn.number,
                instruction=visible(turn.instruction, _INSTRUCTION),
                edit_type=visible(turn.edit_type or "", 60),
                formatted=visible(turn.formatted or "", _INSTRUCTION),
                wanted=visible(turn.target_description or "", _INSTRUCTION),
                image=image,
                absence=absence,
                chips=chips,
            )
        )
    return SessionCard(
        id=visible(session.id, 120),
        repeat=repeat,
        track=visible(session.track, 40),
        category=visible(session.category or "", 60),
        rule=visible(session.rule.text, _REASON) if session.rule else "",
        kind=outcome.kind,
        verdict=_verdict(outcome),
        gaps=outcome.gaps,
        order=outcome.order,
        source=_source(session),
        turns=tuple(turns),
    )


def _verdict(outcome: Outcome) -> str:
    failed = outcome.first_failure
    if failed is not None:
        return f"fails at turn {failed}"
    return "all turns pass" if outcome.kind == "pass" else "undetermined"


def _stored(run: "Run", sha: str | None) -> Thumbnail | None:
    if sha is None:
        return None
    try:
        return thumbnail(run.blob(sha))
    except (MicebenchError, OSError):
        return None


def _source(session: "Session") -> Thumbnail | None:
    try:
        return thumbnail(session.image.read())
    except MicebenchError:
        return None


def _chip(metric: str, answer: tuple[str, float | None, str] | None) -> Chip | None:
    """None for a plain "not destroyed", which needs no words."""
    name = SHORT.get(metric, visible(metric, 40))
    if answer is None:
        return Chip(metric, name, STATUS_WORDS["missing"], "gap", "")
    status, value, reason = answer
    if value is None:
        mood: Mood = "absent" if status in LEGITIMATE else "gap"
        return Chip(metric, name, STATUS_WORDS.get(status, visible(status, 40)), mood, reason)
    if metric == "destroyed":
        return Chip(metric, name, "yes", "fail", reason) if value > 0.5 else None
    if metric in _YES_NO:
        says = "" if value in (0.0, 1.0) else number(100 * value)
        return Chip(metric, name, says, "pass" if value > 0.5 else "fail", reason)
    return Chip(metric, name, number(100 * value), "plain", reason)
