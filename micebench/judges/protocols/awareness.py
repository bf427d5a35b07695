"""Global awareness (GA): does everything up to turn k comply with all the user has asked for so far?

MICE-Bench's question (Edit-R2 @ 2dd266f, paper section on global awareness): the judge sees the source image, the
outputs of turns 1..k and the dialogue, walks through the turns, and says whether the whole prefix holds.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from micebench.judges.models.base import Failure, Reply, Request
from micebench.judges.runtime.scheduler import Check, Unanswered, said_verbatim, total_usage
from micebench.judges.vlm import tag_parsing
from micebench.judges.vlm.questions import Asker
from micebench.judges.vlm.reasoning import Unreadable
from micebench.sessions import Session
from micebench.verdicts import Question, Status, Verdict

SUCCESS = 0.5
"""A prefix with more than this holds."""


class AwarenessRules(BaseModel):
    """A photo judge's ``options.awareness``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    votes: int = Field(default=1, ge=1, le=64, description="replies averaged; all of them must be readable")
    parse: Literal["strict", "first_match"] = Field(
        default="strict",
        description="strict: one tag per turn and one final tag that agree; "
        "first_match: the first final tag, whatever else is said (as published)",
    )
    stop_at_failure: bool = Field(
        default=True, description="a prefix is not asked about once an earlier one has failed: it fails too"
    )


def awareness(
    questions: Sequence[Question], rules: AwarenessRules, asker: Asker
) -> Iterator[tuple[Check, list[int]]]:
    """The checks for a session's GA questions, each with the positions of the questions it answers.

    The value of turn k is the verdict on the prefix 1..k by itself; metrics take the running minimum. With
    `stop_at_failure` one check goes through the turns in order: it asks again about an earlier prefix whose verdict
    is not wanted this time, since what follows depends on it. Without, prefixes are independent.
    """
    order = sorted(range(len(questions)), key=lambda number: questions[number].turn)
    if questions[0].session.track == "plain":
        yield _not_applicable(len(order)), order
    elif rules.stop_at_failure:
        yield _in_order([questions[number] for number in order], rules, asker), order
    else:
        for number in order:
            yield _apart(questions[number], rules, asker), [number]


def _not_applicable(count: int) -> Check:
    yield from ()
    return [Verdict.missing(Status.NOT_APPLICABLE, "no standing rule and no pronouns")] * count


def _apart(question: Question, rules: AwarenessRules, asker: Asker) -> Check:
    return [(yield from _prefix(question, rules, asker))]


def _in_order(questions: Sequence[Question], rules: AwarenessRules, asker: Asker) -> Check:
    wanted = {question.turn for question in questions}
    last = questions[-1]
    verdicts: list[Verdict] = []
    failed: int | None = None
    for turn in range(1, last.turn + 1):
        if failed is None:
            verdict = yield from _prefix(replace(last, turn=turn, images=last.images[: turn + 1]), rules, asker)
            if verdict.value is not None and verdict.value <= SUCCESS:
                failed = turn
        else:
            verdict = Verdict.ok(0.0, f"not asked: the prefix up to turn {failed} had failed")
        if turn in wanted:
            verdicts.append(verdict)
    return verdicts


class _Vote(NamedTuple):
    complies: bool
    reason: str


def _prefix(question: Question, rules: AwarenessRules, asker: Asker) -> Generator[Request, Any, Verdict]:
    """One call about the prefix 1..turn; what went wrong with it is the verdict's status."""
    text = asker.prompts.render(f"ga_{question.session.track}", **dialogue(question.session, question.turn))
    try:
        reply: Reply = yield asker.ask(text, question.images, votes=rules.votes)
    except Unanswered as error:
        failure: Failure = error.failure
        return Verdict(failure.status, None, failure.reason, raw=said_verbatim(failure))
    told = Verdict(Status.UNPARSED, None, "", (), said_verbatim(reply), total_usage([reply]), reply.latency_s)
    try:
        votes = [_read(said, question.turn, rules) for said in reply.spoken]
    except Unreadable as error:
        return replace(told, reason=str(error))
    values = tuple(float(vote.complies) for vote in votes)
    value = sum(values) / len(values)
    reason = next(vote.reason for vote in votes if vote.complies == (value > SUCCESS))
    return replace(told, status=Status.OK, value=value, reason=reason, votes=values if len(values) > 1 else ())


def dialogue(session: Session, turn: int) -> dict[str, Any]:
    """What fills a GA prompt: `turns` (number, instruction as the user wrote it, formatted), `rule`, `last`."""
    turns = [
        {"number": said.number, "instruction": said.instruction, "formatted": said.formatted or ""}
        for said in session.turns[:turn]
    ]
    rule = session.rule
    return {
        "turns": turns,
        "last": turn,
        "rule": {"attribute": rule.attribute, "value": rule.value} if rule else None,
    }


def _read(reply: str, turn: int, rules: AwarenessRules) -> _Vote:
    if rules.parse == "first_match":
        complies = tag_parsing.first_final(reply)
        return _Vote(complies, "complies with everything so far" if complies else "does not comply")
    failed = tag_parsing.strict(reply, turn)
    if failed is None:
        return _Vote(True, "complies with everything so far")
    return _Vote(False, f"turn {failed.turn}: {failed.reason or 'does not comply'}")
