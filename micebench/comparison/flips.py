"""The sessions that flipped: what went wrong in each, and their pictures in both runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from micebench.report.formatting import visible, without_rule
from micebench.report.gallery import SessionCard, cards
from micebench.report.session_sampling import Key, Outcome, outcomes

if TYPE_CHECKING:
    from micebench.engine.run_reader import Run
    from micebench.sessions import Session

_WORDS = 300  # characters of an instruction or a reason


@dataclass(frozen=True, slots=True)
class Loss:
    """A session that failed where the base run's did not: the first turn that failed, and what the judge said."""

    session: str
    turn: int
    instruction: str
    reason: str


@dataclass(frozen=True, slots=True)
class Flip:
    """A session in both runs, of each the first repeat that went the way the session did."""

    base: SessionCard
    new: SessionCard


def losses(new: "Run", ids: Sequence[str]) -> list[Loss]:
    """The lost sessions in the order given, one pass over the run's verdicts; texts are made visible."""
    wanted = set(ids)
    first: dict[str, tuple[int, str]] = {}
    for verdict in new.verdicts():
        if verdict.session not in wanted or verdict.metric != "IF" or verdict.value is None or verdict.value > 0.5:
            continue
        if verdict.session not in first or verdict.turn < first[verdict.session][0]:
            first[verdict.session] = verdict.turn, verdict.reason
    said = {session.id: session for session in new.sessions() if session.id in first}
    found: list[Loss] = []
    for name in ids:
        turn, reason = first.get(name, (0, ""))
        instruction = _instruction(said[name], turn) if turn else ""
        found.append(Loss(visible(name, 120), turn, visible(instruction, _WORDS), visible(reason, _WORDS)))
    return found


def _instruction(session: "Session", turn: int) -> str:
    rule = session.rule.text if session.rule else ""
    return without_rule(session.turns[turn - 1].instruction, rule)


def flips(base: "Run", new: "Run", ids: Sequence[str], *, lost: bool) -> Iterator[Flip]:
    """The lost (or gained) sessions in the order given, in both runs; images are read one session at a time."""
    there, here = outcomes(base), outcomes(new)
    ones = cards(base, there, [_telling(there, name, passed=lost) for name in ids])
    others = cards(new, here, [_telling(here, name, passed=not lost) for name in ids])
    for one, other in zip(ones, others, strict=True):
        yield Flip(one, other)


def _telling(found: Mapping[Key, Outcome], name: str, *, passed: bool) -> Key:
    """The first repeat that went that way: the majority did, so that there is one."""
    repeat = 0
    while (name, repeat) in found:
        if (found[name, repeat].kind == "pass") == passed:
            return name, repeat
        repeat += 1
    return name, 0
