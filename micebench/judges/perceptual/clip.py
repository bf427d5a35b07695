"""CLIP features of images and texts (Radford et al. 2021), by transformers' `CLIPModel`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from micebench.judges.models.base import Embed, Failure, FeatureMap
from micebench.judges.models.batching import Statistics, answered, standardised
from micebench.judges.models.loading import Weights, device_of, import_transformers, load_model, load_pretrained

if TYPE_CHECKING:
    from PIL.Image import Image

Vector = NDArray[np.float32]

_MEAN: Statistics = (0.48145466, 0.4578275, 0.40821073)
_STD: Statistics = (0.26862954, 0.26130258, 0.27577711)


class ClipWeights(Weights):
    """A saved `CLIPModel` with its tokenizer."""

    batch: int = Field(default=32, ge=1, description="images per forward pass")


class Clip:
    """Image features as `Features.embed` gives them (cls only, no patches), and text features; all of unit length.

    Images are prepared as OpenAI's code does: short side to the model's size (bicubic), then the square in the
    middle. So the ends of a long image are not seen.
    """

    def __init__(self, weights: ClipWeights) -> None:
        """Loads the weights. Raises CardError or MicebenchError, as `loading` says."""
        transformers = import_transformers()
        self._model: Any = load_model(transformers.CLIPModel, weights)
        self._tokenizer: Any = load_pretrained(transformers.AutoTokenizer, weights)
        self._device = device_of(weights)
        self._batch = weights.batch
        self._side = int(self._model.config.vision_config.image_size)
        self._longest = int(self._model.config.text_config.max_position_embeddings)
        self._texts: dict[str, Vector] = {}

    def embed(self, requests: Sequence[Embed]) -> list[FeatureMap | Failure]:
        """One map per request, in order, its `cls` of unit length; an image that cannot be read fails alone."""
        return answered((request.image for request in requests), self._maps, self._batch, lambda _: self._side)

    def _maps(self, images: "Sequence[Image]") -> list[FeatureMap]:
        import torch

        stack = np.stack([prepared(image, self._side) for image in images])
        with torch.inference_mode():
            pixels = torch.as_tensor(stack).to(self._device)
            pooled = self._model.vision_model(pixel_values=pixels).pooler_output
            vectors = _unit(self._model.visual_projection(pooled).cpu().numpy())
        nothing = np.zeros((0, vectors.shape[1]), np.float32)
        return [FeatureMap(vector, nothing, nothing[None]) for vector in vectors]

    def text(self, text: str) -> Vector:
        """(D,) of unit length; kept. What is beyond the model's longest text (CLIP: 77 tokens) is cut off."""
        import torch

        if text not in self._texts:
            tokens = self._tokenizer([text], truncation=True, max_length=self._longest, return_tensors="pt")
            asked = {name: tokens[name].to(self._device) for name in ("input_ids", "attention_mask")}
            with torch.inference_mode():
                pooled = self._model.text_model(**asked).pooler_output
                self._texts[text] = _unit(self._model.text_projection(pooled).cpu().numpy())[0]
        return self._texts[text]


def prepared(image: "Image", side: int) -> NDArray[np.float32]:
    """(3, side, side), standardised with CLIP's statistics."""
    from PIL.Image import Resampling

    scale = side / min(image.size)
    width, height = (max(side, int(length * scale)) for length in image.size)
    left, top = round((width - side) / 2), round((height - side) / 2)
    square = image.resize((width, height), Resampling.BICUBIC).crop((left, top, left + side, top + side))
    return standardised(square, _MEAN, _STD)


def _unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
