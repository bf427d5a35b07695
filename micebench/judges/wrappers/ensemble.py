"""Several judges as one: the mean of their values, and how each of them voted."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from micebench.cards import JudgeCard, check_fields
from micebench.errors import CardError
from micebench.judges.models.base import Reply
from micebench.judges.runtime.scheduler import total_usage
from micebench.judges.wrappers.nested import Member, build_member, probe_member
from micebench.verdicts import Question, Status, Verdict

_GRAVEST = (Status.ERROR, Status.REFUSED, Status.UNPARSED, Status.INVALID_ANNOTATION, Status.NOT_APPLICABLE)


class EnsembleOptions(BaseModel):
    """The options of an ensemble's card."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    members: list[Member] = Field(min_length=2)
    require: int | None = Field(default=None, ge=1, description="members that must give a value; None: all")


class EnsembleJudge:
    """Every member answers every question.

    The value is the mean of the members' values, which are kept as votes in the members' order. Where fewer than
    `require` members have a value there is none: the status is the gravest of theirs, and the reason names whose.
    """

    def __init__(self, card: JudgeCard) -> None:
        """Builds the members. Raises CardError: unknown, of another version, not asked the same metrics."""
        options = check_fields(card.options, EnsembleOptions, where=f"judge {card.id!r}, options")
        self._names = [member.judge for member in options.members]
        if len(set(self._names)) < len(self._names):
            raise CardError(f"judge {card.id!r}: a member comes twice in {', '.join(self._names)}")
        self._require = options.require or len(self._names)
        if self._require > len(self._names):
            raise CardError(f"judge {card.id!r}: requires {self._require} of {len(self._names)} members")
        self._members = [build_member(card, member) for member in options.members]

    @classmethod
    def probe(cls, card: JudgeCard) -> None:
        """Probes every member. Raises CardError."""
        for member in check_fields(card.options, EnsembleOptions, where=f"judge {card.id!r}, options").members:
            probe_member(card, member)

    def judge(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict per question, in order."""
        answers = [member.judge(questions) for member in self._members]
        return [self._merged(verdicts) for verdicts in zip(*answers, strict=True)]

    def _merged(self, verdicts: Sequence[Verdict]) -> Verdict:
        values = [verdict.value for verdict in verdicts if verdict.value is not None]
        named = list(zip(self._names, verdicts, strict=True))
        told = Verdict(
            Status.NOT_APPLICABLE,
            votes=tuple(values),
            raw=tuple(text for verdict in verdicts for text in verdict.raw),
            usage=total_usage(Reply((), usage=verdict.usage) for verdict in verdicts),
            latency_s=_total(verdicts),
        )
        return _without_value(told, named) if len(values) < self._require else _with_value(told, values, named)


def _with_value(told: Verdict, values: Sequence[float], named: Sequence[tuple[str, Verdict]]) -> Verdict:
    said = [f"{name} {v.status.value if v.value is None else format(v.value, '.2f')}" for name, v in named]
    mean = min(1.0, max(0.0, sum(values) / len(values)))  # a mean of ones may exceed one by a rounding
    return Verdict(Status.OK, mean, ", ".join(said), told.votes, told.raw, told.usage, told.latency_s)


def _without_value(told: Verdict, named: Sequence[tuple[str, Verdict]]) -> Verdict:
    missing = [(name, verdict) for name, verdict in named if verdict.value is None]
    name, gravest = min(missing, key=lambda pair: _GRAVEST.index(pair[1].status))
    return Verdict(
        gravest.status, None, f"{name}: {gravest.reason}", told.votes, told.raw, told.usage, told.latency_s
    )


def _total(verdicts: Sequence[Verdict]) -> float | None:
    known = [verdict.latency_s for verdict in verdicts if verdict.latency_s is not None]
    return sum(known) if known else None
