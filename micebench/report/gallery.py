"""Everything the page says about the sessions it shows, read from the run for those sessions only."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

from micebench.errors import MicebenchError
from micebench.report.formatting import LEGITIMATE, STATUS_WORDS, number, visible, without_rule
from micebench.report.session_sampling import Key, Outcome
from micebench.report.thumbnails import Thumbnail, thumbnail
from micebench.verdicts import MetricName, instruction_asked

if TYPE_CHECKING:
    from micebench.engine.run_reader import Run
    from micebench.sessions import Session, Turn

Mood = Literal["pass", "fail", "plain", "absent", "gap"]
"""How a chip looks. absent: rightly without a value; gap: a value is missing."""

SHORT: dict[MetricName, str] = {
    "IF": "IF",
    "GA": "GA",
    "CC.object": "objects",
    "CC.background": "background",
    "quality": "quality",
    "destroyed": "destroyed",
}
"""What can be asked, in the order and with the names of the chips."""
_YES_NO = ("IF", "GA")
_REASON = 600  # characters of a reason that the page shows
_INSTRUCTION = 3000
_ABSENCE = {"failed": "the editor failed", "refused": "the editor refused", "missing": "not edited yet"}


@dataclass(frozen=True, slots=True)
class Chip:
    """One verdict: what it is called, what it says, and why."""

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
        return max([160, *shown])


@dataclass(slots=True)
class _Evidence:
    """Edits and verdicts of one picked session."""

    edits: dict[int, tuple[str, str | None, str]] = field(default_factory=dict)  # turn -> status, sha, reason
    verdicts: dict[tuple[int, str], tuple[str, float | None, str]] = field(default_factory=dict)


def cards(
    run: "Run", found: Mapping[Key, Outcome], picked: Sequence[Key], *, reasons: bool = True
) -> Iterator[SessionCard]:
    """The picked sessions, in the order given, with images read one session at a time.

    `reasons`: with what the editor and the judge have written about failed edits and verdicts.
    """
    wanted = set(picked)
    evidence: dict[Key, _Evidence] = {key: _Evidence() for key in picked}
    ids = {name for name, _ in wanted}
    sessions = {session.id: session for session in run.sessions() if session.id in ids}
    for edit in run.edits():
        if (edit.session, edit.repeat) in wanted:
            reason = visible(edit.reason or "", _REASON) if reasons else ""
            evidence[edit.session, edit.repeat].edits[edit.turn] = (edit.status, edit.image, reason)
    for verdict in run.verdicts():
        if (verdict.session, verdict.repeat) in wanted:
            reason = visible(verdict.reason or "", _REASON) if reasons else ""
            answer = (str(verdict.status), verdict.value, reason)
            evidence[verdict.session, verdict.repeat].verdicts[verdict.turn, verdict.metric] = answer
    asked = _in_order(run.manifest.metrics)
    for key in picked:
        session = sessions[key[0]]
        rule = session.rule.text if session.rule else ""
        turns = tuple(_turn(run, turn, rule, evidence[key], asked) for turn in session.turns)
        yield _card(session, key[1], found[key], turns)


def _in_order(metrics: Sequence[str]) -> list[str]:
    """What the page shows of the metrics asked for; IF of earlier instructions in the same image after IF."""
    earlier = [name for name in metrics if instruction_asked(name)]
    named = [name for name in SHORT if name in metrics]
    return [one for name in named for one in ([name, *earlier] if name == "IF" else [name])]


def _turn(run: "Run", turn: "Turn", rule: str, evidence: _Evidence, asked: Sequence[str]) -> TurnCard:
    asked = [name for name in asked if instruction_asked(name) < turn.number]
    status, sha, reason = evidence.edits.get(turn.number, ("missing", None, ""))
    image = _stored(run, sha)
    absence = _ABSENCE.get(status, "image unreadable") + (f": {reason}" if reason else "")
    if any((turn.number, metric) in evidence.verdicts for metric in asked):
        chips = [_chip(metric, evidence.verdicts.get((turn.number, metric))) for metric in asked]
    else:
        chips = [Chip(STATUS_WORDS["missing"], "", "gap", "")] if asked else []
    return TurnCard(
        number=turn.number,
        instruction=visible(without_rule(turn.instruction, rule), _INSTRUCTION),
        edit_type=visible(turn.edit_type or "", 60),
        formatted=visible(turn.formatted or "", _INSTRUCTION),
        wanted=visible(turn.target_description or "", _INSTRUCTION),
        image=image,
        absence="" if image else absence,
        chips=tuple(chip for chip in chips if chip is not None),
    )


def _card(session: "Session", repeat: int, outcome: Outcome, turns: tuple[TurnCard, ...]) -> SessionCard:
    return SessionCard(
        id=visible(session.id, 120),
        repeat=repeat,
        track=visible(session.track, 40),
        category=visible(session.category or "", 60),
        rule=visible(session.rule.text, _INSTRUCTION) if session.rule else "",
        kind=outcome.kind,
        verdict=_verdict(outcome),
        gaps=outcome.gaps,
        order=outcome.order,
        source=_source(session),
        turns=turns,
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
    earlier = instruction_asked(metric)
    name = f"IF of {earlier}" if earlier else SHORT[cast(MetricName, metric)]
    if answer is None:
        return Chip(name, STATUS_WORDS["missing"], "gap", "")
    status, value, reason = answer
    if value is None:
        mood: Mood = "absent" if status in LEGITIMATE else "gap"
        return Chip(name, STATUS_WORDS.get(status, visible(status, 40)), mood, reason)
    if metric == "destroyed":
        return Chip(name, "yes", "fail", reason) if value > 0.5 else None
    if earlier or metric in _YES_NO:
        says = "" if value in (0.0, 1.0) else number(100 * value)
        return Chip(name, says, "pass" if value > 0.5 else "fail", reason)
    return Chip(name, number(100 * value), "plain", reason)
