"""Scenes -> pixels. Every slot is composed from precomputed sprites; anti-aliased, deterministic."""

from collections.abc import Iterable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from micebench.mini.world import (
    COLORS,
    GRID,
    IMAGE_PX,
    MATERIALS,
    SHAPES,
    SLOT_PX,
    Kind,
    Scene,
)

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

_FINE = 8  # supersampling per pixel and axis
_PALETTE = {
    "red": (214, 38, 42),
    "orange": (246, 128, 22),
    "yellow": (252, 222, 48),
    "green": (28, 140, 60),
    "cyan": (40, 208, 214),
    "blue": (36, 72, 206),
    "purple": (136, 48, 176),
    "pink": (250, 140, 196),
}
_DARK_LETTER_ON = ("orange", "yellow", "cyan", "pink")
_INK = {True: (24, 20, 30), False: (255, 255, 255)}
# Five columns, seven rows; chosen so that any two letters differ in at least eight pixels.
_GLYPHS = {
    "A": (".###.", "#...#", "#...#", "#####", "#...#", "#...#", "#...#"),
    "C": (".####", "#....", "#....", "#....", "#....", "#....", ".####"),
    "H": ("#...#", "#...#", "#...#", "#####", "#...#", "#...#", "#...#"),
    "K": ("#...#", "#..#.", "#.#..", "##...", "#.#..", "#..#.", "#...#"),
    "L": ("#....", "#....", "#....", "#....", "#....", "#....", "#####"),
    "T": ("#####", "..#..", "..#..", "..#..", "..#..", "..#..", "..#.."),
    "X": ("#...#", "#...#", ".#.#.", "..#..", ".#.#.", "#...#", "#...#"),
    "Z": ("#####", "....#", "...#.", "..#..", ".#...", "#....", "#####"),
}
GLYPH_TOP, GLYPH_LEFT, GLYPH_ROWS, GLYPH_COLUMNS = 5, 5, 7, 5


def render(scene: Scene) -> Pixels:
    """Draw a scene: (48, 48, 3) uint8 RGB."""
    tiles = np.empty((GRID, GRID, SLOT_PX, SLOT_PX, 3), np.uint8)
    tiles[:] = tile(scene.background, None, None)
    for thing in scene.things:
        drawn = tile(scene.background, thing.kind, thing.letter)
        for slot in thing.slots:
            tiles[divmod(slot, GRID)] = drawn
    return join_slots(tiles)


def join_slots(tiles: Pixels) -> Pixels:
    """(..., 3, 3, 16, 16, C) slots -> (..., 48, 48, C) image."""
    lead, channels = tiles.shape[:-5], tiles.shape[-1]
    return np.ascontiguousarray(tiles.swapaxes(-4, -3)).reshape(*lead, IMAGE_PX, IMAGE_PX, channels)


def split_slots(images: NDArray[np.generic]) -> NDArray[np.generic]:
    """(..., 48, 48, C) image -> (..., 9, 16, 16, C) slots in reading order."""
    lead, channels = images.shape[:-3], images.shape[-1]
    grid = images.reshape(*lead, GRID, SLOT_PX, GRID, SLOT_PX, channels)
    return np.ascontiguousarray(grid.swapaxes(-4, -3)).reshape(*lead, GRID * GRID, SLOT_PX, SLOT_PX, channels)


@cache
def tile(background: str, kind: Kind | None, letter: str | None) -> Pixels:
    """One slot, (16, 16, 3) uint8: an object on a background, or the bare background."""
    pixels = background_tile(background)
    if kind is not None:
        alpha, color = sprite(kind, letter)
        pixels = pixels * (1 - alpha[..., None]) + color * alpha[..., None]
    drawn = np.rint(pixels).astype(np.uint8)
    drawn.setflags(write=False)
    return drawn


@cache
def background_tile(name: str) -> Floats:
    """Background texture, (16, 16, 3) float32 in [0, 255]; repeats from slot to slot without a seam."""
    y, x = np.mgrid[:SLOT_PX, :SLOT_PX]
    base, mark, marked = {
        "sand": ((228, 208, 164), (204, 178, 128), (x * 5 + y * 3) % 16 < 2),
        "grass": ((158, 196, 126), (126, 170, 98), (x + 2 * (y // 8)) % 4 == 0),
        "water": ((134, 178, 206), (168, 206, 226), (y + (x // 4) % 2) % 4 == 0),
        "brick": ((176, 122, 106), (208, 176, 160), (y % 8 == 0) | ((x + 8 * (y // 8)) % 16 == 0)),
        "snow": ((234, 238, 244), (206, 216, 232), (x * 3 + y * 7) % 16 < 2),
        "night": ((46, 46, 80), (92, 92, 132), (x * 7 + y * 5) % 16 < 1),
    }[name]
    texture = np.where(marked[..., None], np.array(mark, np.float32), np.array(base, np.float32))
    return texture.astype(np.float32)


@cache
def sprite(kind: Kind, letter: str | None) -> tuple[Floats, Floats]:
    """Coverage (16, 16) in [0, 1] and colour (16, 16, 3) in [0, 255] of one copy of an object."""
    if kind.shape is None or kind.color is None or kind.material is None:
        raise ValueError(f"cannot draw {kind.name!r}: shape, colour and material must all be given")
    alpha, fill = silhouette(kind.shape)
    body = _texture(kind.material, np.array(_PALETTE[kind.color], np.float32))
    outline = np.array(_PALETTE[kind.color], np.float32) * 0.4
    if letter is not None:  # the texture pauses behind a letter, so that every letter is readable
        body[GLYPH_TOP : GLYPH_TOP + GLYPH_ROWS, GLYPH_LEFT : GLYPH_LEFT + GLYPH_COLUMNS] = _PALETTE[kind.color]
    share = (fill / np.maximum(alpha, 1e-6))[..., None]
    color = body * share + outline * (1 - share)
    if letter is not None:
        ink = np.array(_INK[kind.color in _DARK_LETTER_ON], np.float32)
        color = np.where(glyph(letter)[..., None], ink, color)
    return alpha, color.astype(np.float32)


@cache
def silhouette(shape: str) -> tuple[Floats, Floats]:
    """Coverage of a whole shape and of its inside without the one-pixel outline, each (16, 16) in [0, 1]."""
    side = SLOT_PX * _FINE
    v, u = (np.mgrid[:side, :side] + 0.5) / _FINE - SLOT_PX / 2  # pixels from the centre; v points down
    r = 7.0
    x, y = u / 5.6, -(v - 0.9) / 5.6  # heart coordinates, y up
    inside = {
        "circle": u**2 + v**2 <= r**2,
        "square": np.maximum(abs(u), abs(v)) <= 6.0,
        "triangle": (v <= 6.0) & (abs(u) <= (v + 7.4) * 0.52),
        "diamond": abs(u) + abs(v) <= r + 0.5,
        "cross": (np.minimum(abs(u), abs(v)) <= 3.3) & (np.maximum(abs(u), abs(v)) <= 6.8),
        "heart": (x**2 + y**2 - 1) ** 3 - x**2 * y**3 <= 0,
    }[shape]
    inner = inside.copy()
    for angle in np.linspace(0, 2 * np.pi, 16, endpoint=False):
        shift = (round(_FINE * np.sin(angle)), round(_FINE * np.cos(angle)))
        inner &= np.roll(inside, shift, (0, 1))
    return _pool(inside), _pool(inner)


def _pool(fine: NDArray[np.bool_]) -> Floats:
    return fine.reshape(SLOT_PX, _FINE, SLOT_PX, _FINE).mean((1, 3), dtype=np.float32)


def _texture(material: str, color: Floats) -> Floats:
    y, x = np.mgrid[:SLOT_PX, :SLOT_PX]
    white = np.full(3, 255, np.float32)
    shade, light = {
        "plastic": (np.ones_like(x), np.zeros_like(x)),
        "wood": (np.where(y % 4 < 2, 0.55, 1.0), np.zeros_like(x)),
        "metal": (np.ones_like(x), np.where((x - y) % 8 < 3, 0.65, 0.0)),
        "stone": (np.where((x // 3 + y // 3) % 2 == 0, 1.0, 0.5), np.zeros_like(x)),
    }[material]
    body = color * shade[..., None] * (1 - light[..., None]) + white * light[..., None]
    return body.astype(np.float32)


@cache
def glyph(letter: str) -> NDArray[np.bool_]:
    """The letter's pixels within a slot, (16, 16) bool."""
    mask = np.zeros((SLOT_PX, SLOT_PX), bool)
    rows = np.array([[cell == "#" for cell in row] for row in _GLYPHS[letter]])
    mask[GLYPH_TOP : GLYPH_TOP + GLYPH_ROWS, GLYPH_LEFT : GLYPH_LEFT + GLYPH_COLUMNS] = rows
    return mask


def every_kind() -> Iterable[Kind]:
    """All 192 looks, in a fixed order."""
    return (Kind(shape, color, material) for shape in SHAPES for color in COLORS for material in MATERIALS)


def every_tile(background: str, letter: str | None = None) -> Pixels:
    """(192, 16, 16, 3) uint8: every look on one background, in the order of `every_kind`."""
    return np.stack([tile(background, kind, letter) for kind in every_kind()])
