"""The exact judge's eye: pixels -> scenes, with a confidence for everything it says.

Reading is matching against everything the renderer can draw: six backgrounds, and for each slot 192 looks
with or without one of eight letters, or nothing. Images that are not crisp are also matched against softened
renderings, and the softness that explains the image best is taken. The residual to the best match and its
lead over the runner-up give a confidence; below `READABLE` the answer is "unreadable", never a guess.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from micebench.mini.render import (
    GLYPH_COLUMNS,
    GLYPH_LEFT,
    GLYPH_ROWS,
    GLYPH_TOP,
    background_tile,
    every_kind,
    every_tile,
    silhouette,
    split_slots,
    tile,
)
from micebench.mini.world import BACKGROUNDS, IMAGE_PX, LETTERS, SHAPES, SLOT_PX, SLOTS, Kind, Scene, Thing

Floats = NDArray[np.float32]
Ints = NDArray[np.int16]

EMPTY = -1
UNREADABLE = -2
NO_LETTER = -1

READABLE = 0.8
"""Least confidence of an answer. Chosen with the residuals below on the corruption curves in docs/."""
MAX_RESIDUAL = 0.14
"""Largest root-mean-square difference of a slot to its best match, pixel values in [0, 1]."""
MAX_CAST = 0.10
"""Largest shift of the background's mean colour (RMS over channels) under which colours can be told at all."""
SOFTNESS_PX = (0.0, 0.4, 0.55, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7)
"""Standard deviations of the Gaussian blurs that templates are kept for."""
_CRISP = 0.012  # mean residual below which softer templates are not tried
_EVIDENCE = 32.0  # independent observations in a slot: its 256 pixels err together under blur, casts, JPEG
_FLOOR = 0.02  # noise (RMS) assumed at least, so that a perfect render is sure, not infinitely sure
_BLOCK = 256

_KINDS = tuple(every_kind())
_KIND_INDEX = {kind: i for i, kind in enumerate(_KINDS)}
_LOOK_OF = np.append(np.repeat(np.arange(len(_KINDS)), 1 + len(LETTERS)), len(_KINDS))
_LETTER_OF = np.append(np.tile(np.arange(-1, len(LETTERS)), len(_KINDS)), NO_LETTER)


@dataclass(frozen=True, slots=True)
class Reading:
    """What is seen in B images.

    Attributes:
        background: (B,) int16, index into BACKGROUNDS, or UNREADABLE.
        background_confidence: (B,) float32 in [0, 1].
        kind: (B, 9) int16, index into `every_kind()`, EMPTY or UNREADABLE, slots in reading order.
        letter: (B, 9) int16, index into LETTERS or NO_LETTER.
        confidence: (B, 9) float32 in [0, 1], of kind and letter together.
        residual: (B, 9) float32, RMS difference to the best match.
    """

    background: Ints
    background_confidence: Floats
    kind: Ints
    letter: Ints
    confidence: Floats
    residual: Floats

    def __len__(self) -> int:
        return len(self.background)

    def look(self, image: int, slot: int) -> Kind | None:
        """The look of what stands in a slot; None if nothing, or nothing readable."""
        index = int(self.kind[image, slot])
        return _KINDS[index] if index >= 0 else None

    def slots_of(self, image: int, name: Kind) -> list[int]:
        """Slots whose content a name fits."""
        return [s for s in range(SLOTS) if (look := self.look(image, s)) is not None and name.fits(look)]

    def scene(self, image: int) -> Scene | None:
        """The scene, copies of one look joined into one object; None if any part is unreadable."""
        if self.background[image] == UNREADABLE or (self.kind[image] == UNREADABLE).any():
            return None
        slots: dict[tuple[int, int], list[int]] = {}
        for slot in range(SLOTS):
            if self.kind[image, slot] != EMPTY:
                slots.setdefault((int(self.kind[image, slot]), int(self.letter[image, slot])), []).append(slot)
        things = tuple(
            Thing(_KINDS[kind], tuple(where), None if letter == NO_LETTER else LETTERS[letter])
            for (kind, letter), where in slots.items()
        )
        return Scene(BACKGROUNDS[self.background[image]], things)


def perceive(images: NDArray[np.uint8]) -> Reading:
    """Read images of shape (B, 48, 48, 3) or (48, 48, 3), uint8 RGB.

    Raises:
        ValueError: another shape or dtype.
    """
    images = images[None] if images.ndim == 3 else images
    if images.dtype != np.uint8 or images.shape[1:] != (IMAGE_PX, IMAGE_PX, 3):
        raise ValueError(
            f"mini images are uint8 of shape (B, {IMAGE_PX}, {IMAGE_PX}, 3), not {images.dtype} {images.shape}"
        )
    parts = [_perceive_block(images[i : i + _BLOCK]) for i in range(0, len(images), _BLOCK)]
    if len(parts) == 1:
        return parts[0]
    fields = Reading.__slots__
    empty = _perceive_block(images) if not parts else None
    return empty or Reading(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))


def kind_index(kind: Kind) -> int:
    """Index of a complete look in `Reading.kind`."""
    return _KIND_INDEX[kind]


def _perceive_block(images: NDArray[np.uint8]) -> Reading:
    slots = split_slots(images).astype(np.float32).reshape(len(images), SLOTS, SLOT_PX * SLOT_PX, 3) / 255
    background, background_confidence = _read_background(slots)
    kind, letter, confidence, residual = _read_slots(slots, background, SOFTNESS_PX[0])
    blurry = np.flatnonzero(residual.mean(1) > _CRISP)
    for softness in SOFTNESS_PX[1:] if len(blurry) else ():
        again = _read_slots(slots[blurry], background[blurry], softness)
        better = again[3].mean(1) < residual[blurry].mean(1)
        for held, new in zip((kind, letter, confidence, residual), again, strict=True):
            held[blurry[better]] = new[better]
    lost = background_confidence < READABLE  # then no colour in this image can be trusted
    unreadable = (confidence < READABLE) | (residual > MAX_RESIDUAL) | lost[:, None]
    kind[unreadable], letter[unreadable] = UNREADABLE, NO_LETTER
    background = np.where(lost, UNREADABLE, background).astype(np.int16)
    return Reading(background, background_confidence, kind, letter, confidence, residual)


def _read_background(slots: Floats) -> tuple[Ints, Floats]:
    """Match the rim that no object covers; the median over slots forgives a few spoilt ones."""
    rim = _rim()
    known = np.stack([background_tile(name).reshape(-1, 3)[rim] for name in BACKGROUNDS]) / 255
    seen = slots[:, :, rim]
    error = np.median(_mean_square(seen.reshape(*seen.shape[:2], -1), known.reshape(len(known), -1)), axis=1)
    best = error.argmin(1)
    cast = np.median(seen.mean(2), axis=1) - known.mean(1)[best]
    confidence = _confidence(error)
    confidence[(error.min(1) > MAX_RESIDUAL**2) | ((cast**2).mean(1) > MAX_CAST**2)] = 0
    return best.astype(np.int16), confidence


def _read_slots(slots: Floats, background: Ints, softness: float) -> tuple[Ints, Ints, Floats, Floats]:
    """Kind, letter, confidence and residual of (n, 9, 256, 3) slots on known backgrounds; see `Reading`."""
    shape = slots.shape[:2]
    kind, letter = np.empty(shape, np.int16), np.empty(shape, np.int16)
    confidence, residual = np.empty(shape, np.float32), np.empty(shape, np.float32)
    around, centre = _regions()
    share = np.float32(len(around) / (len(around) + len(centre)))
    for index in np.unique(background):
        chosen = background == index
        flat = slots[chosen].reshape(-1, SLOT_PX * SLOT_PX, 3)
        known_around, known_centre = _templates(int(index), softness)
        error = _mean_square(flat[:, around].reshape(len(flat), -1), known_around)
        middle = _mean_square(flat[:, centre].reshape(len(flat), -1), known_centre)
        error = share * error[:, _LOOK_OF] + (1 - share) * middle
        best = error.argmin(1)
        look = _LOOK_OF[best]
        lead = (chosen.sum(), SLOTS)
        kind[chosen] = np.where(look == len(_KINDS), EMPTY, look).reshape(lead)
        letter[chosen] = _LETTER_OF[best].reshape(lead)
        confidence[chosen] = _confidence(error).reshape(lead)
        residual[chosen] = np.sqrt(error.min(1)).reshape(lead)
    return kind, letter, confidence, residual


def _confidence(error: Floats) -> Floats:
    """Posterior of the best match: (n, m) mean squared errors -> (n,), Gaussian errors, flat prior."""
    best = error.min(1, keepdims=True)
    variance = np.maximum(best, _FLOOR**2)
    return (1 / np.exp(-(error - best) * _EVIDENCE / (2 * variance)).sum(1)).astype(np.float32)


def _mean_square(seen: Floats, known: Floats) -> Floats:
    """Mean squared differences between (..., d) and (m, d): (..., m)."""
    cross = seen @ known.T
    square = np.einsum("...d,...d->...", seen, seen)[..., None] + np.einsum("md,md->m", known, known)
    return np.maximum(square - 2 * cross, 0) / np.float32(known.shape[1])


@cache
def _rim() -> NDArray[np.intp]:
    """Pixels of a slot that no shape touches."""
    covered = np.maximum.reduce([silhouette(shape)[0] for shape in SHAPES])
    return np.flatnonzero(covered.ravel() == 0)


@cache
def _regions() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pixels of a slot outside and inside the field where a letter may stand."""
    field = np.zeros((SLOT_PX, SLOT_PX), bool)
    field[GLYPH_TOP - 1 : GLYPH_TOP + GLYPH_ROWS + 1, GLYPH_LEFT - 1 : GLYPH_LEFT + GLYPH_COLUMNS + 1] = True
    return np.flatnonzero(~field.ravel()), np.flatnonzero(field.ravel())


@cache
def _templates(background: int, softness: float) -> tuple[Floats, Floats]:
    """What a slot on this background can look like.

    Returns:
        (193, d) outside the letter field, the bare background last; (192 * 9 + 1, c) inside it, in the order
        of `_LOOK_OF` and `_LETTER_OF`.
    """
    name = BACKGROUNDS[background]
    around, centre = _regions()
    bare = tile(name, None, None)
    tiles = np.stack([every_tile(name, letter) for letter in (None, *LETTERS)], axis=1)
    tiles = np.concatenate([tiles.reshape(-1, *bare.shape), bare[None]])
    pixels = _soften(tiles.astype(np.float32) / 255, bare.astype(np.float32) / 255, softness)
    pixels = pixels.reshape(len(tiles), SLOT_PX * SLOT_PX, 3)
    plain = np.flatnonzero(_LETTER_OF == NO_LETTER)
    return (
        np.ascontiguousarray(pixels[plain][:, around].reshape(len(plain), -1)),
        np.ascontiguousarray(pixels[:, centre].reshape(len(pixels), -1)),
    )


def _soften(tiles: Floats, bare: Floats, softness: float) -> Floats:
    """Gaussian blur of (n, 16, 16, 3) tiles that stand among bare background."""
    if softness == 0:
        return tiles
    reach = 4
    pad = np.pad(bare, ((reach, reach), (reach, reach), (0, 0)), mode="wrap")
    padded = np.broadcast_to(pad, (len(tiles), *pad.shape)).copy()
    padded[:, reach:-reach, reach:-reach] = tiles
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-(offsets**2) / (2 * softness**2))
    weights = (weights / weights.sum()).astype(np.float32)
    rows = sum(w * padded[:, reach + o : reach + o + SLOT_PX] for o, w in zip(offsets, weights, strict=True))
    return sum(w * rows[:, :, reach + o : reach + o + SLOT_PX] for o, w in zip(offsets, weights, strict=True))
