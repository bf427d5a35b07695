"""Components for whole runs on photographs: what they find, see and say follows from pixels and words alone."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from micebench.judges.models.base import (
    Ask,
    Box,
    Components,
    Detect,
    Detection,
    Embed,
    Failure,
    FeatureMap,
    Reply,
)
from micebench.verdicts import LazyImage

GRID = 7


@dataclass
class Planted:
    """A detector, a feature extractor and a VLM.

    A thing is found in most images, sometimes twice, where a hash of its name says, moved a little by a hash of the
    image. Features are mean colours of a grid of cells. The VLM says yes to most questions, and reads `writing`, or
    a wall.

    Attributes:
        failing: prompts with these words in them fail.
    """

    writing: str = ""
    failing: dict[str, Failure] = field(default_factory=dict)
    concurrency: int = 1

    @property
    def components(self) -> Components:
        return Components(detector=self, features=self, vlm=self)

    def detect(self, requests: Sequence[Detect]) -> list[tuple[Detection, ...] | Failure]:
        return [tuple(box for name in one.names for box in self._found(one.image, name)) for one in requests]

    def embed(self, requests: Sequence[Embed]) -> list[FeatureMap | Failure]:
        return [self._features(request.image) for request in requests]

    def ask(self, request: Ask) -> Reply | Failure:
        for words, failure in self.failing.items():
            if words in request.prompt:
                return failure
        yes = share(request.prompt, *(image.sha256 for image in request.images)) < 0.75
        if "text is written" in request.prompt:
            return Reply((self.writing if yes else "a wall",))
        if "Shorten" in request.prompt:
            return Reply((request.prompt.split('"')[1].split()[-1],))
        return Reply(("Yes." if yes else "No, it does not.",))

    def _found(self, image: LazyImage, name: str) -> list[Detection]:
        luck = share(name, image.sha256)
        if luck < 0.15:
            return []
        boxes = [self._box(image, name, 0.3 + 0.6 * luck)]
        return boxes if luck < 0.85 else [*boxes, self._box(image, f"other {name}", 0.5)]

    def _box(self, image: LazyImage, name: str, score: float) -> Detection:
        x, y = share(name, "x") * 0.6, share(name, "y") * 0.6
        x += 0.1 * share(name, image.sha256, "moved")
        return Detection(Box(x, y, x + 0.25, y + 0.25), score, name.removeprefix("other "))

    def _features(self, image: LazyImage) -> FeatureMap:
        cells = np.asarray(image.load().resize((GRID, GRID)), np.float32) / 255 - 0.5
        return FeatureMap(cells.mean((0, 1)), np.zeros((0, 3), np.float32), cells)


def share(*words: str) -> float:
    """In [0, 1), from nothing but the words."""
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
