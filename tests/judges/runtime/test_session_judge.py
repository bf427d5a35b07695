"""Model work on whole sessions of three turns, IF and CC together, against the published scripts, which share none.

Real models of tiny size are counted while constructed detections are answered, so that every rule takes its longest
way. The numbers of docs/protocols.md, "Model work", are those below.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from micebench.judges.models.base import Box, Components, Detect, Embed
from micebench.judges.models.dino import Dino, DinoOptions
from micebench.judges.models.grounding_dino import GroundingDino, GroundingDinoOptions
from micebench.judges.protocols.consistency import ConsistencyRules, consistency
from micebench.judges.protocols.following import follow
from micebench.judges.runtime.scheduler import Check, answer
from micebench.sessions import ImageFile, Session, Turn
from micebench.verdicts import Question
from tests.judges.models import tiny_models as tiny
from tests.judges.protocols.following.world import Asker, Plain, World, at, rules

FROM_PUBLISHED: dict[str, Any] = {"squash_px": 512, "covered": "zero", "registers_as_patches": True}
CONSISTENCY = {
    "edival": ConsistencyRules(protocol="edival", undetected="zero", **FROM_PUBLISHED),
    "mice": ConsistencyRules(protocol="mice", jpeg_sent=75, jpeg_detector=75, **FROM_PUBLISHED),
    "micebench": ConsistencyRules(protocol="micebench"),
}
CAT, HAT, CHAIR = at(0.1, 0.1, 0.3, 0.3), at(0.7, 0.1, 0.9, 0.3), at(0.4, 0.5, 0.6, 0.8)
LEFT, RIGHT = at(0.1, 0.5, 0.3, 0.8), at(0.7, 0.5, 0.9, 0.8)
STILL = {"cat": [CAT], "hat": [HAT], "chair": [CHAIR]}


@dataclass(frozen=True)
class Story:
    """Turns as (edit type, order, unchanged objects, all objects), and what the four images show."""

    turns: Sequence[tuple[str, str, tuple[str, ...], tuple[str, ...]]]
    shown: Sequence[dict[str, list[tuple[Box, float]]]]


POOL, MORE = ("cat", "hat", "chair"), ("cat", "hat", "chair", "dog")
STORIES = {
    "one object comes, moves and goes": Story(
        [
            ("subject_add", "Add [dog] on the [left] of [chair]", POOL, MORE),
            ("position_change", "Change the position of [dog] to [right] of [chair]", POOL, MORE),
            ("subject_remove", "Remove [dog]", POOL, MORE),
        ],
        [STILL, STILL | {"dog": [LEFT]}, STILL | {"dog": [RIGHT]}, STILL],
    ),
    "every turn edits another object": Story(
        [
            ("color_alter", "Change the color of [cat] to [red]", ("hat", "chair"), (*POOL, "red cat")),
            ("subject_add", "Add [dog] on the [left] of [chair]", ("hat", "chair"), (*POOL, "red cat", "dog")),
            ("subject_remove", "Remove [hat]", ("chair",), (*POOL, "red cat", "dog")),
        ],
        [STILL, STILL, STILL | {"dog": [LEFT]}, {"cat": [CAT], "chair": [CHAIR], "dog": [LEFT]}],
    ),
}


@dataclass(frozen=True)
class Work:
    """Detector: images its backbone sees, captions read with an image. Features: images. Calls of both models."""

    images: int
    captions: int
    features: int
    calls: int


COMES_AND_GOES, ANOTHER = STORIES
PUBLISHED = {  # each caption is a pass of its own, and a call; so is a pair of images for the features
    (COMES_AND_GOES, "edival"): Work(19, 19, 24, 19 + 12),  # IF 2 + 6 + 2, CC 3 a turn; 3 + 1 pairs a turn
    (COMES_AND_GOES, "mice"): Work(17, 17, 24, 17 + 12),  # IF 2 + 4 + 2
    (ANOTHER, "edival"): Work(13, 13, 16, 13 + 8),  # IF 0 + 2 + 2; 2 + 1, 2 + 1, 1 + 1 pairs
    (ANOTHER, "mice"): Work(13, 13, 16, 13 + 8),
}
OURS = {  # micebench: crops keep their proportions, so that unlike ones are passes of their own
    (COMES_AND_GOES, "edival"): Work(4, 11, 16, 5),
    (COMES_AND_GOES, "mice"): Work(4, 11, 16, 4),
    (COMES_AND_GOES, "micebench"): Work(4, 11, 16, 6),
    (ANOTHER, "edival"): Work(4, 11, 11, 5),
    (ANOTHER, "mice"): Work(4, 11, 11, 5),
    (ANOTHER, "micebench"): Work(4, 11, 11, 7),
}


class Counting:
    """The real models, counted; detections are the world's."""

    def __init__(self, detector: GroundingDino, features: Dino, world: World) -> None:
        self._detector, self._features, self._world = detector, features, world
        self.images = self.captions = self.features = self.calls = 0
        swin, whole, dino = detector._backbone.encoder.model, detector._model, features._model
        swin.register_forward_pre_hook(lambda _, args: self._count("images", args[0], 0))
        for model, what, told in ((whole, "captions", "input_ids"), (dino, "features", "pixel_values")):
            model.register_forward_pre_hook(
                lambda _, __, told_by, what=what, told=told: self._count(what, told_by[told], 1), with_kwargs=True
            )

    def detect(self, requests: Sequence[Detect]) -> Any:
        assert all(isinstance(found, tuple) for found in self._detector.detect(requests))
        return self._world.detect(requests)

    def embed(self, requests: Sequence[Embed]) -> Any:
        return self._features.embed(requests)

    def _count(self, what: str, images: Any, calls: int) -> None:
        setattr(self, what, getattr(self, what) + len(images))
        self.calls += calls


@dataclass
class Asked:
    """What the rules ask for, before anything is shared."""

    detections: int = 0
    features: int = 0

    def overheard(self, check: Check) -> Check:
        answered: Any = None
        while True:
            try:
                request = check.send(answered)
            except StopIteration as end:
                return end.value
            for one in request if isinstance(request, tuple) else (request,):
                self.detections += isinstance(one, Detect)
                self.features += isinstance(one, Embed)
            answered = yield request


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models")
    tiny.grounding_dino(place / "grounding-dino")
    tiny.dinov3(place / "dino")
    return place


@pytest.mark.parametrize(("name", "protocol"), OURS)
def test_a_session_of_three_turns(name: str, protocol: str, folder: Path) -> None:
    counting, asked = judged(STORIES[name], protocol, folder)
    ours = Work(counting.images, counting.captions, counting.features, counting.calls)
    published = PUBLISHED[name, "edival" if protocol == "micebench" else protocol]
    assert ours == OURS[name, protocol]
    assert 3 * ours.images <= published.images
    assert 3 * ours.calls <= published.calls
    assert asked.features == published.features
    if protocol == "edival":  # mice looks up again in the same turn what the published code holds in a variable
        assert asked.detections == published.captions


def judged(story: Story, protocol: str, folder: Path) -> tuple[Counting, Asked]:
    """All verdicts on the story's session, each with a value; the models' work, and what was asked for."""
    source, *outputs = story.shown
    says: dict[str, Any] = dict.fromkeys(["newly_added", "added", "removed", "altered", "color"], 1.0)
    world = World(source, *outputs[:2], end=outputs[2], says=says | {"core_name": ""})
    turns = tuple(
        Turn(number, order, kind, order, unchanged_objects=same, all_objects=every, bg_consistency=True)
        for number, (kind, order, same, every) in enumerate(story.turns, start=1)
    )
    session = Session("s", "photo", "plain", ImageFile("s.jpg"), turns)
    images = [Plain(place) for place in ("source", "before", "after", "end")]
    asked = Asked()
    checks: list[tuple[Check, int]] = []
    for turn in (1, 2, 3):
        one, *parts = (
            Question(metric, session, turn, images[: turn + 1]) for metric in ("IF", "CC.object", "CC.background")
        )
        checks.append((asked.overheard(follow(one, rules(protocol), Asker())), 1))
        checks.append((asked.overheard(consistency(parts, CONSISTENCY[protocol])), 2))
    detector = GroundingDinoOptions(repo=str(folder / "grounding-dino"), device="cpu", short_px=128, long_px=256)
    aspect = "keep" if protocol == "micebench" else "squash"  # as in the cards
    features = DinoOptions(repo=str(folder / "dino"), device="cpu", size_px=224, aspect=aspect)
    counting = Counting(GroundingDino(detector), Dino(features), world)
    verdicts = answer(checks, Components(detector=counting, features=counting, vlm=world))
    assert all(verdict.value is not None for said in verdicts for verdict in said), verdicts
    return counting, asked
