"""Model calls for one session of three turns, against the published scripts, which share nothing."""

import pytest

from micebench.judges.models.base import Box
from micebench.sessions import ImageFile, Session, Turn
from tests.judges.protocols.consistency.bench import EDIVAL, MICE, OURS, Detector, Eyes, judge, plain, seen

PLACES = {
    "cat": Box(0.0, 0.0, 0.4, 0.4),
    "dog": Box(0.5, 0.0, 0.9, 0.4),
    "tree": Box(0.0, 0.5, 0.4, 0.9),
    "hat": Box(0.5, 0.5, 0.9, 0.9),
}
TURNS = 3
KEPT = ("cat", "dog", "tree")
ABOUT = Session(
    "s",
    "test",
    "plain",
    ImageFile("s.png"),
    tuple(
        Turn(
            number,
            "as said",
            unchanged_objects=KEPT,
            all_objects=(*KEPT, "hat", *("ball", "kite", "drum")[:number]),
            bg_consistency=True,
        )
        for number in range(1, TURNS + 1)
    ),
)
IMAGES = [plain(200), plain(190), plain(180), plain(170)]
# Upstream, one forward pass each: three captions a turn; both crops of each box in one, both images in another.
UPSTREAM_DETECTOR, UPSTREAM_FEATURES = 3 * TURNS, (len(KEPT) + 1) * TURNS


@pytest.mark.parametrize("rules", [EDIVAL, MICE, OURS], ids=["edival", "mice", "micebench"])
def test_at_most_a_third_of_the_published_scripts_model_calls(rules) -> None:
    detector = Detector(lambda grey, names: [seen(name, box) for name, box in PLACES.items() if name in names])
    eyes = Eyes()
    verdicts = judge(rules, IMAGES, about=ABOUT, detector=detector, eyes=eyes)
    assert all(verdict.value is not None for parts in verdicts for verdict in parts)
    calls = len(detector.asked) + len(eyes.batches)
    assert calls <= (UPSTREAM_DETECTOR + UPSTREAM_FEATURES) / 3
    looked = [look for batch in detector.asked for look in batch]
    assert len(looked) == len(set(looked))
    # Each crop and each whole image once: the source's are shared by all turns.
    assert sum(eyes.batches) == (1 + TURNS) * (len(KEPT) + 1)


def test_micebench_shows_each_image_to_the_detector_once() -> None:
    detector = Detector(lambda grey, names: [seen(name, box) for name, box in PLACES.items()])
    judge(OURS, IMAGES, about=ABOUT, detector=detector)
    assert sorted(grey for batch in detector.asked for grey, _ in batch) == [170, 180, 190, 200]
    assert len(detector.asked) == 1
