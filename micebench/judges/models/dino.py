"""DINOv2 and DINOv3 features, with registers told apart from patches."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from micebench.errors import CardError
from micebench.judges.models.base import Embed, Failure, FeatureMap
from micebench.judges.models.batching import answered, pixels
from micebench.judges.models.loading import Weights, device_of, import_transformers, load_model
from micebench.verdicts import Status

if TYPE_CHECKING:
    from PIL.Image import Image


class DinoOptions(Weights):
    """The `features` section of a judge card."""

    kind: Literal["dino"] = "dino"
    batch: int = Field(default=16, ge=1, description="images per forward pass")
    size_px: int = Field(default=224, ge=16, description="side of a square image as the model sees it")
    aspect: Literal["keep", "squash"] = Field(
        default="keep",
        description="keep: as many patches as a square of size_px has, in the image's own proportions (to half a "
        "patch); squash: always that square, as the published protocols do",
    )


class Dino:
    """Features of whole images: nothing is cropped, so the patches always cover all of the image.

    Pixels are resized by PIL's bilinear filter and standardised with ImageNet's statistics, float32.
    """

    def __init__(self, options: DinoOptions) -> None:
        """Load the model. Raises CardError if it cannot be loaded, or is no ViT with patch tokens."""
        self.options = options
        self._model = load_model(import_transformers().AutoModel, options)
        self._device = device_of(options)
        config: Any = self._model.config
        if config.model_type not in {"dinov2", "dinov2_with_registers", "dinov3_vit"}:
            raise CardError(f"{options.repo}: a {config.model_type} model; features come from DINOv2 or DINOv3 (ViT)")
        self._patch = int(np.ravel(config.patch_size)[0])
        self._registers = int(getattr(config, "num_register_tokens", 0))
        if options.size_px < self._patch:
            raise CardError(f"{options.repo}: size_px {options.size_px} is less than a patch of {self._patch}")

    def embed(self, requests: Sequence[Embed]) -> list[FeatureMap | Failure]:
        """One map per request, in order; an image that cannot be read fails alone."""
        images = (request.image for request in requests)
        return answered(images, self._maps, self.options.batch, lambda image: self.grid(image.size))

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """(rows, columns) of patches for an image of `size` (width, height)."""
        side = self.options.size_px / self._patch
        stretch = math.sqrt(size[1] / size[0]) if self.options.aspect == "keep" else 1.0
        return max(1, round(side * stretch)), max(1, round(side / stretch))

    def _maps(self, images: "Sequence[Image]") -> list[FeatureMap | Failure]:
        """`images`: of one grid."""
        import torch

        rows, columns = self.grid(images[0].size)
        size = columns * self._patch, rows * self._patch
        with torch.inference_mode():
            inputs = pixels(images, size).to(self._device)
            tokens = self._model(pixel_values=inputs).last_hidden_state.float().cpu().numpy()
        first = 1 + self._registers
        if tokens.shape[1] != first + rows * columns:
            raise ValueError(f"{tokens.shape[1]} tokens, not 1 + {self._registers} + {rows} x {columns}")
        return [
            FeatureMap(cls=one[0], registers=one[1:first], patches=one[first:].reshape(rows, columns, one.shape[-1]))
            if np.isfinite(one).all()
            else Failure(Status.ERROR, "the features are not finite")
            for one in tokens
        ]
