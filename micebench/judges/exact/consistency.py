"""What should not have changed: content consistency, quality and destruction, on pixels.

    s(a, b) = max(0, 1 - mean|a - b| / TOLERANCE)          pixel values in [0, 1]

Objects: the mean over never-edited objects of s between source and current image, over the pixels the object
fully covers. Background: s over the pixels outside all objects. Both against the *source* image, as in
EdiVal-Bench and MICE-Bench; here the regions are exact and nothing but pixels is compared.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from micebench.instructions import ParsedEdit
from micebench.judges.exact.instruction_following import View
from micebench.mini.perceive import UNREADABLE
from micebench.mini.render import silhouette, split_slots
from micebench.mini.world import SHAPES, SLOTS, Kind, parse_name
from micebench.verdicts import Status, Verdict

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

TOLERANCE = 0.25
"""Mean absolute difference at which nothing is left of the original."""
ROUGH, SPOILT = 0.06, 0.12
"""Mean roughness (RMS to the crisp rendering) from which a surface counts as corrupted, badly corrupted."""


def slot_differences(original: Pixels, current: Pixels) -> Floats:
    """Mean absolute difference over channels: two (48, 48, 3) uint8 images -> (9, 16, 16) float32 in [0, 1]."""
    difference = np.abs(original.astype(np.int16) - current).sum(-1, dtype=np.int16)
    return split_slots(difference[..., None])[..., 0].astype(np.float32) / np.float32(3 * 255)


def object_consistency(unchanged: Sequence[str], source: View, difference: Floats) -> Verdict:
    """CC.object of one image from its `slot_differences` to the source image."""
    if not unchanged:
        return Verdict.missing(Status.NOT_APPLICABLE, "every object has been edited")
    scores: dict[str, float] = {}
    for name in unchanged:
        slots = source.slots_of(parse_name(name))
        if not slots:
            return Verdict.missing(Status.INVALID_ANNOTATION, f"unchanged object {name!r} is not in the source image")
        kept = [_similarity(difference[slot][_covered(source, slot)].mean()) for slot in slots]
        scores[name] = sum(kept) / len(kept)
    worst = min(scores, key=lambda name: scores[name])
    return Verdict.ok(sum(scores.values()) / len(scores), f"worst kept: {worst} {100 * scores[worst]:.0f}")


def background_consistency(kept: bool | None, allowed: Sequence[int], source: View, difference: Floats) -> Verdict:
    """CC.background of one image; `allowed` are new object slots that the session explains."""
    if kept is False:
        return Verdict.missing(Status.NOT_APPLICABLE, "the background was changed on request")
    bare = np.array([source.empty(slot) and slot not in allowed for slot in range(SLOTS)])
    visible = _rim() | bare[:, None, None]
    value = _similarity(difference[visible].mean())
    return Verdict.ok(value, f"{visible.mean():.0%} of the image compared")


def explained_slots(edits: Sequence[ParsedEdit], names: Sequence[str], source: View, current: View) -> list[int]:
    """New object slots that edits 1..k account for: at most as many as they make, of shapes they name.

    Anything else that appears on the background is damage to it.
    """
    room = sum(
        {"subject_add": 1, "position_change": 1, "count_change": (edit.count or 1) - 1}.get(edit.edit_type, 0)
        for edit in edits
    )
    known = [parse_name(name) for name in names]
    shapes = [Kind(kind.shape, None, None) for kind in known]

    def rank(slot: int) -> int | None:
        look = current.look(slot)
        if look is None:
            return None if current.empty(slot) else 2  # unreadable: perhaps what was asked for, spoilt
        if any(kind.fits(look) for kind in known):
            return 0
        return 1 if any(shape.fits(look) for shape in shapes) else None

    ranked = [(order, slot) for slot in range(SLOTS) if source.empty(slot) and (order := rank(slot)) is not None]
    return [slot for _, slot in sorted(ranked)[:room]]


def destruction(unchanged: Sequence[str], source: View, current: View) -> Verdict:
    """1 if the image no longer shows the scene: content loss (0-2) + surface corruption (0-2) >= 2.

    The two scales and the threshold are LME-Bench's; here content loss is the share of slots (of all, or of
    those with objects that should still be there) in which nothing can be recognised, and surface corruption
    the mean distance to the crisp rendering. A clean but wrong edit destroys nothing.
    """
    unreadable = current.reading.kind[current.row] == UNREADABLE
    objects = [slot for name in unchanged for slot in source.slots_of(parse_name(name))]
    lost = max(float(unreadable.mean()), float(unreadable[objects].mean()) if objects else 0.0)
    content = 2 if lost >= 0.5 else 1 if lost >= 0.25 else 0
    rough = float(current.reading.roughness[current.row].mean())
    surface = 2 if rough >= SPOILT or current.background is None else 1 if rough >= ROUGH else 0
    value = 1.0 if content + surface >= 2 else 0.0
    return Verdict.ok(value, f"content loss {content}, surface corruption {surface}")


def quality(source: View, current: View) -> Verdict:
    """1 - mean roughness / SPOILT, relative to the source image; clipped to [0, 1]."""

    def clean(view: View) -> float:
        return max(0.0, 1 - float(view.reading.roughness[view.row].mean()) / SPOILT)

    base = clean(source)
    if base == 0:
        return Verdict.missing(Status.NOT_APPLICABLE, "the source image is not a clean rendering")
    return Verdict.ok(min(1.0, clean(current) / base))


def _similarity(difference: float) -> float:
    return max(0.0, 1.0 - float(difference) / TOLERANCE)


def _covered(source: View, slot: int) -> NDArray[np.bool_]:
    look = source.look(slot)
    assert look is not None
    assert look.shape is not None
    return _body(look.shape)


@cache
def _body(shape: str) -> NDArray[np.bool_]:
    """Pixels of a slot that a shape covers fully, (16, 16)."""
    return silhouette(shape)[0] > 0.99


@cache
def _rim() -> NDArray[np.bool_]:
    """Pixels of a slot that no shape touches, (16, 16)."""
    return np.maximum.reduce([silhouette(shape)[0] for shape in SHAPES]) == 0
