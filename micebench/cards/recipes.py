"""Find recipes and put them together with their bases; what a recipe may say is the trainer's to check."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from micebench.cards.load import find_recipes, yaml_fields
from micebench.errors import CardError, nearest, one_line

ID_PATTERN = r"^[^\W_][^\x00-\x1f\x7f/\\]*$"
"""A recipe's id, which becomes a folder's name: starts with a letter or a digit, holds no slash."""
MAX_ID = 100
_MOST_BASES = 20


def recipe_path(name: str | Path) -> Path:
    """Where a recipe is: by id, or the path itself. Raises CardError with the nearest ids."""
    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        return path
    recipes = find_recipes()
    if str(name) not in recipes:
        raise CardError(f"no recipe for {one_line(name, 100)!r}; {nearest(str(name), recipes)}")
    return recipes[str(name)]


def recipe_fields(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """What a recipe says, its bases included: a recipe may name another as its `base` and say only what differs.

    Raises:
        CardError: unreadable, an unknown base, or one that leads back to the recipe.
    """
    if path in seen:
        raise CardError(f"{path}: its base leads back to itself")
    if len(seen) > _MOST_BASES:
        raise CardError(f"{path}: more than {_MOST_BASES} recipes on top of each other")
    fields = yaml_fields(path)
    base = fields.pop("base", None)
    if base is None:
        return fields
    if not isinstance(base, str):
        raise CardError(f"{path}: base is {base!r}; give the id or the path of a recipe (in quotes)")
    return _merged(recipe_fields(recipe_path(base), (*seen, path)), fields)


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`own` over `base`, mapping by mapping; null takes a part of the base away."""
    merged = dict(base)
    for key, value in own.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(cast(Mapping[str, Any], old), cast(Mapping[str, Any], value)) if both else value
    return merged
