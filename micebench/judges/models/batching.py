"""Images through a local model in batches of one shape: equal shapes need no padding, which could change a result."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from micebench.errors import described, one_line
from micebench.judges.models.base import Failure
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


def attempt(
    call: Callable[[Sequence[Item]], list[Answer]], items: Sequence[Item], relieve: Callable[[], bool] = lambda: False
) -> "list[Answer | Failure]":
    """``call(items)``; out of memory halves the batch, anything else that is raised is each item's failure.

    `relieve` gives memory back, and says whether it could; if so, the whole batch is tried once more first.
    """
    import torch

    try:
        return [*call(items)]
    except torch.OutOfMemoryError as error:
        reason = f"out of memory: {one_line(error, 300)}"
    except Exception as error:  # noqa: BLE001
        return [Failure(Status.ERROR, described(error))] * len(items)
    if relieve():
        return attempt(call, items)
    if len(items) == 1:
        return [Failure(Status.ERROR, reason)]
    half = len(items) // 2
    return [*attempt(call, items[:half]), *attempt(call, items[half:])]


def answered(
    images: Iterable[LazyImage],
    call: "Callable[[Sequence[Image]], list[Answer]]",
    limit: int,
    shape: "Callable[[Image], object]",
) -> "list[Answer | Failure]":
    """One answer per image, in order: images of equal shape go together, one that cannot be read fails alone."""
    answers: dict[int, Answer | Failure] = {}
    readable: list[tuple[object, tuple[int, Image]]] = []
    for number, lazy in enumerate(images):
        image = decoded(lazy)
        if isinstance(image, Failure):
            answers[number] = image
        else:
            readable.append((shape(image), (number, image)))
    for _, batch in by_shape(readable, limit):
        numbers = [number for number, _ in batch]
        answers |= zip(numbers, attempt(call, [image for _, image in batch]), strict=True)
    return [answers[number] for number in range(len(answers))]


def pixels(images: "Sequence[Image]", size: tuple[int, int]) -> "torch.Tensor":
    """(N, 3, height, width) float32: resized to `size` (width, height) by PIL's bilinear filter, standardised.

    The statistics are ImageNet's. Our own few lines, because what the libraries' processors do depends on whether
    torchvision is installed.
    """
    import torch
    from PIL.Image import Resampling

    resized = [image.resize(size, Resampling.BILINEAR) for image in images]
    return torch.as_tensor(np.stack([standardised(image, IMAGENET_MEAN, IMAGENET_STD) for image in resized]))


def standardised(image: "Image", mean: Statistics, std: Statistics) -> NDArray[np.float32]:
    """(3, height, width): 8-bit values in [0, 1], less the mean, over the standard deviation of each channel."""
    shares = np.asarray(image, np.float32) / 255.0
    standard = (shares - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return np.ascontiguousarray(standard.transpose(2, 0, 1))
