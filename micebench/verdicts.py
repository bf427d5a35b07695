"""What is asked of a judge, and what it answers.

A verdict has a status, and a value exactly when the status is ``ok``. Nothing else in the suite can carry a
score, so a failed judge call cannot become one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from micebench.sessions import Session, Turn

if TYPE_CHECKING:
    from PIL.Image import Image

MetricName = Literal["IF", "CC.object", "CC.background", "GA", "destroyed", "quality"]
"""What can be asked about an edit.

IF            instruction following of this turn, in [0, 1]
CC.object     consistency of the objects no turn has edited, against the source image, in [0, 1]
CC.background consistency of the background, against the source image, in [0, 1]
GA            global awareness: the whole prefix 1..k complies with everything accumulated, in [0, 1]
destroyed     1 if this image no longer shows the scene (collapse = two consecutive ones), else 0
quality       image quality relative to the source image, in [0, 1]; 1 = as good as the source
"""
METRICS: tuple[MetricName, ...] = get_args(MetricName)


def earlier_following(number: int) -> str:
    """``IF.<number>``: the name under which IF of an earlier instruction, in a later turn's image, is kept."""
    return f"IF.{number}"


def instruction_asked(metric: str) -> int:
    """The number in ``IF.<number>``; 0 for every other metric."""
    kind, _, number = metric.partition(".")
    return int(number) if kind == "IF" and number else 0


MeasureName = Literal[
    "L1.source", "L1.previous", "L1.target",
    "L2.source", "L2.previous", "L2.target",
    "PSNR.source", "PSNR.previous", "PSNR.target",
    "SSIM.source", "SSIM.previous", "SSIM.target",
    "LPIPS.source", "LPIPS.previous", "LPIPS.target",
    "CLIP.source", "CLIP.previous", "CLIP.target", "CLIP.text", "CLIP.direction",
    "DINO.source", "DINO.previous", "DINO.target",
]  # fmt: skip
"""Similarities in [0, 1] that a judge may measure beside the metrics; 1 = the same, for distances too.

source, previous, target: compared with the source image, the image before this turn (turn 1, and in context
`composed` always: the source), the turn's reference image. How each is brought to [0, 1], and what it compares:
`micebench.judges.perceptual.scales`.
"""
MEASURES: tuple[MeasureName, ...] = get_args(MeasureName)


def is_known_metric(name: str) -> bool:
    """Whether a judge can be asked about this: a metric, a measure, or ``IF.<number>``."""
    return name in _KNOWN or (name.startswith("IF.") and name[3:].isdecimal())


_KNOWN = frozenset((*METRICS, *MEASURES))


class Status(StrEnum):
    """Why a verdict has, or does not have, a value."""

    OK = "ok"
    NOT_APPLICABLE = "not_applicable"  # nothing to measure, e.g. no unchanged object is left
    INVALID_ANNOTATION = "invalid_annotation"  # the session file is wrong here; no editor can be blamed
    UNPARSED = "unparsed"  # the judge answered, but not in the agreed form
    REFUSED = "refused"  # the judge declined to answer
    ERROR = "error"  # the judge could not be asked


class LazyImage(Protocol):
    """An image that is decoded when first looked at."""

    @property
    def sha256(self) -> str: ...
    def load(self) -> "Image":
        """RGB image, decoded once and kept."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """One metric of one edit, with all that the judge's side may know.

    Attributes:
        metric: what is asked.
        session: the session with its annotations (bracketed instructions, pools, rule).
        turn: 1-based number of the judged turn.
        images: source image, then the editor's outputs of turns 1..turn; len == turn + 1.
        composed: the outputs do not follow from one another; each was made from the source image and all
            instructions up to its turn at once (a run's context ``composed``).
        about: IF of an earlier instruction in this turn's image: its 1-based number; 0: the turn's own.
        attempt: how often it was asked before, and the judge's reply could not be read; the same for all questions
            about a session that are asked together.
    """

    metric: MetricName | MeasureName
    session: Session
    turn: int
    images: Sequence[LazyImage] = field(repr=False)
    composed: bool = False
    about: int = 0
    attempt: int = 0

    @property
    def current(self) -> Turn:
        """The judged turn, or the earlier one that is asked about."""
        return self.session.turns[(self.about or self.turn) - 1]

    @property
    def earlier(self) -> Sequence[LazyImage]:
        """What the judged output was made from, the oldest first; the last one is the image that was edited."""
        return self.images[:1] if self.composed else self.images[:-1]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's answer.

    Attributes:
        value: in [0, 1] if and only if status is ``ok``; the mean of the votes where there are several.
        reason: one line for people: why this value, or why there is none.
        votes: single values behind `value`, if the judge voted.
        raw: the judge's raw replies, verbatim.
        usage: token counts and the like, as the endpoint reported them.
        latency_s: seconds spent asking; None where it would only be noise (exact judges).
    """

    status: Status
    value: float | None = None
    reason: str = ""
    votes: tuple[float, ...] = ()
    raw: tuple[str, ...] = ()
    usage: Mapping[str, Any] | None = None
    latency_s: float | None = None

    def __post_init__(self) -> None:
        if self.value is not None and type(self.value) is not float:
            object.__setattr__(self, "value", _number(self.value))
        if any(type(vote) is not float for vote in self.votes):
            object.__setattr__(self, "votes", tuple(map(_number, self.votes)))
        if (self.status == Status.OK) != (self.value is not None):
            raise ValueError(f"status {self.status.value!r} and value {self.value!r} contradict each other")
        if self.value is not None and not (math.isfinite(self.value) and 0.0 <= self.value <= 1.0):
            raise ValueError(f"a verdict's value lies in [0, 1], got {self.value!r}")

    @classmethod
    def ok(cls, value: float, reason: str = "") -> "Verdict":
        """A scored verdict; `value` in [0, 1]."""
        return cls(Status.OK, float(value), reason)

    @classmethod
    def missing(cls, status: Status, reason: str) -> "Verdict":
        """A verdict without a value."""
        return cls(status, None, reason)


def _number(value: Any) -> float:
    """A whole number, a flag or another library's number as a float; text is none."""
    if isinstance(value, str | bytes):
        raise ValueError(f"a verdict's value is a number, got {value!r}")
    return float(value)
