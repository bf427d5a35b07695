"""Rectangles, masks and crops: where objects are, and what is left for the background."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micebench.judges.models.base import Box
from micebench.judges.models.images import Derived
from micebench.verdicts import LazyImage

if TYPE_CHECKING:
    from PIL.Image import Image

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]
Borders = NDArray[np.float64]


def truncated(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The published protocols' pixel rectangle (left, top, right, bottom): cut off, not rounded; may be empty."""
    width, height = size

    def inside(share: float, length: int) -> int:
        return max(0, min(int(share * length), length))

    return inside(box.left, width), inside(box.top, height), inside(box.right, width), inside(box.bottom, height)


def is_empty(rectangle: tuple[int, int, int, int]) -> bool:
    left, top, right, bottom = rectangle
    return right <= left or bottom <= top


def cut(image: LazyImage, rectangle: tuple[int, int, int, int]) -> LazyImage:
    """The pixel rectangle as an image of its own."""
    return Derived(image, f"cut {rectangle}", lambda picture: picture.crop(rectangle))


def background_mask(boxes: Iterable[Box], size: tuple[int, int]) -> Mask:
    """(height, width) of an image of `size` (width, height): True where no box lies.

    As upstream draws it, a box's last row and column belong to it.
    """
    width, height = size
    mask = np.ones((height, width), bool)
    for box in boxes:
        left, top, right, bottom = truncated(box, size)
        mask[top : bottom + 1, left : right + 1] = False
    return mask


def patch_weights(mask: Mask, grid: tuple[int, int], covers: Box) -> Floats:
    """Share of each patch that is True: mask (H, W) -> grid (h, w), float32 in [0, 1].

    The patches tile the part `covers` of the image. Patch borders need not fall on pixel borders: a pixel
    counts by the share of it that lies in the patch.
    """
    height, width = mask.shape
    rows = _borders(covers.top * height, covers.bottom * height, grid[0])
    columns = _borders(covers.left * width, covers.right * width, grid[1])
    totals = _summed(_summed(mask.astype(np.float64), rows, 0), columns, 1)
    area = np.outer(np.diff(rows), np.diff(columns))
    return np.clip(totals / area, 0.0, 1.0).astype(np.float32)


def pixel_similarity(one: "Image", other: "Image", mask: Mask | None = None) -> float:
    """1 - mean absolute difference of two RGB images of equal size, over the True pixels, in [0, 1]."""
    a, b = (np.asarray(image, np.int16) for image in (one, other))
    difference = np.abs(a - b)
    return 1.0 - float((difference if mask is None else difference[mask]).mean()) / 255.0


def names_in(pools: Iterable[Sequence[str] | None]) -> tuple[str, ...]:
    """All names of the pools, each once, in order of first appearance."""
    return tuple(dict.fromkeys(name for pool in pools for name in pool or ()))


def _borders(start: float, stop: float, count: int) -> Borders:
    return start + np.arange(count + 1, dtype=np.float64) * ((stop - start) / count)


def _summed(values: NDArray[np.float64], borders: Borders, axis: int) -> NDArray[np.float64]:
    """Integral of `values` between neighbouring borders along one axis, by its (piecewise linear) running sum."""
    running = np.insert(np.cumsum(values, axis=axis), 0, 0.0, axis=axis)
    floor = np.clip(np.floor(borders).astype(int), 0, values.shape[axis] - 1)
    low, high = np.take(running, floor, axis=axis), np.take(running, floor + 1, axis=axis)
    share = np.expand_dims(borders - floor, tuple(i for i in range(2) if i != axis))
    return np.diff(low + (high - low) * share, axis=axis)
