"""OWLv2 (arXiv 2306.09683): finds objects by matching the places of an image with each name on its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from micebench.errors import CardError
from micebench.judges.models.base import Box, Detect, Detection, Failure, spelled
from micebench.judges.models.batching import Statistics, attempt, decoded, standardised
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
    from torch import Tensor

Answer = tuple[Detection, ...] | Failure
_CLIP_MEAN: Statistics = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD: Statistics = (0.26862954, 0.26130258, 0.27577711)
_NAME = "{name}"


class Owlv2Options(Weights):
    """The `detector` section of a judge card, of kind `owlv2`."""

    kind: Literal["owlv2"] = "owlv2"
    batch: int = Field(default=8, ge=1, description="images per forward pass")
    keep_mib: int = Field(
        default=4096,
        ge=0,
        description="memory for what the model made of images (11 MiB each, base size), for further names",
    )
    floor: float = Field(default=0.1, ge=0, le=1, description="detections up to this score are not returned")
    prompt: str = Field(default=f"a photo of a {_NAME}", pattern=r"\{name\}", description="how a name is asked for")


@dataclass(frozen=True, slots=True)
class _View:
    """What depends on the image alone.

    Attributes:
        size: (width, height) of the image.
        features: (places, D), one row per patch of the padded square.
        boxes: (places, 4) float32, centre and size in shares of the padded square.
    """

    size: tuple[int, int]
    features: "Tensor"
    boxes: NDArray[np.float32]

    @property
    def nbytes(self) -> int:
        return self.features.nbytes + self.boxes.nbytes


@dataclass(frozen=True, slots=True)
class _Job:
    """Request `number`: an image to look at, or what was kept of it; and its names as asked and as put."""

    number: int
    sha256: str
    image: "Image | None"
    view: _View | None
    names: tuple[str, ...]
    prompts: tuple[str, ...]


class Owlv2:
    """transformers' OWLv2 with one text per name: ``a photo of a cat``.

    Every patch of the image proposes one box. It belongs to the asked name it matches best, with that match as its
    score; below the floor it is dropped. Names do not change each other's scores, and the image is seen before any
    name is: its features and boxes are kept, and further names cost a product of matrices. No suppression of
    overlapping boxes; they come in the order of the patches. A name of more tokens than the model reads fails its
    request: cut off, it would be another name.

    The image is padded to a square at the right and at the bottom, in black as in the model's training, and resized
    by PIL's bilinear filter. Boxes are given in shares of the image itself; one that lies wholly in the padding is
    dropped.
    """

    def __init__(self, options: Owlv2Options) -> None:
        """Load the model. Raises CardError if it cannot be loaded, or is no OWLv2."""
        self.options = options
        transformers = import_transformers()
        self._model = load_model(transformers.AutoModelForZeroShotObjectDetection, options)
        self._tokenizer = load_pretrained(transformers.AutoTokenizer, options)
        self._device = device_of(options)
        config: Any = self._model.config
        if config.model_type != "owlv2":
            raise CardError(f"{options.repo}: a {config.model_type} model; this detector is an OWLv2")
        self._side = int(config.vision_config.image_size)
        self._limit = int(config.text_config.max_position_embeddings)
        self._kept: Lru[str, _View] = Lru(options.keep_mib * 2**20, lambda kept: kept.nbytes)

    def detect(self, requests: Sequence[Detect]) -> list[Answer]:
        """Detections above the floor, in order; an image or a name that cannot be used fails alone."""
        answers: dict[int, Answer] = dict.fromkeys(range(len(requests)), ())
        jobs: list[_Job] = []
        for number, request in enumerate(requests):
            job = self._job(number, request)
            if isinstance(job, Failure):
                answers[number] = job
            elif job.names:
                jobs.append(job)
        for start in range(0, len(jobs), self.options.batch):  # all are seen at one size
            batch = jobs[start : start + self.options.batch]
            found = attempt(self._found, batch, self._kept.clear)
            answers |= {job.number: one for job, one in zip(batch, found, strict=True)}
        return [answers[number] for number in range(len(requests))]

    def _job(self, number: int, request: Detect) -> _Job | Failure:
        names = tuple(dict.fromkeys(name for name in request.names if spelled(name)))
        prompts = tuple(self.options.prompt.replace(_NAME, spelled(name)) for name in names)
        for name, prompt in zip(names, prompts, strict=True):
            if len(self._tokenizer(prompt)["input_ids"]) > self._limit:
                return Failure(Status.ERROR, f"a name too long for the detector: {name[:60]!r}...")
        sha256 = request.image.sha256
        view = self._kept.get(sha256)
        image = decoded(request.image) if view is None else None
        return image if isinstance(image, Failure) else _Job(number, sha256, image, view, names, prompts)

    def _found(self, batch: Sequence[_Job]) -> list[Answer]:
        import torch

        with torch.inference_mode():
            new = {job.sha256: job.image for job in batch if job.image is not None}
            views = self._kept.computed(new, self._views)
            texts = self._texts([prompt for job in batch for prompt in job.prompts])
            return [self._matched(job, job.view or views[job.sha256], texts) for job in batch]

    def _views(self, images: "Sequence[Image]") -> list[_View]:
        import torch

        inputs = np.stack([standardised(squared(image, self._side), _CLIP_MEAN, _CLIP_STD) for image in images])
        grid = self._model.image_embedder(torch.as_tensor(inputs).to(self._device))[0]
        features = grid.flatten(1, 2)
        boxes = self._model.box_predictor(features, grid).float().cpu().numpy()
        # Copies: a view of the batch would hold all of it for as long as one of its images is kept.
        return [
            _View(image.size, row.clone(), places.copy())
            for image, row, places in zip(images, features, boxes, strict=True)
        ]

    def _texts(self, prompts: Sequence[str]) -> "dict[str, Tensor]":
        """Each prompt's embedding (D,)."""
        asked = list(dict.fromkeys(prompts))
        tokens = self._tokenizer(asked, padding=True, return_tensors="pt").to(self._device)
        owl = self._model.owlv2
        pooled = owl.text_model(tokens["input_ids"], attention_mask=tokens["attention_mask"]).pooler_output
        return dict(zip(asked, owl.text_projection(pooled), strict=True))

    def _matched(self, job: _Job, view: _View, texts: "dict[str, Tensor]") -> Answer:
        import torch

        queries = torch.stack([texts[prompt] for prompt in job.prompts])
        logits, _ = self._model.class_predictor(view.features[None], queries[None])
        scores: NDArray[np.float32] = logits[0].float().sigmoid().cpu().numpy()
        if not (np.isfinite(scores).all() and np.isfinite(view.boxes).all()):
            return Failure(Status.ERROR, "the detector's output is not finite")
        best = scores.argmax(1)
        rows: list[int] = np.flatnonzero(scores.max(1) > self.options.floor).tolist()
        placed = [(row, _box(view.boxes[row], view.size)) for row in rows]
        return tuple(
            Detection(box, float(scores[row].max()), job.names[int(best[row])])
            for row, box in placed
            if box is not None
        )


def squared(image: "Image", side: int) -> "Image":
    """Padded to a square at the right and at the bottom, then resized to `side` pixels."""
    import PIL.Image

    longest = max(image.size)
    square = PIL.Image.new("RGB", (longest, longest))
    square.paste(image)
    return square.resize((side, side), PIL.Image.Resampling.BILINEAR)


def _box(values: NDArray[np.float32], size: tuple[int, int]) -> Box | None:
    """Centre, width and height in shares of the padded square -> a box of the image; None in the padding."""
    x, y, width, height = (float(value) * max(size) for value in values)
    box = Box.around(x / size[0], y / size[1], width / size[0], height / size[1])
    return box if box.right > box.left and box.bottom > box.top else None
