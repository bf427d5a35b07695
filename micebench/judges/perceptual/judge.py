"""The judge behind the cards `perceptual`, `perceptual-neural` and `magicbrush`."""

from collections.abc import Generator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from micebench.cards import JudgeCard, check_fields
from micebench.errors import CardError, DataError
from micebench.judges.models.base import Components, Embed, FeatureMap
from micebench.judges.models.factory import build
from micebench.judges.perceptual.clip import Clip, ClipWeights
from micebench.judges.perceptual.decay import FATAL, Respects, respects
from micebench.judges.perceptual.distance import Lpips, LpipsOptions
from micebench.judges.perceptual.pixels import PIXEL_MEASURES, Pixels, TooSmall
from micebench.judges.perceptual.references import Nothing, reference, wanted, wanted_before
from micebench.judges.perceptual.scales import scored
from micebench.judges.runtime.scheduler import Check, answer
from micebench.verdicts import MEASURES, LazyImage, Question, Status, Verdict

_DECAY = ("quality", "destroyed")


class PerceptualOptions(BaseModel):
    """Models are named only for the measures that need them: clip for CLIP, features for DINO, lpips for LPIPS."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    clip: dict[str, Any] | None = None
    features: dict[str, Any] | None = None
    lpips: LpipsOptions = LpipsOptions()
    destroyed_below: float = Field(default=0.1, ge=0.0, le=1.0, description="see `decay`; the worst fatal respect")


class PerceptualJudge:
    """Similarities to source, previous and reference image (`scales`), and decay against the source (`decay`).

    An image of another size than its reference is resampled to it, and the reason says so.
    """

    def __init__(self, card: JudgeCard) -> None:
        """Loads the models the card's metrics need. Raises CardError for metrics or options that do not fit."""
        where = f"judge {card.id!r} options"
        unknown = [name for name in card.metrics if name not in (*MEASURES, *_DECAY)]
        if unknown:
            raise CardError(f"judge {card.id!r} cannot measure {unknown[0]!r}: give measures, quality or destroyed")
        self._options = check_fields(card.options, PerceptualOptions, where=where)
        kinds = {name.partition(".")[0] for name in card.metrics}
        self._lpips = Lpips(self._options.lpips) if "LPIPS" in kinds else None
        self._clip = _clip(card, self._options.clip, where) if "CLIP" in kinds else None
        if "DINO" in kinds:
            _needed(self._options.features, "DINO", f"{where}.features")
        self._dino = build(card, {"features": self._options.features}).features

    def judge(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict per question, in order."""
        found: dict[int, Verdict] = {}
        for kind, features in (("CLIP", self._clip), ("DINO", self._dino)):
            places = [place for place, question in enumerate(questions) if _kind(question) == kind]
            checks = [(self._embedded(questions[place]), 1) for place in places]
            if checks:
                answers = answer(checks, Components(features=features))
                found |= {place: verdicts[0] for place, verdicts in zip(places, answers, strict=True)}
        rest = [(place, question) for place, question in enumerate(questions) if place not in found]
        for _, group in groupby(rest, key=lambda item: _shown(item[1])):
            turn = _Turn(self._options.destroyed_below, self._lpips)
            found |= {place: turn.answer(question) for place, question in group}
        return [found[place] for place in range(len(questions))]

    def _embedded(self, question: Question) -> Check:
        """CLIP and DINO: cosines of features."""
        try:
            return [(yield from self._cosine(question))]
        except Nothing as nothing:
            return [Verdict.missing(Status.NOT_APPLICABLE, str(nothing))]
        except DataError as error:
            return [Verdict.missing(Status.ERROR, str(error))]

    def _cosine(self, question: Question) -> Generator[Embed, FeatureMap, Verdict]:
        kind, _, to = question.metric.partition(".")
        current: LazyImage = question.images[-1]
        if to == "text":
            text = self._text(wanted(question))
            image = yield Embed(current)
            return scored(question.metric, _cosine(image.cls, text))
        if to == "direction":
            change = self._text(wanted(question)) - self._text(wanted_before(question))
            before = yield Embed(question.earlier[-1])
            after = yield Embed(current)
            return scored(question.metric, _cosine(_unit(after.cls) - _unit(before.cls), change))
        other = yield Embed(reference(question, to))
        image = yield Embed(current)
        return scored(kind, _cosine(image.cls, other.cls))

    def _text(self, text: str) -> NDArray[np.float32]:
        assert self._clip is not None
        return self._clip.text(text)


class _Turn:
    """The pixels of one judged turn; each comparison's images are decoded once."""

    def __init__(self, destroyed_below: float, lpips: Lpips | None) -> None:
        self._destroyed_below = destroyed_below
        self._lpips = lpips
        self._pairs: dict[str, tuple[Pixels, Pixels, str]] = {}
        self._respects: Respects | None = None

    def answer(self, question: Question) -> Verdict:
        try:
            if question.metric in _DECAY:
                return self._decay(question)
            kind, _, to = question.metric.partition(".")
            a, b, note = self._pair(question, to)
            measure = self._lpips if kind == "LPIPS" else PIXEL_MEASURES[kind]
            assert measure is not None
            return scored(kind, measure(a, b), note)
        except (Nothing, TooSmall) as nothing:
            return Verdict.missing(Status.NOT_APPLICABLE, str(nothing))
        except DataError as error:
            return Verdict.missing(Status.ERROR, str(error))

    def _pair(self, question: Question, to: str) -> tuple[Pixels, Pixels, str]:
        """(reference, judged image, note) as arrays in [0, 1] of the reference's size."""
        if to not in self._pairs:
            from PIL.Image import Resampling

            other, current = reference(question, to).load(), question.images[-1].load()
            note = ""
            if current.size != other.size:
                note = f"resampled from {current.width} x {current.height} to {other.width} x {other.height}"
                current = current.resize(other.size, Resampling.BICUBIC)
            self._pairs[to] = np.asarray(other) / 255.0, np.asarray(current) / 255.0, note
        return self._pairs[to]

    def _decay(self, question: Question) -> Verdict:
        if self._respects is None:
            self._respects = respects(question.images[0].load(), question.images[-1].load())
        if question.metric == "quality":
            name, value = self._respects.worst()
            return Verdict.ok(value, "as good as the source" if value == 1.0 else f"worst: {name} {100 * value:.0f}")
        name, value = self._respects.worst(*FATAL)
        return Verdict.ok(float(value < self._destroyed_below), f"{name} {100 * value:.0f} of 100 left")


def _kind(question: Question) -> str:
    return question.metric.partition(".")[0]


def _shown(question: Question) -> tuple[str, ...]:
    """What one `_Turn` has in common; equal images may still belong to sessions with other targets."""
    return question.session.id, *(image.sha256 for image in question.images)


def _clip(card: JudgeCard, said: dict[str, Any] | None, where: str) -> Clip:
    fields = _needed(said, "CLIP", f"{where}.clip")
    folder = card.local_weights(str(fields.get("repo", "")))
    return Clip(check_fields(fields | ({"repo": str(folder)} if folder else {}), ClipWeights, where=f"{where}.clip"))


def _needed(options: Any, measure: str, where: str) -> Any:
    if options is None:
        raise CardError(f"{where}: {measure} needs a model; name its repo and revision, or its folder")
    return options


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


def _cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """In [-1, 1]; 0 where one of them is zero: an image that did not change goes nowhere."""
    return float(np.clip(_unit(a) @ _unit(b), -1.0, 1.0))
