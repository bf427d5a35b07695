"""A card whose options make no sense is refused with the field's name."""

import pytest

from micebench.cards import EditorCard
from micebench.editors.scripted import Clumsy, Drifting, Oracle
from micebench.errors import CardError


def card(**options):
    return EditorCard(id="x", description="x", domain="mini", editor="a:b", options=options)


@pytest.mark.parametrize(
    ("kind", "options", "named"),
    [
        (Drifting, {"blur_sigma_px": -1}, "blur_sigma_px"),
        (Drifting, {"blurr": 1}, "blurr"),
        (Clumsy, {"failure": {"subject_ad": 0.1}}, "subject_ad"),
        (Clumsy, {"failure": {"subject_add": 1.5}}, "probabilities"),
        (Clumsy, {}, "failure"),
        (Oracle, {"anything": 1}, "anything"),
    ],
)
def test_refused(kind, options, named):
    with pytest.raises(CardError, match=named):
        kind(card(**options))
