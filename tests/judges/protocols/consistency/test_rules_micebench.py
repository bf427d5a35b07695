"""One scene per deviation from the published protocols: upstream misjudges it, micebench does not."""

import pytest
from pydantic import ValidationError

from micebench.judges.models.base import Box
from micebench.judges.protocols.consistency import ConsistencyRules
from micebench.verdicts import Status
from tests.judges.protocols.consistency.bench import (
    EDIVAL,
    MICE,
    OURS,
    Detector,
    Eyes,
    judge,
    painted,
    plain,
    seen,
    session,
)

LEFT, RIGHT = Box(0.0, 0.25, 0.5, 0.75), Box(0.5, 0.25, 1.0, 0.75)
SOURCE, SAME = plain(200), plain(200)
NA, ERROR = Status.NOT_APPLICABLE, Status.ERROR


def finds(*found) -> Detector:
    return Detector(lambda grey, names: found)


def object_values(images, detector: Detector, about=None) -> tuple[float | None, float | None]:
    """(mice, micebench)."""
    return tuple(judge(rules, images, detector=detector, about=about)[0][0].value for rules in (MICE, OURS))


def background_values(images, detector: Detector, about=None) -> tuple[float | None, float | None]:
    return tuple(judge(rules, images, detector=detector, about=about)[0][1].value for rules in (MICE, OURS))


def test_an_edited_object_in_the_caption_of_unchanged_ones_is_told_by_its_label() -> None:
    """The detector boxes the (edited) hat for the caption `cat`; asked for both names, it says which is which."""
    output = painted(SAME, RIGHT, 90)
    detector = Detector(lambda grey, names: [seen("cat", LEFT), seen("hat" if "hat" in names else "cat", RIGHT, 0.5)])
    upstream, ours = object_values([SOURCE, output], detector)
    assert upstream < 0.7
    assert ours == pytest.approx(1)


def test_an_object_with_three_boxes_counts_once() -> None:
    about = session(unchanged=("cat", "dog"), every=("cat", "dog"))
    output = painted(SAME, RIGHT, 90)
    boxes = [seen("cat", LEFT, 0.9), seen("cat", LEFT, 0.8), seen("cat", LEFT, 0.7), seen("dog", RIGHT)]
    upstream, ours = object_values([SOURCE, output], finds(*boxes), about)
    spoilt = judge(
        OURS, [SOURCE, output], detector=finds(boxes[-1]), about=session(unchanged=("dog",), every=("dog",))
    )
    assert ours == pytest.approx((1 + spoilt[0][0].value) / 2)
    assert upstream == pytest.approx((3 + spoilt[0][0].value) / 4)


def test_a_box_is_matched_with_the_same_instance_not_the_same_rectangle() -> None:
    """The object shifted by a few pixels: still itself. The corners' greys tell the images apart."""
    place, shifted = Box(0.25, 0.25, 0.5, 0.5), Box(0.328125, 0.25, 0.578125, 0.5)
    source, output = painted(plain(20), place, 140), painted(plain(21), shifted, 140)
    matching = Detector(lambda grey, names: [seen("cat", place if grey == 20 else shifted)])
    upstream, ours = object_values([source, output], matching)
    assert ours == pytest.approx(1)
    assert upstream < 0.5


def test_an_object_that_went_elsewhere_is_compared_with_what_took_its_place() -> None:
    source, output = painted(plain(120), LEFT, 230), painted(plain(121), RIGHT, 230)
    went = Detector(lambda grey, names: [seen("cat", RIGHT if grey == 121 else LEFT)])
    ((kept, _),) = judge(OURS, [source, output], detector=went)
    assert kept.value < 0.2


def test_an_object_not_found_in_the_output_is_measured_at_its_place() -> None:
    gone = Detector(lambda grey, names: [seen("cat", LEFT)] if grey == 200 else [])
    ((kept, _),) = judge(OURS, [SOURCE, plain(60)], detector=gone)
    assert kept.status == Status.OK
    assert kept.value < 0.2


def test_an_object_the_source_does_not_show_is_not_measured_and_said_to_be_so() -> None:
    about = session(unchanged=("cat", "ghost"), every=("cat", "ghost"))
    ((kept, _),) = judge(OURS, [SOURCE, SAME], detector=finds(seen("cat", LEFT)), about=about)
    assert kept.value == pytest.approx(1)
    assert "not found in the source: ghost" in kept.reason
    # None found: upstream says 0.0 (EdiVal), which is a statement about the detector.
    ((upstream, _),) = judge(EDIVAL, [SOURCE, SAME], detector=finds())
    ((ours, _),) = judge(OURS, [SOURCE, SAME], detector=finds())
    assert (upstream.value, ours.status) == (0.0, NA)


def test_a_background_whose_parts_changed_places_is_not_the_same_background() -> None:
    dark, bright = Box(0.0, 0.5, 0.5, 1.0), Box(0.5, 0.5, 1.0, 1.0)
    source = painted(painted(plain(128), dark, 10), bright, 250)
    output = painted(painted(plain(128), dark, 250), bright, 10)
    upstream, ours = background_values([source, output], finds(seen("hat", Box(0.0, 0.0, 0.2, 0.2))))
    assert upstream == pytest.approx(1, abs=0.01)
    assert ours < 0.8


def test_a_background_of_which_nothing_is_left_is_not_applicable() -> None:
    nearly = finds(seen("hat", Box(0, 0, 0.95, 1)))
    upstream, ours = (judge(rules, [SOURCE, SAME], detector=nearly)[0][1] for rules in (MICE, OURS))
    assert (upstream.value, ours.status) == (0.0, NA)


def test_a_box_around_everything_does_not_hide_the_background() -> None:
    """A detector that boxes the whole image upstream wipes out the measurement."""
    whole = finds(seen("hat", Box(0.005, 0.005, 0.995, 0.995)), seen("cat", LEFT))
    damaged = painted(SAME, RIGHT, 20)
    upstream, ours = background_values([SOURCE, damaged], whole)
    assert upstream is None
    assert 0.3 < ours < 0.95


def test_a_background_is_measured_even_if_every_object_was_edited() -> None:
    about = session(unchanged=())
    upstream, ours = background_values([SOURCE, SAME], finds(seen("hat", LEFT)), about)
    assert upstream is None
    assert ours == pytest.approx(1)


def test_an_image_without_annotated_objects_is_all_background_and_one_without_annotation_unknown() -> None:
    detector = finds(seen("hat", LEFT))
    ((kept, scene),) = judge(OURS, [SOURCE, SAME], detector=detector, about=session(unchanged=(), every=()))
    assert (kept.status, scene.value, detector.asked) == (NA, pytest.approx(1), [])
    ((kept, scene),) = judge(OURS, [SOURCE, SAME], detector=detector, about=session(unchanged=None, every=None))
    assert (kept.status, scene.status) == (NA, NA)
    ((_, scene),) = judge(OURS, [SOURCE, SAME], detector=finds())  # there are objects, but where?
    assert scene.status == NA


def test_objects_are_still_measured_after_a_background_change_and_the_background_is_not() -> None:
    ((kept, scene),) = judge(OURS, [SOURCE, SAME], detector=finds(seen("cat", LEFT)), about=session(kept=False))
    assert (kept.value, scene.status) == (pytest.approx(1), NA)
    assert (
        judge(EDIVAL, [SOURCE, SAME], detector=finds(seen("cat", LEFT)), about=session(kept=False))[0][0].status == NA
    )


def test_names_that_appear_later_do_not_cover_the_background_now() -> None:
    about = session(turns=1, every=("cat",))
    detector = finds(seen("cat", LEFT), seen("umbrella", RIGHT))
    ((_, scene),) = judge(OURS, [SOURCE, painted(SAME, RIGHT, 20)], detector=detector, about=about)
    assert scene.value < 0.95


def test_nothing_is_squashed_and_an_output_of_another_size_takes_the_source_s() -> None:
    wide = plain(200, width=128, height=32)
    ((kept, scene),) = judge(OURS, [wide, plain(200, width=64, height=16)], detector=finds(seen("cat", LEFT)))
    assert (kept.value, scene.value) == (pytest.approx(1), pytest.approx(1))


def test_a_component_that_fails_is_a_status_and_costs_only_its_part() -> None:
    about = session(unchanged=())
    eyes = Eyes(broken=True)
    ((kept, scene),) = judge(OURS, [SOURCE, SAME], detector=finds(seen("hat", LEFT)), eyes=eyes, about=about)
    assert (kept.status, scene.status) == (NA, ERROR)
    ((kept, scene),) = judge(OURS, [SOURCE, SAME], detector=Detector(lambda grey, names: (), broken=True))
    assert (kept.status, scene.status) == (ERROR, ERROR)


def test_upstreams_zeros_and_slips_cannot_be_switched_on_here() -> None:
    for slip in ({"undetected": "zero"}, {"covered": "zero"}, {"registers_as_patches": True}):
        with pytest.raises(ValidationError, match="micebench never"):
            ConsistencyRules(protocol="micebench", **slip)
