"""Images through a local model in batches of one shape: equal shapes need no padding, which could change a result."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from micebench.errors import described, one_line
from micebench.judges.components.base import Failure
from micebench.verdicts import LazyImage, Status

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

Shape = TypeVar("Shape")
Item = TypeVar("Item")
Answer = TypeVar("Answer")
Statistics = tuple[float, float, float]
"""Per channel, R G B."""
IMAGENET_MEAN: Statistics = (0.485, 0.456, 0.406)
IMAGENET_STD: Statistics = (0.229, 0.224, 0.225)


def decoded(image: LazyImage) -> "Image | Failure":
    """The RGB image, or the failure that it cannot be read."""
    try:
        return image.load()
    except Exception as error:  # noqa: BLE001
        return Failure(Status.ERROR, f"the image cannot be read: {one_line(error, 300)}")


def by_shape(items: Iterable[tuple[Shape, Item]], limit: int) -> Iterator[tuple[Shape, list[Item]]]:
    """Batches of at most `limit` items of equal shape."""
    shapes: dict[Shape, list[Item]] = {}
    for shape, item in items:
        shapes.setdefault(shape, []).append(item)
    for shape, members in shapes.items():
        for start in range(0, len(members), limit):
            yield shape, members[start : start + limit]


def attempt(call: Callable[[Sequence[Item]], list[Answer]], items: Sequence[Item]) -> "list[Answer | Failure]":
    """``call(items)``; out of memory halves the batch, anything else that is raised is each item's failure."""
    import torch

    try:
        return [*call(items)]
    except torch.OutOfMemoryError as error:
        if len(items) == 1:
            return [Failure(Status.ERROR, f"out of memory: {one_line(error, 300)}")]
    except Exception as error:  # noqa: BLE001
        return [Failure(Status.ERROR, described(error))] * len(items)
    half = len(items) // 2
    return [*attempt(call, items[:half]), *attempt(call, items[half:])]


def pixels(
    images: "Sequence[Image]",
    size: tuple[int, int],
    mean: Statistics = IMAGENET_MEAN,
    std: Statistics = IMAGENET_STD,
) -> "torch.Tensor":
    """(N, 3, height, width) float32: resized to `size` (width, height) by PIL's bilinear filter, standardised.

    Our own few lines, because what the libraries' processors do depends on whether torchvision is installed.
    """
    import torch
    from PIL.Image import Resampling

    stack = np.stack([np.asarray(image.resize(size, Resampling.BILINEAR), np.float32) for image in images])
    standard = (stack / 255.0 - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return torch.as_tensor(np.ascontiguousarray(standard.transpose(0, 3, 1, 2)))
