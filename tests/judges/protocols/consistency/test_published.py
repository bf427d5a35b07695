"""EdiVal @ a7bbdec and Edit-R2 (MICE) @ 2dd266f: what is measured, and what is undefined, case by case."""

import numpy as np
import pytest

from micebench.judges.models.base import Box, FeatureMap
from micebench.judges.models.images import compressed
from micebench.judges.protocols.consistency.similarity import (
    guessed_grid,
    object_similarity,
    patchwise_similarity,
    pooled_similarity,
)
from micebench.verdicts import Status
from tests.judges.protocols.consistency.bench import (
    EDIVAL,
    MICE,
    SIDE,
    Detector,
    Eyes,
    Picture,
    judge,
    painted,
    plain,
    seen,
    session,
)

LEFT, RIGHT = Box(0.0, 0.25, 0.5, 0.75), Box(0.5, 0.25, 1.0, 0.75)
SOURCE = plain(200)
SAME, DARKER = plain(200), plain(90)
PUBLISHED = pytest.mark.parametrize("rules", [EDIVAL, MICE], ids=["edival", "mice"])
NA, ERROR = Status.NOT_APPLICABLE, Status.ERROR


def finds(*found) -> Detector:
    """The same in every image."""
    return Detector(lambda grey, names: found)


@PUBLISHED
def test_an_image_that_did_not_change_is_fully_consistent(rules) -> None:
    ((kept, scene),) = judge(rules, [SOURCE, SAME], detector=finds(seen("cat", LEFT)))
    assert kept.value == pytest.approx(1)
    assert scene.value == pytest.approx(1)


@PUBLISHED
def test_the_object_part_is_a_mean_over_boxes_whatever_their_labels(rules) -> None:
    output = painted(SAME, RIGHT, 90)
    boxes = [seen("cat", LEFT), seen("cat", LEFT), seen("hat", RIGHT)]
    ((kept, _),) = judge(rules, [SOURCE, output], detector=finds(*boxes), eyes=Eyes())
    eyes = Eyes()
    spoilt = object_similarity(eyes.map(plain(200)), eyes.map(plain(90)), class_share=0.5)
    assert kept.value == pytest.approx((2 + spoilt) / 3)
    assert spoilt < 0.2


@PUBLISHED
def test_the_unchanged_names_form_one_caption_and_all_names_another(rules) -> None:
    detector = finds(seen("cat", LEFT))
    about = session(unchanged=("cat", "dog"), every=("cat", "dog", "hat"))
    judge(rules, [SOURCE, DARKER], about=about, detector=detector)
    asked = [look for batch in detector.asked for look in batch]
    assert asked == [(200, ("cat", "dog")), (200, ("cat", "dog", "hat")), (90, ("cat", "dog", "hat"))]


@PUBLISHED
def test_only_detections_strictly_above_the_threshold_count(rules) -> None:
    weak = finds(seen("cat", LEFT, 0.35))
    ((kept, scene),) = judge(rules, [SOURCE, SAME], detector=weak)
    assert kept.status == (Status.OK if rules is EDIVAL else NA)
    assert kept.value == (0.0 if rules is EDIVAL else None)
    assert scene.status == (Status.OK if rules is EDIVAL else NA)


@PUBLISHED
def test_both_images_are_made_square_first(rules) -> None:
    wide = plain(200, width=128, height=32)
    ((kept, scene),) = judge(rules, [wide, plain(200, width=96)], detector=finds(seen("cat", LEFT)))
    assert (kept.value, scene.value) == (pytest.approx(1), pytest.approx(1))


@PUBLISHED
def test_the_background_ignores_what_boxes_of_either_image_cover(rules) -> None:
    output = painted(painted(SAME, LEFT, 90), RIGHT, 20)
    both = Detector(
        lambda grey, names: [seen("cat", LEFT)] if len(names) == 1 else [seen("x", LEFT), seen("y", RIGHT)]
    )
    ((_, scene),) = judge(rules, [SOURCE, output], detector=both)
    assert scene.value == pytest.approx(1)


def test_after_a_background_change_edival_measures_nothing_and_mice_the_objects() -> None:
    for rules, status in ((EDIVAL, NA), (MICE, Status.OK)):
        detector = finds(seen("cat", LEFT))
        ((kept, scene),) = judge(rules, [SOURCE, SAME], about=session(kept=False), detector=detector)
        assert (kept.status, scene.status) == (status, NA)


def test_without_unchanged_objects_edival_still_measures_the_background_and_mice_nothing() -> None:
    for rules, status in ((EDIVAL, Status.OK), (MICE, NA)):
        ((kept, scene),) = judge(rules, [SOURCE, SAME], about=session(unchanged=()), detector=finds(seen("x", LEFT)))
        assert (kept.status, scene.status) == (NA, status)


@PUBLISHED
def test_without_any_annotated_object_nothing_is_asked(rules) -> None:
    detector = finds(seen("cat", LEFT))
    ((kept, scene),) = judge(rules, [SOURCE, SAME], about=session(unchanged=(), every=()), detector=detector)
    assert (kept.status, scene.status, detector.asked) == (NA, NA, [])
    ((kept, scene),) = judge(rules, [SOURCE, SAME], about=session(unchanged=None, every=None), detector=detector)
    assert (kept.status, scene.status, detector.asked) == (NA, NA, [])


def test_undetected_unchanged_objects_are_a_zero_in_edival_and_nothing_in_mice() -> None:
    nothing = finds()
    ((kept, scene),) = judge(EDIVAL, [SOURCE, SAME], detector=nothing)
    assert (kept.value, scene.value) == (0.0, pytest.approx(1))  # no boxes: the whole image is background
    ((kept, scene),) = judge(MICE, [SOURCE, SAME], detector=nothing)
    assert (kept.status, scene.status) == (NA, NA)
    corrected = EDIVAL.model_copy(update={"undetected": "missing"})
    ((kept, _),) = judge(corrected, [SOURCE, SAME], detector=nothing)
    assert kept.status == NA


def test_a_background_of_which_nothing_is_left_is_a_zero_where_it_is_one_upstream() -> None:
    everything, nearly = Box(0, 0, 1, 1), Box(0, 0, 0.95, 0.95)  # the second leaves pixels, but no patch
    for rules, box, value in ((EDIVAL, everything, 0.0), (EDIVAL, nearly, 0.0), (MICE, nearly, 0.0)):
        ((_, scene),) = judge(rules, [SOURCE, SAME], detector=finds(seen("cat", box)))
        assert scene.value == value
    ((_, scene),) = judge(MICE, [SOURCE, SAME], detector=finds(seen("cat", everything)))
    assert scene.status == NA


@PUBLISHED
def test_a_box_of_no_pixel_is_no_box(rules) -> None:
    sliver = Box(0.5, 0.5, 0.501, 0.9)
    ((kept, _),) = judge(rules, [SOURCE, SAME], detector=finds(seen("cat", sliver), seen("cat", LEFT)))
    assert kept.value == pytest.approx(1)
    assert "1 boxes" in kept.reason


@PUBLISHED
def test_pixels_can_be_measured_instead(rules) -> None:
    output = painted(SAME, LEFT, 149)  # 51 grey levels: a fifth
    kept: dict[str, float | None] = {}
    for measure in ("features", "pixels", "both"):
        asked = rules.model_copy(update={"measure": measure})
        ((verdict, scene),) = judge(asked, [SOURCE, output], detector=finds(seen("cat", LEFT)))
        kept[measure] = verdict.value
        assert scene.value == pytest.approx(1)
    assert kept["pixels"] == pytest.approx(0.8)
    assert kept["both"] == pytest.approx((kept["features"] + kept["pixels"]) / 2)
    assert kept["features"] != pytest.approx(kept["pixels"])


def test_mice_compares_two_jpegs_and_shows_the_detector_their_jpegs() -> None:
    """Edit-R2 sends JPEGs to its server, which makes JPEGs of them for the detector; EdiVal has the pixels."""
    checks = np.indices((SIDE, SIDE)).sum(0) % 2 * np.array([[255]])
    noisy = Picture(np.stack([checks, 255 - checks, checks], axis=-1).astype(np.uint8))
    shown = []

    class Watching:
        def detect(self, requests):
            shown.extend(np.asarray(request.image.load()) for request in requests)
            return [(seen("cat", LEFT),) for _ in requests]

    sent = MICE.model_copy(update={"jpeg_sent": 40, "jpeg_detector": 20})
    judge(sent, [noisy, plain(200)], detector=Watching())
    assert not np.array_equal(shown[0], noisy.pixels)
    once = compressed(noisy, 40)
    assert np.array_equal(shown[0], np.asarray(compressed(once, 20).load()))
    shown.clear()
    judge(EDIVAL, [noisy, plain(200)], detector=Watching())
    assert np.array_equal(shown[0], noisy.pixels)


def test_negative_cosines_are_clipped() -> None:
    ((kept, _),) = judge(MICE, [plain(255), plain(0)], detector=finds(seen("cat", LEFT)))
    assert kept.value == 0.0


@PUBLISHED
def test_a_component_that_fails_is_a_status_and_costs_only_its_part(rules) -> None:
    ((kept, scene),) = judge(rules, [SOURCE, SAME], detector=Detector(lambda grey, names: (), broken=True))
    assert (kept.status, scene.status) == (ERROR, ERROR)
    ((kept, scene),) = judge(rules, [SOURCE, SAME], detector=finds(seen("cat", LEFT)), eyes=Eyes(broken=True))
    assert (kept.status, scene.status) == (ERROR, ERROR)
    assert "bus" in scene.reason
    # The background of an image whose detection fails says nothing against the objects of the source.
    half = Detector(lambda grey, names: [seen("cat", LEFT)] if len(names) == 1 else 1 / 0)
    ((kept, scene),) = judge(rules, [SOURCE, SAME], detector=half)
    assert (kept.status, scene.status) == (Status.OK, ERROR)


def test_upstream_reads_registers_as_patches_and_lays_out_the_wrong_grid() -> None:
    assert guessed_grid(196, 1.0) == (14, 14)
    assert guessed_grid(200, 1.0) == (10, 20)
    assert guessed_grid(260, 1.0) == (13, 20)
    rng = np.random.default_rng(0)
    patches = rng.normal(size=(2, 14, 14, 8)).astype(np.float32)
    patches[1, :, :7] = patches[0, :, :7]  # only the right half changed
    maps = [FeatureMap(half[0, 0], np.full((4, 8), 50.0, np.float32), half) for half in patches]
    mask = np.zeros((64, 64), bool)
    mask[:, :32] = True  # and only the left half is background
    right = pooled_similarity(*maps, mask, patch_floor=0.5, registers_as_patches=False)
    upstream = pooled_similarity(*maps, mask, patch_floor=0.5, registers_as_patches=True)
    assert right == pytest.approx(1)
    assert upstream < 0.99
    # In the texture mean, registers that are alike in all images make everything alike.
    alike = object_similarity(*maps, class_share=0.0, registers_as_patches=True)
    assert alike > object_similarity(*maps, class_share=0.0) + 0.05


def test_the_published_background_is_blind_to_layout_and_ours_is_not() -> None:
    rng = np.random.default_rng(1)
    patches = rng.normal(size=(6, 6, 8)).astype(np.float32)
    shuffled = patches[::-1, ::-1].copy()
    one, other = (FeatureMap(np.ones(8, np.float32), np.zeros((0, 8), np.float32), p) for p in (patches, shuffled))
    mask = np.ones((60, 60), bool)
    assert pooled_similarity(one, other, mask, patch_floor=0.5, registers_as_patches=False) == pytest.approx(1)
    assert patchwise_similarity(one, other, mask, patch_floor=0.5) < 0.5


def test_features_that_are_no_numbers_are_no_zero() -> None:
    broken = FeatureMap(np.full(4, np.nan, np.float32), np.zeros((0, 4), np.float32), np.ones((2, 2, 4), np.float32))
    with pytest.raises(ValueError, match="finite"):
        object_similarity(broken, broken, class_share=0.5)
