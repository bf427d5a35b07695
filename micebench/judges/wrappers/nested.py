"""Judges made of other judges: how a card names them."""

from typing import cast

from pydantic import BaseModel, ConfigDict, Field

from micebench.cards import JudgeCard, load_card, made, resolve_kind
from micebench.errors import CardError
from micebench.judges.base import Judge
from micebench.judges.runtime.preflight import probe


class Member(BaseModel):
    """A judge card. Its version is pinned: a member that scores differently makes whoever asks it another judge."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    judge: str
    version: int = Field(ge=1)


def build_member(card: JudgeCard, member: Member) -> Judge:
    """The judge that `card` asks: one of the shipped cards, or of those in the folder `card` lies in.

    Raises:
        CardError: unknown, of another version or domain, not asked all of `card`'s metrics.
    """
    found = _card_of(card, member)
    where = f"judge {card.id!r}: member {member.judge!r}"
    return cast(Judge, made(found.judge, resolve_kind("judge", found.judge, where=where), found, where=where))


def probe_member(card: JudgeCard, member: Member) -> None:
    """Whether that judge could be made, as far as that shows without weights. Raises CardError as `build_member`."""
    probe(_card_of(card, member))


def _card_of(card: JudgeCard, member: Member) -> JudgeCard:
    where = f"judge {card.id!r}: member {member.judge!r}"
    beside = (card.folder.parent.parent,) if card.folder else ()
    found = load_card(JudgeCard, member.judge, beside)
    if found.version != member.version:
        raise CardError(f"{where} is version {found.version} now, pinned is {member.version}; raise both versions")
    if card.domain not in (found.domain, "any") and found.domain != "any":
        raise CardError(f"{where} judges {found.domain} images, the card {card.domain} ones")
    lacking = [metric for metric in card.metrics if metric not in found.metrics]
    if lacking:
        raise CardError(f"{where} is not asked about {lacking[0]}; take it out of metrics")
    return found
