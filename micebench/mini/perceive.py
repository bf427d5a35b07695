"""The exact judge's eye: pixels -> scenes, with a confidence for everything it says.

Reading is matching against everything the renderer can draw: six backgrounds, and for each slot 192 looks
with or without one of eight letters, or nothing. Images that are not crisp are also matched against softened
renderings, and the softness that explains the image best is taken. The residual to the best match and its
lead over the runner-up give a confidence; below `READABLE` the answer is "unreadable", never a guess.
"""

from dataclasses import dataclass, fields
from functools import cache
from typing import NamedTuple

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
MAX_RESIDUAL = 0.09
"""Largest root-mean-square difference of a slot to its best match, pixel values in [0, 1]."""
SOFTNESS_PX = (0.0, 0.4, 0.55, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7)
"""Standard deviations of the Gaussian blurs that templates are kept for."""
_CRISP = 0.012  # mean residual below which softer templates are not tried
_EVIDENCE = 32.0  # independent observations in a slot: its 256 pixels err together under blur, casts, JPEG
_FLOOR = 0.02  # noise (RMS) assumed at least, so that a perfect render is sure, not infinitely sure
_BLOCK = 64  # images matched at a time; keeps the error table in cache

_KINDS = tuple(every_kind())


@dataclass(frozen=True, slots=True)
class Reading:
    """What is seen in B images.

    Attributes:
        background: (B,) int16, index into BACKGROUNDS, or UNREADABLE.
        background_confidence: (B,) float32 in [0, 1].
        kind: (B, 9) int16, index into `every_kind()`, EMPTY or UNREADABLE, slots in reading order.
        letter: (B, 9) int16, index into LETTERS or NO_LETTER.
        confidence: (B, 9) float32 in [0, 1], of kind and letter together.
        residual: (B, 9) float32, RMS difference to the best match at the softness that explains the image best.
        roughness: (B, 9) float32, RMS difference to the best crisp match: what blur and noise have cost.
    """

    background: Ints
    background_confidence: Floats
    kind: Ints
    letter: Ints
    confidence: Floats
    residual: Floats
    roughness: Floats

    def __len__(self) -> int:
        return len(self.background)

    def look(self, image: int, slot: int) -> Kind | None:
        """The look of what stands in a slot; None if nothing, or nothing readable."""
        index = int(self.kind[image, slot])
        return _KINDS[index] if index >= 0 else None

    def slots_of(self, image: int, name: Kind) -> list[int]:
        """Slots whose content a name fits."""
        return [s for s in range(SLOTS) if (look := self.look(image, s)) is not None and name.fits(look)]

    def scene(self, image: int, *, partial: bool = False) -> Scene | None:
        """The scene, copies of one look joined into one object; None if any part is unreadable.

        With `partial`, unreadable slots count as empty, and only an unreadable background gives None.
        """
        if self.background[image] == UNREADABLE or (not partial and (self.kind[image] == UNREADABLE).any()):
            return None
        slots: dict[tuple[int, int], list[int]] = {}
        for slot in range(SLOTS):
            if self.kind[image, slot] >= 0:
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
    parts = [_perceive_block(images[i : i + _BLOCK]) for i in range(0, max(len(images), 1), _BLOCK)]
    return Reading(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Reading)))


def _perceive_block(images: NDArray[np.uint8]) -> Reading:
    slots = _unit(split_slots(images).reshape(len(images), SLOTS, SLOT_PX * SLOT_PX, 3))
    background, background_confidence = _read_background(slots)
    crisp = np.zeros(len(images), np.int16)
    kind, letter, confidence, residual = _read_slots(slots, background, crisp)
    roughness = residual.copy()
    rough = np.flatnonzero(residual.mean(1) > _CRISP)
    if len(rough):
        softness = _softness(slots[rough], background[rough], kind[rough])
        again = _read_slots(slots[rough], background[rough], softness)
        better = again[3].mean(1) < residual[rough].mean(1)
        for held, new in zip((kind, letter, confidence, residual), again, strict=True):
            held[rough[better]] = new[better]
    unreadable = (confidence < READABLE) | (residual > MAX_RESIDUAL)
    kind[unreadable], letter[unreadable] = UNREADABLE, NO_LETTER
    background = np.where(background_confidence < READABLE, UNREADABLE, background).astype(np.int16)
    return Reading(background, background_confidence, kind, letter, confidence, residual, roughness)


def _read_background(slots: Floats) -> tuple[Ints, Floats]:
    """Match the rim that no object covers; the median over slots forgives a few spoilt ones."""
    rim = _rim()
    known = _unit(np.stack([background_tile(name).reshape(-1, 3)[rim].ravel() for name in BACKGROUNDS]))
    seen = slots[:, :, rim].reshape(len(slots), SLOTS, 3 * len(rim))
    error = np.median(_mean_square(seen, known), axis=1)
    best = error.argmin(1)
    confidence = _confidence(error)
    confidence[error.min(1) > MAX_RESIDUAL**2] = 0
    return best.astype(np.int16), confidence


def _softness(slots: Floats, background: Ints, kind: Ints) -> Ints:
    """Per image the index into SOFTNESS_PX at which what was read explains the pixels best."""
    around, _ = _regions()
    look = np.where(kind == EMPTY, len(_KINDS), kind)
    errors = np.empty((len(slots), len(SOFTNESS_PX)), np.float32)
    for index in np.unique(background):
        chosen = background == index
        seen = slots[chosen][:, :, around].reshape(chosen.sum(), SLOTS, -1)
        for level in range(len(SOFTNESS_PX)):
            known = _bank(int(index), level).around[look[chosen]]
            errors[chosen, level] = ((seen - known) ** 2).mean((1, 2))
    return errors.argmin(1).astype(np.int16)


def _read_slots(slots: Floats, background: Ints, softness: Ints) -> tuple[Ints, Ints, Floats, Floats]:
    """Kind, letter, confidence and residual of (n, 9, 256, 3) slots on known backgrounds; see `Reading`."""
    shape = slots.shape[:2]
    kind, letter = np.full(shape, EMPTY, np.int16), np.full(shape, NO_LETTER, np.int16)
    confidence, residual = np.ones(shape, np.float32), np.empty(shape, np.float32)
    letters = 1 + len(LETTERS)
    for index, level in {(int(b), int(s)) for b, s in zip(background, softness, strict=True)}:
        bank = _bank(index, level)
        chosen = ((background == index) & (softness == level))[:, None]
        bare = ((slots - bank.bare) ** 2).mean((2, 3))
        residual[chosen[:, 0]] = np.sqrt(bare[chosen[:, 0]])
        chosen = chosen & (bare > bank.clearance)
        error = _errors(slots[chosen], bank)
        best = error.argmin(1)
        nothing = best == len(_KINDS) * letters
        kind[chosen] = np.where(nothing, EMPTY, best // letters)
        letter[chosen] = np.where(nothing, NO_LETTER, best % letters - 1)
        residual[chosen] = np.sqrt(_difference(slots[chosen], bank, best))
        confidence[chosen] = _confidence(error)
    return kind, letter, confidence, residual


def _errors(slots: Floats, bank: "_Bank") -> Floats:
    """Mean squared differences of (n, 256, 3) slots to all contents: (n, 192 * 9 + 1), the bare one last."""
    outside_seen, centre_seen, share = _parts(slots)
    outside = _mean_square(outside_seen, bank.around, share)
    error = _mean_square(centre_seen, bank.centre, 1 - share)
    looks = error[:, :-1].reshape(len(slots), len(_KINDS), 1 + len(LETTERS))
    looks += outside[:, :-1, None]
    error[:, -1] += outside[:, -1]
    return error


def _difference(slots: Floats, bank: "_Bank", best: NDArray[np.intp]) -> Floats:
    """(n,) mean squared differences of (n, 256, 3) slots to one content each, as numbered by `_errors`.

    Taken pixel by pixel: the products of `_errors` cancel to rounding noise where the match is good, and that noise
    depends on what else is in the batch.
    """
    outside_seen, centre_seen, share = _parts(slots)
    outside = ((outside_seen - bank.around[best // (1 + len(LETTERS))]) ** 2).mean(1)
    return share * outside + (1 - share) * ((centre_seen - bank.centre[best]) ** 2).mean(1)


def _parts(slots: Floats) -> tuple[Floats, Floats, float]:
    """(n, 256, 3) slots as values outside and inside the letters' field, and the share of the former."""
    around, centre = _regions()
    parts = (slots[:, pixels].reshape(len(slots), 3 * len(pixels)) for pixels in (around, centre))
    return next(parts), next(parts), len(around) / (len(around) + len(centre))


def _confidence(error: Floats) -> Floats:
    """Posterior of the best match: (n, m) mean squared errors -> (n,), Gaussian errors, flat prior."""
    best = np.maximum(error.min(1, keepdims=True), 0)
    logits = (best - error) * (_EVIDENCE / (2 * np.maximum(best, _FLOOR**2)))
    return (1 / np.exp(logits, out=logits).sum(1)).astype(np.float32)


def _mean_square(seen: Floats, known: Floats, weight: float = 1.0) -> Floats:
    """`weight` times the mean squared differences between (..., d) and (m, d): (..., m)."""
    error = seen @ known.T
    error *= -2
    error += np.einsum("...d,...d->...", seen, seen)[..., None]
    error += np.einsum("md,md->m", known, known)
    error *= np.float32(weight / known.shape[1])
    return error


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


class _Bank(NamedTuple):
    """What a slot on one background at one softness can look like; the bare background comes last.

    around: (193, d) pixels outside the letter field. centre: (192 * 9 + 1, c) inside it, each look without and
    with every letter. bare: (256, 3). clearance: a slot with a smaller mean squared difference to the bare
    background is empty beyond doubt, because every object is at least three times as far away.
    """

    around: Floats
    centre: Floats
    bare: Floats
    clearance: float


@cache
def _bank(background: int, level: int) -> _Bank:
    name = BACKGROUNDS[background]
    around, centre = _regions()
    bare = tile(name, None, None)
    tiles = np.stack([every_tile(name, letter) for letter in (None, *LETTERS)], axis=1)
    tiles = np.concatenate([tiles.reshape(-1, *bare.shape), bare[None]])
    pixels = _soften(_unit(tiles), _unit(bare), SOFTNESS_PX[level])
    pixels = pixels.reshape(len(tiles), SLOT_PX * SLOT_PX, 3)
    unlettered = pixels[:: 1 + len(LETTERS)]
    return _Bank(
        around=np.ascontiguousarray(unlettered[:, around].reshape(len(unlettered), -1)),
        centre=np.ascontiguousarray(pixels[:, centre].reshape(len(pixels), -1)),
        bare=pixels[-1],
        clearance=float(((pixels[:-1] - pixels[-1]) ** 2).mean((1, 2)).min()) / 9,
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
    rows = np.zeros((len(tiles), SLOT_PX, padded.shape[2], 3), np.float32)
    blurred = np.zeros_like(tiles)
    for offset, weight in enumerate(weights):
        rows += weight * padded[:, offset : offset + SLOT_PX]
    for offset, weight in enumerate(weights):
        blurred += weight * rows[:, :, offset : offset + SLOT_PX]
    return blurred


def _unit(pixels: NDArray[np.generic]) -> Floats:
    """[0, 255] -> [0, 1]."""
    return pixels.astype(np.float32) / np.float32(255)
