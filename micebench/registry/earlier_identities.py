"""Identities that shipped cards had in micebench 0.1, when a card's hash covered import paths and descriptions.

What such a run contains is what the card of today describes, so accepted runs stay valid without being run again.
An entry belongs to one identity of today: a card, prompt or weight that changes leaves its earlier identity behind.
"""

import json
from functools import cache
from importlib import resources


def same_identity(recorded: str | None, current: str) -> bool:
    """Whether a run's recorded identity (sha256, hex) is the card's of today, or the one it had in micebench 0.1."""
    return recorded is not None and recorded in (current, _of_0_1().get(current))


@cache
def _of_0_1() -> dict[str, str]:
    """Identity of today -> identity in micebench 0.1."""
    return json.loads(resources.files("micebench.registry").joinpath("identities_of_0_1.json").read_text("utf-8"))
