"""Grounding DINO: finds objects by a caption of their names."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from micebench.errors import CardError
from micebench.judges.models.base import Box, Detect, Detection, Failure, spelled
from micebench.judges.models.batching import attempt, by_shape, decoded, pixels
from micebench.judges.models.loading import (
    Weights,
    device_of,
    import_transformers,
    load_model,
    load_pretrained,
)
from micebench.utils.lru_cache import Lru
from micebench.verdicts import Status

if TYPE_CHECKING:
    from PIL.Image import Image

    from micebench.judges.models.backbone import Look

Answer = tuple[Detection, ...] | Failure


class GroundingDinoOptions(Weights):
    """The `detector` section of a judge card; sizes are those of the published protocols."""

    kind: Literal["grounding-dino"] = "grounding-dino"
    batch: int = Field(default=8, ge=1, description="images per forward pass")
    keep_mib: int = Field(
        default=4096,
        ge=0,
        description="memory for what the backbone made of images (13 MiB of a square one), for further captions",
    )
    floor: float = Field(default=0.2, ge=0, le=1, description="detections up to this score are not returned")
    short_px: int = Field(default=800, ge=32, description="the shorter side as the model sees it ...")
    long_px: int = Field(default=1333, ge=32, description="... unless the longer one would exceed this")


@dataclass(frozen=True, slots=True)
class _Query:
    """A caption, and where in it each name stands (first and last character, exclusive)."""

    caption: str
    names: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _Job:
    """One caption of the image of request `number`: an image to look at, or what was kept of it."""

    number: int
    sha256: str
    query: _Query
    image: "Image | None"
    look: "Look | None"


class GroundingDino:
    """transformers' Grounding DINO with one caption per request: ``cat . dog .``, lower-cased, without full stops.

    A box belongs to the asked name whose tokens it matches best; that match is its score. Boxes that match no name
    above the floor are dropped, so that a detection always bears one of the asked names, as it was asked. No
    suppression of overlapping boxes; they come in the model's own order, which is not that of their scores (the
    published scripts use the first one in places). Names that do not fit into one caption are asked in several.

    The backbone sees each image once, whatever the number of captions: it does not read them, so that its result
    is kept for the next one.
    """

    def __init__(self, options: GroundingDinoOptions) -> None:
        """Load the model. Raises CardError if it cannot be loaded, or is no Grounding DINO."""
        from micebench.judges.models.backbone import Backbone

        self.options = options
        transformers = import_transformers()
        self._model = load_model(transformers.AutoModelForZeroShotObjectDetection, options)
        self._tokenizer = load_pretrained(transformers.AutoTokenizer, options)
        self._device = device_of(options)
        kind = self._model.config.model_type
        if kind not in {"grounding-dino", "mm-grounding-dino"}:
            raise CardError(f"{options.repo}: a {kind} model; this detector is a Grounding DINO")
        if not self._tokenizer.is_fast:
            raise CardError(f"{options.repo}: has no fast tokenizer, which says where in a caption a token stands")
        self._limit = int(self._model.config.max_text_len)
        self._backbone = Backbone(self._model.model.backbone.conv_encoder)
        self._model.model.backbone.conv_encoder = self._backbone
        self._kept: Lru[str, Look] = Lru(options.keep_mib * 2**20, lambda kept: kept.nbytes)

    def detect(self, requests: Sequence[Detect]) -> list[Answer]:
        """Detections above the floor, in order; an image or a name that cannot be used fails alone."""
        answers: dict[int, Answer] = dict.fromkeys(range(len(requests)), ())
        jobs: list[tuple[tuple[int, int], _Job]] = []
        for number, request in enumerate(requests):
            planned = self._jobs(number, request)
            if isinstance(planned, Failure):
                answers[number] = planned
            else:
                jobs += planned
        for size, batch in by_shape(jobs, self.options.batch):
            found = attempt(partial(self._found, size), batch, self._kept.clear)
            for job, one in zip(batch, found, strict=True):
                before = answers[job.number]
                if not isinstance(before, Failure):  # a failed query is not made good by the others
                    answers[job.number] = one if isinstance(one, Failure) else (*before, *one)
        return [answers[number] for number in range(len(requests))]

    def _jobs(self, number: int, request: Detect) -> list[tuple[tuple[int, int], _Job]] | Failure:
        """The size at which the image is seen, with each caption; an image that is kept is not even decoded."""
        queries = self.queries(request.names)
        if isinstance(queries, Failure):
            return queries
        sha256 = request.image.sha256
        look = self._kept.get(sha256)
        if look is not None:
            return [(look.seen, _Job(number, sha256, query, None, look)) for query in queries]
        image = decoded(request.image)
        if isinstance(image, Failure):
            return image
        return [(self.seen_size(image.size), _Job(number, sha256, query, image, None)) for query in queries]

    def seen_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) at which the model sees an image of `size`; proportions are kept."""
        short, long = min(size), max(size)
        seen = self.options.short_px
        if seen * long / short > self.options.long_px:
            seen = round(self.options.long_px * short / long)
        other = int(seen * long / short)  # upstream truncates here, and rounds above
        return (seen, other) if size[0] <= size[1] else (other, seen)

    def queries(self, names: Sequence[str]) -> list[_Query] | Failure:
        """As few captions as the model's text limit allows, or the failure that one name alone exceeds it."""
        fitting: list[_Query] = []
        for name in dict.fromkeys(name for name in names if spelled(name)):
            alone = _query([name])
            if self._length(alone) > self._limit:
                return Failure(Status.ERROR, f"a name too long for the detector: {name[:60]!r}...")
            joined = _query([*fitting[-1].names, name]) if fitting else alone
            if fitting and self._length(joined) <= self._limit:
                fitting[-1] = joined
            else:
                fitting.append(alone)
        return fitting

    def _length(self, query: _Query) -> int:
        return len(self._tokenizer(query.caption)["input_ids"])

    def _found(self, size: tuple[int, int], batch: Sequence[_Job]) -> list[Answer]:
        """`batch`: images that are seen at `size`, some of them the same."""
        import torch

        text = self._tokenizer(
            [job.query.caption for job in batch], padding=True, return_offsets_mapping=True, return_tensors="pt"
        )
        offsets: NDArray[np.int64] = text.pop("offset_mapping").numpy()
        new = {job.sha256: job.image for job in batch if job.image is not None}
        with torch.inference_mode():
            looks = self._kept.computed(new, lambda images: self._looks(size, images))
            seen = [job.look or looks[job.sha256] for job in batch]
            output = self._backbone.run(self._model, seen, **text.to(self._device))
            matches = output.logits.float().sigmoid().cpu().numpy()
            boxes = output.pred_boxes.float().cpu().numpy()
        return [self._named(job.query, *found) for job, *found in zip(batch, offsets, matches, boxes, strict=True)]

    def _looks(self, size: tuple[int, int], images: "Sequence[Image]") -> "list[Look]":
        return self._backbone.look(pixels(images, size).to(self._device))

    def _named(
        self, query: _Query, offsets: NDArray[np.int64], matches: NDArray[np.float32], boxes: NDArray[np.float32]
    ) -> Answer:
        """Token offsets (L, 2), matches (boxes, max_text_len) and centre-size boxes (boxes, 4) of one query."""
        if not (np.isfinite(matches).all() and np.isfinite(boxes).all()):
            return Failure(Status.ERROR, "the detector's output is not finite")
        scores = np.stack([_match(matches[:, : len(offsets)], offsets, span) for span in query.spans], axis=1)
        best = scores.argmax(1)
        rows: list[int] = np.flatnonzero(scores.max(1) > self.options.floor).tolist()
        return tuple(
            Detection(Box.around(*boxes[row].tolist()), float(scores[row].max()), query.names[int(best[row])])
            for row in rows
        )


def _match(matches: NDArray[np.float32], offsets: NDArray[np.int64], span: tuple[int, int]) -> NDArray[np.float32]:
    """(boxes,): the best match among the tokens that lie in the span; 0 if the tokenizer knows none of it."""
    inside = (offsets[:, 0] >= span[0]) & (offsets[:, 1] <= span[1]) & (offsets[:, 1] > offsets[:, 0])
    return matches[:, inside].max(1, initial=0.0)


def _query(names: Sequence[str]) -> _Query:
    spans: list[tuple[int, int]] = []
    caption = ""
    for name in names:
        spans.append((len(caption), len(caption) + len(spelled(name))))
        caption += f"{spelled(name)} . "
    return _Query(caption.rstrip(), tuple(names), tuple(spans))
