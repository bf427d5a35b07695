"""The judges of photographs: a published protocol, or micebench's own, on detectors, features and a VLM."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from micebench.cards import JudgeCard, check_fields
from micebench.errors import CardError
from micebench.judges.models.base import Components
from micebench.judges.models.factory import build, probe_vlm
from micebench.judges.protocols.awareness import AwarenessRules, awareness
from micebench.judges.protocols.consistency import ConsistencyRules, consistency
from micebench.judges.protocols.following import FollowingRules, follow
from micebench.judges.runtime.scheduler import Check
from micebench.judges.runtime.session_judge import WalkingJudge
from micebench.judges.vlm.prompts import Prompts
from micebench.judges.vlm.questions import Asker, AskingRules
from micebench.verdicts import Question, Status, Verdict

Protocol = Literal["edival", "mice", "micebench"]


class PhotoOptions(BaseModel):
    """The options of a photo judge's card. What a metric does not need may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    protocol: Protocol
    following: dict[str, Any] = Field(default_factory=dict, description="FollowingRules, for IF")
    consistency: dict[str, Any] = Field(default_factory=dict, description="ConsistencyRules, for CC")
    awareness: AwarenessRules = AwarenessRules()
    asking: AskingRules = AskingRules()
    detector: dict[str, Any] | None = None
    features: dict[str, Any] | None = None
    reader: dict[str, Any] | None = None
    vlm: dict[str, Any] | None = None


class PhotoJudge(WalkingJudge):
    """IF, CC and GA of photographs.

    Everything its metrics need is loaded, and checked, when the judge is made: a card or a server that cannot work
    is one line then, not an `error` in every verdict.
    """

    def __init__(self, card: JudgeCard, components: Components | None = None) -> None:
        """Args: components: models to be used instead of the card's. Raises CardError."""
        where = f"judge {card.id!r}, options"
        options = check_fields(card.options, PhotoOptions, where=where)
        self._asker = Asker(Prompts(card), options.asking)
        self._awareness = options.awareness
        protocol = {"protocol": options.protocol}
        kinds = {metric.partition(".")[0] for metric in card.metrics}
        if "IF" in kinds:
            self._following = check_fields(protocol | options.following, FollowingRules, where=f"{where}.following")
        if "CC" in kinds:
            rules = protocol | options.consistency
            self._consistency = check_fields(rules, ConsistencyRules, where=f"{where}.consistency")
        _check_asking(options, kinds, where)
        said = {part: getattr(options, part) for part in ("vlm", "reader", "detector", "features")}
        super().__init__(components or build(card, said))

    @classmethod
    def probe(cls, card: JudgeCard) -> None:
        """Raises CardError: options that do not fit, or a VLM server that cannot be asked."""
        probe_vlm(card, check_fields(card.options, PhotoOptions, where=f"judge {card.id!r}, options").vlm)

    def checks(self, questions: Sequence[Question]) -> Iterator[tuple[Check, list[int]]]:
        by_kind: dict[str, list[int]] = {}
        for at, question in enumerate(questions):
            by_kind.setdefault(question.metric.partition(".")[0], []).append(at)
        for kind, positions in by_kind.items():
            asked = [questions[at] for at in positions]
            match kind:
                case "IF":
                    for at, question in zip(positions, asked, strict=True):
                        yield follow(question, self._following, self._asker), [at]
                case "CC":
                    ordered = sorted(positions, key=lambda at: questions[at].turn)
                    for _, turn in groupby(ordered, key=lambda at: questions[at].turn):
                        parts = list(turn)
                        yield consistency([questions[at] for at in parts], self._consistency), parts
                case "GA":
                    for check, order in awareness(asked, self._awareness, self._asker):
                        yield check, [positions[number] for number in order]
                case _:
                    yield _unknown(asked), positions


def _unknown(questions: Sequence[Question]) -> Check:
    yield from ()
    return [Verdict.missing(Status.NOT_APPLICABLE, f"a photo judge does not know {q.metric!r}") for q in questions]


def _check_asking(options: PhotoOptions, kinds: set[str], where: str) -> None:
    """Raises CardError for what no answer could come of."""
    reader = ("reader",) if options.following.get("text") == "reader" else ()
    for metric, parts in (("IF", ("detector", "vlm", *reader)), ("CC", ("detector",)), ("GA", ("vlm",))):
        missing = [part for part in parts if getattr(options, part) is None]
        if metric in kinds and missing:
            raise CardError(f"{where}: {metric} needs a {missing[0]}; describe one, or take {metric} out of metrics")
    votes = max(options.asking.votes if "IF" in kinds else 1, options.awareness.votes if "GA" in kinds else 1)
    if votes > 1 and options.vlm and not options.vlm.get("temperature"):
        raise CardError(f"{where}: {votes} votes at temperature 0 are one vote; set vlm.temperature, or votes: 1")
