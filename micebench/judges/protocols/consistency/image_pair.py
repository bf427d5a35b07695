"""What all three protocols share: the turn they look at, and what they say about it."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from micebench.judges.models.base import Detection
from micebench.judges.models.images import compressed, resized
from micebench.judges.protocols.consistency.rules import ConsistencyRules, Measure
from micebench.judges.runtime.scheduler import Asked, Unanswered
from micebench.sessions import Session, Turn
from micebench.verdicts import LazyImage, Question, Status, Verdict

Part = Generator[Asked, Any, Verdict]
"""The work on one metric; yields requests as a check does."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A turn's output beside the source image, of equal size.

    Attributes:
        source, output: as they are compared: made square, through JPEG where the rules say so.
        detector: how the detector sees (source, output).
        size: (width, height) of both.
    """

    session: Session
    turn: Turn
    source: LazyImage = field(repr=False)
    output: LazyImage = field(repr=False)
    detector: tuple[LazyImage, LazyImage] = field(repr=False)
    size: tuple[int, int]

    @classmethod
    def of(cls, question: Question, rules: ConsistencyRules) -> "Pair":
        """The images of a question; the output takes the source's size where it has another."""
        source, output = question.images[0], question.images[-1]
        if rules.squash_px is not None:
            size = (rules.squash_px, rules.squash_px)
            source, output = resized(source, size), resized(output, size)
        else:
            size = source.load().size
            if output.load().size != size:
                output = resized(output, size)
        source, output = compressed(source, rules.jpeg_sent), compressed(output, rules.jpeg_sent)
        detector = compressed(source, rules.jpeg_detector), compressed(output, rules.jpeg_detector)
        return cls(question.session, question.current, source, output, detector, size)

    @property
    def unchanged(self) -> tuple[str, ...]:
        return self.turn.unchanged_objects or ()

    @property
    def named(self) -> tuple[str, ...]:
        return self.turn.all_objects or ()


def contained(part: Part) -> Part:
    """The part's verdict; if a component has failed, that status. The other part is not touched by it."""
    try:
        return (yield from part)
    except Unanswered as error:
        return Verdict.missing(error.failure.status, error.failure.reason)


def above(found: Sequence[Detection], threshold: float) -> list[Detection]:
    return [detection for detection in found if detection.score > threshold]


def measured(measure: Measure, features: float, pixels: float) -> float:
    """The value that the rules ask for, in [0, 1]."""
    return {"features": features, "pixels": pixels, "both": (features + pixels) / 2}[measure]


def undefined(reason: str) -> Verdict:
    return Verdict.missing(Status.NOT_APPLICABLE, reason)
