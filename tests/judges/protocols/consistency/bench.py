"""Constructed detections and features, so that every branch of a protocol can be reached by hand."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from micebench.judges.models.base import (
    Box,
    Components,
    Detect,
    Detection,
    Embed,
    Failure,
    FeatureMap,
)
from micebench.judges.protocols.consistency import ConsistencyRules, consistency
from micebench.judges.runtime.scheduler import answer
from micebench.sessions import ImageFile, Session, Turn
from micebench.verdicts import LazyImage, Question, Status, Verdict

SIDE = 64
EDIVAL = ConsistencyRules(
    protocol="edival", squash_px=SIDE, undetected="zero", covered="zero", registers_as_patches=True
)
MICE = ConsistencyRules(protocol="mice", squash_px=SIDE, covered="zero", registers_as_patches=True)
OURS = ConsistencyRules(protocol="micebench")
GONE = Failure(Status.ERROR, "the GPU fell off the bus")


@dataclass(frozen=True)
class Picture:
    """A LazyImage with pixels (H, W, 3) uint8."""

    pixels: np.ndarray

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.pixels.tobytes() + str(self.pixels.shape).encode()).hexdigest()

    def load(self) -> Image.Image:
        return Image.fromarray(self.pixels)


def plain(value: int, width: int = SIDE, height: int = SIDE) -> Picture:
    return Picture(np.full((height, width, 3), value, np.uint8))


def painted(picture: Picture, box: Box, value: int) -> Picture:
    """A rectangle of another grey."""
    pixels = picture.pixels.copy()
    height, width = pixels.shape[:2]
    pixels[
        round(box.top * height) : round(box.bottom * height), round(box.left * width) : round(box.right * width)
    ] = value
    return Picture(pixels)


def seen(name: str, box: Box, score: float = 0.9) -> Detection:
    return Detection(box, score, name)


@dataclass
class Detector:
    """Finds what `see` says of (grey of the image's corner, asked names). `asked`: batches of (grey, names)."""

    see: Callable[[int, tuple[str, ...]], Sequence[Detection]]
    broken: bool = False
    asked: list[list[tuple[int, tuple[str, ...]]]] = field(default_factory=list)

    def detect(self, requests: Sequence[Detect]) -> list[tuple[Detection, ...] | Failure]:
        looks = [(_corner(request.image), request.names) for request in requests]
        self.asked.append(looks)
        return [GONE if self.broken else tuple(self.see(*look)) for look in looks]


@dataclass
class Eyes:
    """Features made of pixels: patches are mean colours of a grid of cells, centred on grey, with a constant.

    Registers, if any, are the same for every image, and far longer than any patch.
    """

    grid: int = 4
    registers: int = 0
    broken: bool = False
    batches: list[int] = field(default_factory=list)

    def embed(self, requests: Sequence[Embed]) -> list[FeatureMap | Failure]:
        self.batches.append(len(requests))
        return [GONE if self.broken else self.map(request.image) for request in requests]

    def map(self, image: LazyImage) -> FeatureMap:
        small = image.load().resize((self.grid, self.grid), Image.Resampling.BOX)
        cells = np.asarray(small, np.float32) / 255 - 0.5
        patches = np.concatenate([cells, np.full((*cells.shape[:2], 1), 0.05, np.float32)], axis=-1)
        registers = np.full((self.registers, 4), 9.0, np.float32)
        return FeatureMap(patches.mean((0, 1)), registers, patches)


def session(
    turns: int = 1,
    unchanged: tuple[str, ...] | None = ("cat",),
    every: tuple[str, ...] | None = ("cat", "hat"),
    kept: bool | None = True,
) -> Session:
    """All turns alike."""
    return Session(
        "s",
        "test",
        "plain",
        ImageFile("s.png"),
        tuple(
            Turn(number, "as said", unchanged_objects=unchanged, all_objects=every, bg_consistency=kept)
            for number in range(1, turns + 1)
        ),
    )


def judge(
    rules: ConsistencyRules,
    images: Sequence[LazyImage],
    *,
    about: Session | None = None,
    detector: Detector | None = None,
    eyes: Eyes | None = None,
) -> list[tuple[Verdict, Verdict]]:
    """(object, background) verdicts of every turn; `images`: source, then one output a turn."""
    about = about or session(len(images) - 1)
    checks = []
    for turn in range(1, len(images)):
        questions = [Question(metric, about, turn, images[: turn + 1]) for metric in ("CC.object", "CC.background")]
        checks.append((consistency(questions, rules), 2))
    answered = answer(checks, Components(detector=detector, features=eyes or Eyes()))
    return [(verdicts[0], verdicts[1]) for verdicts in answered]


def _corner(image: LazyImage) -> int:
    return image.load().getpixel((0, 0))[0]  # type: ignore[index]
