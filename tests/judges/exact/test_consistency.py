"""CC is 1 - mean|difference| / 0.25 over exactly the stated pixels, against the source, and continuous."""

import numpy as np
import pytest

from micebench.mini.render import render, silhouette
from micebench.verdicts import Status
from tests.judges.exact.test_judge_planted_errors import GROUND, RECOLOR, REMOVE, SOURCE, references
from tests.judges.scenario import ask, session_of


@pytest.mark.parametrize("shift", [1, 10, 30])
def test_a_uniform_shift_costs_its_share(shift):
    source, right = references(SOURCE, [RECOLOR])
    room = np.where(right.astype(int) + shift <= 255, shift, -shift)
    verdicts = ask(session_of(SOURCE, [RECOLOR]), [source, (right + room).astype(np.uint8)])
    assert verdicts["CC.object"].value == pytest.approx(1 - shift / 255 / 0.25, abs=1e-6)
    assert verdicts["CC.background"].value == pytest.approx(1 - shift / 255 / 0.25, abs=1e-6)


def test_only_the_objects_own_pixels_count():
    source, right = references(SOURCE, [RECOLOR])
    inside = silhouette("circle")[0] > 0.99
    harmed = right.copy()
    harmed[16:32, 16:32][~inside] = 0  # all around the circle, nothing of it
    assert ask(session_of(SOURCE, [RECOLOR]), [source, harmed])["CC.object"].value == 1.0


def test_nothing_to_measure_is_not_a_score():
    lonely = type(SOURCE)(SOURCE.background, SOURCE.things[:1])
    verdicts = ask(session_of(lonely, [RECOLOR]), references(lonely, [RECOLOR]))
    assert (verdicts["CC.object"].status, verdicts["CC.object"].value) == (Status.NOT_APPLICABLE, None)
    changed = ask(session_of(SOURCE, [GROUND]), references(SOURCE, [GROUND]))
    assert changed["CC.background"].status == Status.NOT_APPLICABLE
    assert changed["CC.object"].value == 1.0


def test_a_broken_annotation_blames_no_editor():
    session = session_of(SOURCE, [REMOVE])
    broken = type(session.turns[0])(1, "x", "subject_remove", "Remove [blue elephant]", ("pink ghost",), (), (), True)
    session = type(session)("s", "t", "plain", session.image, (broken,))
    verdicts = ask(session, references(SOURCE, [REMOVE]))
    assert verdicts["IF"].status == verdicts["GA"].status == Status.INVALID_ANNOTATION
    assert verdicts["CC.object"].status == Status.INVALID_ANNOTATION
    assert verdicts["CC.background"].status == Status.OK


def test_a_foreign_image_is_an_error_not_a_zero():
    image = render(SOURCE)
    verdicts = ask(session_of(SOURCE, [REMOVE]), [image, np.zeros((64, 64, 3), np.uint8)])
    assert {verdict.status for verdict in verdicts.values()} == {Status.ERROR}
