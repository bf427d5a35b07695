"""The judges of MSE-Bench and LME-Bench: a vision-language model gives scores, rules make verdicts of them.

IF         Two scores, 0 to 10, from the whole session so far: was the last instruction followed, and is what it did
           not touch still as before? The turn passes if both exceed 6. So turn success at k is the benchmarks' SR@k.
destroyed  LME-Bench: content loss (0 to 2) and surface corruption (0 to 2) of this frame against the source, with
           the instructions at hand; destroyed if they add up to 2. Two destroyed turns in a row are a collapse.

Judging IF stops at a session's first failure: the later turns are `not_applicable`, and SR@k still counts the
session as failed. Published: VINCIE (evaluation/compute_score.py @ be1c661), MT-OPSD (mtopsd/judge.py @ d100d2c).
What differs here: an unreadable reply is `unparsed`, never asked 20 times until it fits, and images are lossless.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from micebench.cards import JudgeCard, check_fields
from micebench.errors import CardError
from micebench.judges.models.base import Components, Reply, Request
from micebench.judges.models.factory import build, probe_vlm
from micebench.judges.runtime.scheduler import Check, Unanswered, said_verbatim, total_usage
from micebench.judges.runtime.session_judge import WalkingJudge
from micebench.judges.vlm.prompts import Prompts
from micebench.judges.vlm.questions import Asker, AskingRules
from micebench.judges.vlm.reasoning import Unreadable
from micebench.judges.vlm.score_objects import read_scores
from micebench.verdicts import Question, Status, Verdict

FOLLOWING = ("prompt_following", "consistency")
DAMAGE = ("content_loss", "surface_corruption")
_ASKED = {"IF", "destroyed"}


class ScoringRules(BaseModel):
    """How scores become verdicts; the defaults are the published values."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    passes_above: float = Field(default=6, ge=0, lt=10, description="IF: both scores must exceed it")
    destroyed_from: int = Field(default=2, ge=1, le=4, description="destroyed: sum of the two damages")
    stop_at_failure: bool = Field(default=True, description="turns after a session's first failure are not judged")


class ScoringOptions(BaseModel):
    """The options of a card."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: ScoringRules = ScoringRules()
    seed: int = Field(default=0, ge=0, description="of the model's sampling; every question's is derived from it")
    vlm: dict[str, Any]


class ScoringJudge(WalkingJudge):
    """IF and destroyed by scores. Prompts: ``prompt_following.md.j2`` and ``prompt_damage.md.j2`` beside the card."""

    def __init__(self, card: JudgeCard, components: Components | None = None) -> None:
        """Args: components: models to be used instead of the card's. Raises CardError."""
        options = check_fields(card.options, ScoringOptions, where=f"judge {card.id!r}, options")
        unknown = [name for name in card.metrics if name not in _ASKED]
        if unknown:
            raise CardError(f"judge {card.id!r} cannot judge {unknown[0]!r}: give IF, destroyed, or both")
        super().__init__(components or build(card, {"vlm": options.vlm}))
        self._asker = Asker(Prompts(card), AskingRules(seed=options.seed))
        self._rules = options.rules

    @classmethod
    def probe(cls, card: JudgeCard) -> None:
        """Raises CardError: options that do not fit, or a VLM server that cannot be asked."""
        probe_vlm(card, check_fields(card.options, ScoringOptions, where=f"judge {card.id!r}, options").vlm)

    def checks(self, questions: Sequence[Question]) -> Iterator[tuple[Check, list[int]]]:
        """IF in turn order, in one check where it may stop; destroyed frame by frame."""
        order = sorted(range(len(questions)), key=lambda at: (questions[at].metric, questions[at].turn))
        for metric, places in groupby(order, key=lambda at: questions[at].metric):
            positions = list(places)
            asked = [questions[at] for at in positions]
            if metric == "IF" and self._rules.stop_at_failure:
                yield passes(asked, self._rules, self._asker), positions
            elif metric == "IF":
                yield from (
                    (passes([one], self._rules, self._asker), [at]) for at, one in zip(positions, asked, strict=True)
                )
            else:
                yield from (
                    (damage(one, self._rules, self._asker), [at]) for at, one in zip(positions, asked, strict=True)
                )


def passes(questions: Sequence[Question], rules: ScoringRules, asker: Asker) -> Check:
    """IF of some turns of one walk, in order, up to the first that fails."""
    verdicts: list[Verdict] = []
    failed: int | None = None
    for question in questions:
        if failed is not None:
            verdicts.append(Verdict.missing(Status.NOT_APPLICABLE, f"not judged: turn {failed} has failed"))
            continue
        told, said = yield from _scores("following", question, question.images, asker, FOLLOWING, 10)
        if said is not None:
            passed = all(score > rules.passes_above for score in said.values())
            told = replace(told, status=Status.OK, value=float(passed), reason=_said(said))
            failed = None if passed else question.turn
        verdicts.append(told)
    return verdicts


def damage(question: Question, rules: ScoringRules, asker: Asker) -> Check:
    """destroyed, from the source and this frame alone."""
    frames = (question.images[0], question.images[-1])
    told, said = yield from _scores("damage", question, frames, asker, DAMAGE, 2)
    if said is not None:
        destroyed = sum(said.values()) >= rules.destroyed_from
        told = replace(told, status=Status.OK, value=float(destroyed), reason=_said(said))
    return [told]


def _scores(
    prompt: str, question: Question, images: Sequence[Any], asker: Asker, names: Sequence[str], top: int
) -> Generator[Request, Any, tuple[Verdict, dict[str, float] | None]]:
    """(verdict without a value but with all that was said, the scores if they could be read)."""
    turns = question.session.turns[: question.turn]
    text = asker.prompts.render(prompt, instructions=[turn.instruction for turn in turns], last=question.turn)
    try:
        reply: Reply = yield asker.ask(text, images)
    except Unanswered as error:
        failure = error.failure
        return Verdict(failure.status, None, failure.reason, raw=said_verbatim(failure)), None
    told = Verdict(Status.UNPARSED, None, "", (), said_verbatim(reply), total_usage([reply]), reply.latency_s)
    try:
        return told, read_scores(reply.spoken[0], names, top)
    except Unreadable as error:
        return replace(told, reason=str(error)), None


def _said(scores: Mapping[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {score:g}" for name, score in scores.items())
