"""A judge's components that answer from tables, so that a rule can be put before any scene.

Images are told apart by their grey level, which survives squashing, cropping and JPEG.
"""

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import PIL.Image

from micebench.judges.models.base import (
    Ask,
    Box,
    Components,
    Detect,
    Detection,
    Failure,
    Read,
    Reply,
    Request,
    TextLine,
)
from micebench.judges.protocols.following import FollowingRules, follow
from micebench.judges.runtime.scheduler import answer
from micebench.sessions import ImageFile, Session, Turn
from micebench.verdicts import LazyImage, Question, Verdict

PUBLISHED: dict[str, dict[str, Any]] = {
    "edival": {"jpeg_sent": None, "jpeg_detector": None, "jpeg_vlm": 75},
    "mice": {"jpeg_sent": 75, "jpeg_detector": 75, "jpeg_vlm": 75},
}
for _protocol, _constants in PUBLISHED.items():
    _constants |= {
        "protocol": _protocol,
        "squash": 512,
        "found": 0.3,
        "found_removed": 0.35,
        "found_moved": 0.4,
        "found_kept": 0.25,
        "huge_removed": 0.98,
        "huge_kept": 0.9,
        "still_there": 0.2,
        "duplicate": 0.8,
        "offset": 0.03,
    }
OURS: dict[str, Any] = {
    "protocol": "micebench",
    "found": 0.35,
    "kept": 0.25,
    "huge": 0.98,
    "same": 0.5,
    "inside": 0.5,
    "offset": 0.03,
    "margin": 0.25,
    "text": "reader",
    "legible": 0.5,
}
CONSTANTS = {**PUBLISHED, "micebench": OURS}
GREY = {"source": 30, "before": 95, "after": 160, "end": 225}
"""Image -> grey level; a session of three turns has all four, a single turn has `before` and `after`."""


def rules(protocol: str, **changed: Any) -> FollowingRules:
    return FollowingRules.model_validate(CONSTANTS[protocol] | changed)


@dataclass(frozen=True)
class Plain:
    """An image of one grey."""

    name: str
    size: tuple[int, int] = (640, 480)

    @property
    def sha256(self) -> str:
        return self.name

    def load(self) -> PIL.Image.Image:
        return PIL.Image.new("RGB", self.size, (GREY[self.name],) * 3)


def which(image: LazyImage) -> str:
    """The name of the plain image this one was made from."""
    picture = image.load()
    grey = picture.getpixel((picture.width // 2, picture.height // 2))
    assert isinstance(grey, tuple)
    return min(GREY, key=lambda name: abs(GREY[name] - grey[0]))


def at(left: float, top: float, right: float, bottom: float, score: float = 0.6) -> tuple[Box, float]:
    return Box(left, top, right, bottom), score


Seen = Mapping[str, Sequence[tuple[Box, float]]]
"""name -> boxes with scores, in the detector's order."""


@dataclass
class World:
    """What the components answer; and what they were asked.

    Attributes:
        says: prompt name -> how far yes (float), or the written answer (str), or one per vote (tuple).
        labels: image name -> query -> what the detector calls its finds instead.
        breaks: number of a request -> the failure that answers it.
        asked: every request that reached a component, in order; `calls` how often each component was called.
    """

    source: Seen = field(default_factory=dict)
    before: Seen = field(default_factory=dict)
    after: Seen = field(default_factory=dict)
    end: Seen = field(default_factory=dict)
    says: Mapping[str, float | str | tuple[str, ...]] = field(default_factory=dict)
    lines: Mapping[str, Sequence[TextLine]] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    breaks: Mapping[int, Failure] = field(default_factory=dict)
    asked: list[Request] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    concurrency: int = 1

    def detect(self, requests: Sequence[Detect]) -> list[tuple[Detection, ...] | Failure]:
        self.calls["detect"] += 1
        return [self._unless_broken(request, self._detected) for request in requests]

    def read(self, requests: Sequence[Read]) -> list[tuple[TextLine, ...] | Failure]:
        self.calls["read"] += 1
        return [
            self._unless_broken(request, lambda one: tuple(self.lines.get(which(one.image), ())))
            for request in requests
        ]

    def ask(self, request: Ask) -> Reply | Failure:
        self.calls["ask"] += 1
        return self._unless_broken(request, self._said)

    def _said(self, request: Ask) -> Reply:
        said = self.says[request.prompt.split("|")[0]]
        return Reply(said if isinstance(said, tuple) else (str(said),))

    def prompts(self) -> list[str]:
        """What the VLM was asked: prompt names with their words."""
        return [request.prompt for request in self.asked if isinstance(request, Ask)]

    def searches(self) -> list[tuple[str, str]]:
        """(image, name) of every detection."""
        return [(which(one.image), name) for one in self.asked if isinstance(one, Detect) for name in one.names]

    def _detected(self, request: Detect) -> tuple[Detection, ...]:
        seen: Seen = getattr(self, which(request.image))
        return tuple(
            Detection(box, score, self.labels.get(name, name))
            for name in request.names
            for box, score in seen.get(name, ())
        )

    def _unless_broken(self, request: Any, compute: Any) -> Any:
        number = len(self.asked)
        self.asked.append(request)
        return self.breaks[number] if number in self.breaks else compute(request)


class Asker:
    """Names the prompt and its words instead of rendering them; the reply is the number, or the text."""

    def yes(self, prompt: str, images: Sequence[LazyImage], /, **words: str) -> Generator[Request, Any, float]:
        return float((yield from self.text(prompt, images, **words)))

    def text(self, prompt: str, images: Sequence[LazyImage], /, **words: str) -> Generator[Request, Any, str]:
        return (yield from self.texts(prompt, images, **words))[0]

    def texts(self, prompt: str, images: Sequence[LazyImage], /, **words: str) -> Generator[Request, Any, list[str]]:
        said = "|".join([prompt, *(f"{name}={word}" for name, word in words.items())])
        reply: Reply = yield Ask(tuple(images), said)
        return list(reply.texts)


def question(turn: Turn, *, earlier: Sequence[Turn] = ()) -> Question:
    """A question about `turn`; with earlier turns, the image before it is not the source image."""
    turns = (*earlier, replace(turn, number=len(earlier) + 1))
    session = Session("s", "photo", "plain", ImageFile("s.jpg"), turns)
    names = ["source", *["before"] * len(earlier), "after"] if earlier else ["before", "after"]
    return Question("IF", session, len(turns), [Plain(name) for name in names])


def judged(
    protocol: str,
    edit_type: str,
    formatted: str,
    world: World,
    *,
    instruction: str | None = None,
    earlier: Sequence[Turn] = (),
    rules_: FollowingRules | None = None,
    **fields: Any,
) -> Verdict:
    """The verdict on one turn of a session."""
    plain = formatted.replace("[", "").replace("]", "")
    turn = Turn(1, instruction if instruction is not None else plain, edit_type, formatted, **fields)
    check = follow(question(turn, earlier=earlier), rules_ or rules(protocol), Asker())
    components = Components(detector=world, reader=world, vlm=world)
    return answer([(check, 1)], components)[0][0]
