"""Whether the servers that a judge would ask are there, found out before hours of editing rather than after them."""

from micebench.cards import JudgeCard, made, resolve_kind


def probe(card: JudgeCard) -> None:
    """Let the class of a judge's card look for what it needs from others; loads no weights, asks no question.

    A class that needs to has a class method ``probe(card)``. Raises CardError as making the judge would.
    """
    where = f"judge {card.id!r}"
    look = getattr(resolve_kind("judge", card.judge, where=where), "probe", None)
    if look is not None:
        made(card.judge, look, card, where=where)
