"""Rectangles in shares of an image, against each other."""

from collections.abc import Sequence

from micebench.judges.models.base import Box, Detection


def area(box: Box) -> float:
    """Share of the image."""
    return max(box.right - box.left, 0.0) * max(box.bottom - box.top, 0.0)


def overlap(a: Box, b: Box) -> float:
    """Area that both cover."""
    return max(min(a.right, b.right) - max(a.left, b.left), 0.0) * max(
        min(a.bottom, b.bottom) - max(a.top, b.top), 0.0
    )


def iou(a: Box, b: Box) -> float:
    """Intersection over union; 0 for boxes without area."""
    shared = overlap(a, b)
    union = area(a) + area(b) - shared
    return shared / union if union > 0 else 0.0


def covered(a: Box, b: Box) -> float:
    """Share of the smaller box that lies in the other; 0 for boxes without area."""
    smaller = min(area(a), area(b))
    return overlap(a, b) / smaller if smaller > 0 else 0.0


def contains(outer: Box, inner: Box) -> bool:
    """Whether no part of `inner` is outside; equal boxes contain each other."""
    return (
        outer.left <= inner.left
        and outer.top <= inner.top
        and outer.right >= inner.right
        and outer.bottom >= inner.bottom
    )


def hull(boxes: Sequence[Box]) -> Box:
    """The smallest box around all of them."""
    return Box(
        min(box.left for box in boxes),
        min(box.top for box in boxes),
        max(box.right for box in boxes),
        max(box.bottom for box in boxes),
    )


def centre(box: Box) -> tuple[float, float]:
    """(x, y) in shares of width and height."""
    return (box.left + box.right) / 2, (box.top + box.bottom) / 2


def huge(box: Box, share: float) -> bool:
    """Whether it is wider and higher than this share of the image."""
    return box.right - box.left > share and box.bottom - box.top > share


def related(point: tuple[float, float], relation: str, anchor: tuple[float, float], offset: float = 0.0) -> bool:
    """Whether `point` is left | right | above | below of `anchor` by more than `offset`, on that axis alone."""
    axis = 0 if relation in {"left", "right"} else 1
    ahead = point[axis] - anchor[axis]
    return -ahead > offset if relation in {"left", "above"} else ahead > offset


def widened(box: Box, margin: float) -> Box:
    """The box with `margin` of its own width and height added on each side, cut at the image's border."""
    x, y = margin * (box.right - box.left), margin * (box.bottom - box.top)
    return Box(max(box.left - x, 0.0), max(box.top - y, 0.0), min(box.right + x, 1.0), min(box.bottom + y, 1.0))


def best(found: Sequence[Detection]) -> Detection | None:
    """The detection with the highest score; the first of equals."""
    return max(found, key=lambda detection: detection.score, default=None)


def without_duplicates(found: Sequence[Detection], duplicate: float) -> list[Detection]:
    """Drops each detection whose IoU with an earlier, kept one is above `duplicate`."""
    kept: list[Detection] = []
    for detection in found:
        if all(iou(detection.box, other.box) <= duplicate for other in kept):
            kept.append(detection)
    return kept
