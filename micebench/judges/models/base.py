"""What can be asked of a component, and what it answers.

A protocol never calls a model. It yields one of the requests below and is handed the answer
(`micebench.judges.runtime.scheduler`), so that equal requests are computed once, local models see batches, and
remote ones are kept busy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from micebench.verdicts import LazyImage, Status


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in shares of the image's width and height, all in [0, 1]; x right, y down."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def around(cls, x: float, y: float, width: float, height: float) -> Self:
        """The part inside the image of a box with this centre and this size, in shares of the image."""
        edges = x - width / 2, y - height / 2, x + width / 2, y + height / 2
        return cls(*(min(1.0, max(0.0, edge)) for edge in edges))


@dataclass(frozen=True, slots=True)
class Detection:
    """One detected object. `name` is the asked name it belongs to, `score` in [0, 1]."""

    box: Box
    score: float
    name: str


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """Features of one image.

    Attributes:
        cls: (D,) float32, the image as a whole.
        registers: (R, D) float32, register tokens; R = 0 where the model has none. Never patches.
        patches: (h, w, D) float32, in image order.
        covers: the part of the image that the patches see (a centre crop sees less than all).
    """

    cls: NDArray[np.float32]
    registers: NDArray[np.float32]
    patches: NDArray[np.float32]
    covers: Box = Box(0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class TextLine:
    """One line of text found in an image; `confidence` in [0, 1]."""

    text: str
    confidence: float
    box: Box


@dataclass(frozen=True, slots=True)
class Reply:
    """What a vision-language model said.

    Attributes:
        texts: one per vote, complete (a cut-off reply is a `Failure`).
        choice_logprobs: answer -> log-probability of the first token, where `Ask.choices` were given.
        usage: token counts as the endpoint reported them.
        latency_s: seconds from first attempt to answer.
        answers: the texts without reasoning that the server, or the card, has told apart; (): `texts` as they are.
    """

    texts: tuple[str, ...]
    choice_logprobs: Mapping[str, float] | None = None
    usage: Mapping[str, Any] | None = None
    latency_s: float | None = None
    answers: tuple[str, ...] = ()

    @property
    def spoken(self) -> tuple[str, ...]:
        """What verdicts are read from, one per vote; reasoning in known delimiters may still be in it."""
        return self.answers or self.texts


@dataclass(frozen=True, slots=True)
class Failure:
    """A component could not answer. `status` is unparsed, refused or error; `raw` what it said, if anything."""

    status: Status
    reason: str
    raw: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Detect:
    """Find objects by name; the answer, ``tuple[Detection, ...]``, holds all above the detector's own floor.

    The names form one query (one caption for detectors that read captions). Thresholds are the caller's.
    """

    image: LazyImage = field(repr=False)
    names: tuple[str, ...]

    @property
    def key(self) -> tuple[object, ...]:
        return "detect", self.image.sha256, self.names


@dataclass(frozen=True, slots=True)
class Embed:
    """Features of a whole image; the answer is a `FeatureMap`. Crops are images of their own (`images.cropped`)."""

    image: LazyImage = field(repr=False)

    @property
    def key(self) -> tuple[object, ...]:
        return "embed", self.image.sha256


@dataclass(frozen=True, slots=True)
class Read:
    """Text in an image; the answer is ``tuple[TextLine, ...]``, from top to bottom."""

    image: LazyImage = field(repr=False)

    @property
    def key(self) -> tuple[object, ...]:
        return "read", self.image.sha256


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to a vision-language model about some images; the answer is a `Reply`.

    Attributes:
        prompt: the whole user message; images go before it, in order.
        votes: replies wanted, in one call.
        seed: of the first vote.
        choices: answers whose first-token log-probabilities are wanted; () for a written reply.
        attempt: how often it was put before, and the reply could not be read.
    """

    images: tuple[LazyImage, ...] = field(repr=False)
    prompt: str
    votes: int = 1
    seed: int = 0
    choices: tuple[str, ...] = ()
    attempt: int = 0

    @property
    def key(self) -> tuple[object, ...]:
        images = tuple(image.sha256 for image in self.images)
        return "ask", images, self.prompt, self.votes, self.seed, self.choices, self.attempt


Request = Detect | Embed | Read | Ask


def spelled(name: str) -> str:
    """A name as detectors are given it: lower case, single blanks, no full stops (which separate names)."""
    return " ".join(name.lower().replace(".", "").split())


class Detector(Protocol):
    """Answers a batch of `Detect`, in order; a `Failure` in place of an answer never stops the others."""

    def detect(self, requests: Sequence[Detect]) -> "list[tuple[Detection, ...] | Failure]": ...


class Features(Protocol):
    """Answers a batch of `Embed`, in order."""

    def embed(self, requests: Sequence[Embed]) -> "list[FeatureMap | Failure]": ...


class Reader(Protocol):
    """Answers a batch of `Read`, in order."""

    def read(self, requests: Sequence[Read]) -> "list[tuple[TextLine, ...] | Failure]": ...


class Vlm(Protocol):
    """Answers one `Ask`; called from up to `concurrency` threads at once. Never raises for a failed call."""

    @property
    def concurrency(self) -> int: ...
    def ask(self, request: Ask) -> "Reply | Failure": ...


@dataclass(frozen=True, slots=True)
class Components:
    """What a judge has; what its card does not name is None, and asking for it is an error of the protocol."""

    detector: Detector | None = None
    features: Features | None = None
    reader: Reader | None = None
    vlm: Vlm | None = None
