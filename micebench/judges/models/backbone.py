"""Grounding DINO's image backbone as a step of its own, so that all captions of an image share its result.

What follows the backbone reads image and caption together from its first layer on, and cannot be shared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Look:
    """What the backbone makes of one image.

    Attributes:
        seen: (width, height) at which it saw the image.
        maps: one (channels, rows, columns) per level, the finest first.
    """

    seen: tuple[int, int]
    maps: tuple[Tensor, ...]

    @property
    def nbytes(self) -> int:
        return sum(level.nbytes for level in self.maps)


class Backbone(torch.nn.Module):
    """Takes the place of a model's ``backbone.conv_encoder``, which it wraps."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self._handed_on: list[tuple[Tensor, Tensor]] | None = None

    def look(self, pixels: Tensor) -> list[Look]:
        """One look per image of (N, 3, height, width)."""
        height, width = pixels.shape[-2:]
        mask = torch.ones((len(pixels), height, width), dtype=torch.long, device=pixels.device)
        levels = [level for level, _ in self.encoder(pixels, mask)]
        # Copies: a view would hold all images of the batch for as long as one of them is kept.
        return [Look((width, height), tuple(level[n].clone() for level in levels)) for n in range(len(pixels))]

    def run(self, model: Any, looks: Sequence[Look], **text: Tensor) -> Any:
        """``model(pixel_values, **text)`` for images of one seen size that have been looked at before."""
        levels = [torch.stack(level) for level in zip(*(look.maps for look in looks), strict=True)]
        self._handed_on = [(level, level.new_ones(level[:, 0].shape, dtype=torch.bool)) for level in levels]
        width, height = looks[0].seen
        try:
            # Of the pixels only shape and device are still asked for.
            return model(pixel_values=levels[0].new_zeros(()).expand(len(looks), 3, height, width), **text)
        finally:
            self._handed_on = None

    def forward(self, pixel_values: Tensor, pixel_mask: Tensor) -> Any:
        """[(feature map, mask) per level], as the wrapped encoder gives them."""
        return self.encoder(pixel_values, pixel_mask) if self._handed_on is None else self._handed_on
