"""The embedded world: what a scene consists of, and what things in it are called.

A scene is a 3 x 3 grid of slots on a textured background. An object has a shape, a colour, a material (its
fill texture), possibly a letter, and one slot per copy. Names read like those of MICE-Bench, material first:
"wood red circle".
"""

from dataclasses import dataclass, replace
from functools import lru_cache

SHAPES = ("circle", "square", "triangle", "diamond", "cross", "heart")
COLORS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
MATERIALS = ("plastic", "wood", "metal", "stone")
LETTERS = ("A", "C", "H", "K", "L", "T", "X", "Z")
BACKGROUNDS = ("sand", "grass", "water", "brick", "snow", "night")

GRID = 3
"""Slots per side; slot s lies in row s // GRID, column s % GRID."""
SLOTS = GRID * GRID
SLOT_PX = 16
IMAGE_PX = GRID * SLOT_PX
"""48: a 4x-down autoencoder and 2x2 packing make 36 tokens, and every slot exactly four of them."""
MAX_COPIES = 4


@dataclass(frozen=True, slots=True)
class Kind:
    """What an object looks like, or, with None for what is left open, a name that fits several looks."""

    shape: str | None
    color: str | None
    material: str | None

    @property
    def name(self) -> str:
        """E.g. "wood red circle"; open attributes are left out."""
        return " ".join(word for word in (self.material, self.color, self.shape) if word is not None)

    def fits(self, other: "Kind") -> bool:
        """Whether every attribute this name gives is the other's."""
        return (
            self.shape in (None, other.shape)
            and self.color in (None, other.color)
            and self.material in (None, other.material)
        )

    def with_(self, attribute: str, value: str | None) -> "Kind":
        """The same with one attribute ("shape", "color" or "material") set, or opened by None."""
        return replace(self, **{attribute: value})


@dataclass(frozen=True, slots=True)
class Thing:
    """An object of a scene: its look, its letter, the slots of its copies in ascending order."""

    kind: Kind
    slots: tuple[int, ...]
    letter: str | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """Objects on a background. No two objects share a look or a slot."""

    background: str
    things: tuple[Thing, ...]

    def free_slots(self) -> list[int]:
        """Empty slots in reading order."""
        taken = {slot for thing in self.things for slot in thing.slots}
        return [slot for slot in range(SLOTS) if slot not in taken]

    def find(self, name: Kind) -> list[Thing]:
        """The objects a name fits."""
        return [thing for thing in self.things if name.fits(thing.kind)]


_ATTRIBUTE: dict[str, str] = {
    word: attribute
    for attribute, words in (("shape", SHAPES), ("color", COLORS), ("material", MATERIALS))
    for word in words
}


@lru_cache(maxsize=4096)
def parse_name(name: str) -> Kind:
    """Name -> Kind, leaving open what the name does not say. Plural shapes are understood.

    Raises:
        ValueError: an unknown word, an attribute named twice, or no word at all.
    """
    found: dict[str, str] = {}
    for word in name.lower().split():
        single = singular(word)
        attribute = _ATTRIBUTE.get(single)
        if attribute is None or attribute in found:
            raise ValueError(f"{name!r} is not the name of a thing: {word!r}")
        found[attribute] = single
    if not found:
        raise ValueError("an empty name")
    return Kind(found.get("shape"), found.get("color"), found.get("material"))


def plural(name: str) -> str:
    """ "red cross" -> "red crosses"."""
    return name + ("es" if name.endswith("ss") else "s")


def singular(word: str) -> str:
    """Singular of a shape's plural; any other word unchanged."""
    return next((shape for shape in SHAPES if word == plural(shape)), word)


def step(slot: int, relation: str) -> int | None:
    """The slot directly left | right | above | below `slot`, or None at the edge."""
    row, column = divmod(slot, GRID)
    drow, dcolumn = {"left": (0, -1), "right": (0, 1), "above": (-1, 0), "below": (1, 0)}[relation]
    row, column = row + drow, column + dcolumn
    return row * GRID + column if 0 <= row < GRID and 0 <= column < GRID else None


def related(slot: int, relation: str, anchor: int) -> bool:
    """Whether `slot` is strictly left | right | above | below `anchor`, compared on that axis alone.

    The axis-wise comparison of centres is that of EdiVal-Bench and MICE-Bench.
    """
    (row, column), (anchor_row, anchor_column) = divmod(slot, GRID), divmod(anchor, GRID)
    return {
        "left": column < anchor_column,
        "right": column > anchor_column,
        "above": row < anchor_row,
        "below": row > anchor_row,
    }[relation]
