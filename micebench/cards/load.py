"""Find, read, check and hash cards.

Folders are searched in this order: those given with --cards, the ones of installed plug-ins (entry point
group ``micebench.cards``: a function or string giving a folder), the ones that ship with micebench.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from micebench.cards.resolve import failure_of
from micebench.cards.schema import Card, EditorCard, JudgeCard, TaskCard
from micebench.cards.yaml_text import load_yaml
from micebench.errors import CardError, nearest, one_line

CardFolders = Sequence[Path]
C = TypeVar("C", bound=Card)
M = TypeVar("M", bound=BaseModel)
_SHOWN = 100  # characters of an unknown name
_PROBLEMS = 10  # listed of a card
_ROOMS: dict[type[Card], tuple[str, str, str]] = {
    TaskCard: ("task", "tasks", "task.yaml"),
    JudgeCard: ("judge", "judges", "judge.yaml"),
    EditorCard: ("model", "baselines", "editor.yaml"),
}


_DISPLAY_ONLY = {"description", "citation", "licence"}
"""Fields of cards that people read and nothing computes with."""


@cache
def _shipped() -> Path:
    """The wheel's copy of the card folders, or the repository's in an editable install."""
    package = Path(__file__).resolve().parent.parent
    return package / "_cards" if (package / "_cards").is_dir() else package.parent


def _folders(extra: CardFolders) -> list[Path]:
    plugins: list[Path] = []
    for entry in entry_points(group="micebench.cards"):
        with failure_of(f"plug-in {entry.name!r} of micebench.cards", entry.value):
            folder = entry.load()
            plugins.append(Path(str(folder() if callable(folder) else folder)))
    return [*map(Path, extra), *plugins, _shipped()]


def find_cards(kind: type[C], extra: CardFolders = ()) -> dict[str, Path]:
    """Card id -> path of the YAML file, for every card of this kind. Earlier folders win."""
    _, room, filename = _ROOMS[kind]
    return _find(room, filename, extra)


def find_recipes(extra: CardFolders = ()) -> dict[str, Path]:
    """Model, or method, -> path of the recipe that trains it."""
    return _find("recipes", "recipe.yaml", extra) | _find("baselines", "recipe.yaml", extra)


def _find(room: str, filename: str, extra: CardFolders) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in _folders(extra):
        for path in sorted((folder / room).glob(f"*/{filename}")):
            found.setdefault(path.parent.name, path)
    return found


def load_card(kind: type[C], name: str, extra: CardFolders = ()) -> C:
    """Load a card by id, or by the path of its YAML file.

    Raises:
        CardError: unknown id (with the nearest names), unreadable YAML, unknown or wrong keys.
    """
    word, _, filename = _ROOMS[kind]
    path = Path(name)
    is_folder = os.path.isdir(path)  # False, and no error, for a name that cannot be a file's
    # a folder here that merely has a card's name (a data set called mice, say) is not meant
    if path.suffix in {".yaml", ".yml"} or (is_folder and ("/" in name or os.path.isfile(path / filename))):
        path = path / filename if is_folder else path
        if not os.path.lexists(path):
            raise CardError(f"no {word} card at {path}")
        return _read(kind, path)
    found = find_cards(kind, extra)
    if name not in found:
        raise CardError(f"unknown {word} {one_line(name, _SHOWN)!r}: {nearest(name, found)}")
    card = _read(kind, found[name])
    if card.id != name:
        raise CardError(f"{found[name]}: id is {card.id!r}, but the folder is called {name!r}; make them equal")
    return card


def _read(kind: type[C], path: Path) -> C:
    card = read_yaml(path, kind)
    card.found_in(path.parent)
    return card


def read_yaml(path: Path, form: type[M]) -> M:
    """A YAML file as the given model. Raises CardError with file, key and reason."""
    return check_fields(yaml_fields(path), form, where=str(path))


def yaml_fields(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises CardError if there is none."""
    fields = load_yaml(path)
    if not isinstance(fields, dict):
        found = "is empty" if fields is None else f"holds a {type(fields).__name__}"
        raise CardError(f"{path}: {found}; expected a mapping of keys to values")
    return fields


def check_fields(fields: Mapping[str, Any], form: type[M], *, where: str) -> M:
    """Fields as the given model. Raises CardError with `where`, key and reason (and the nearest known key)."""
    try:
        return form.model_validate(fields)
    except ValidationError as error:
        raise CardError(f"{where}: {_explain(error, form)}") from error


def _explain(error: ValidationError, form: type[BaseModel]) -> str:
    parts: list[str] = []
    for problem in error.errors():
        key = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden" and len(problem["loc"]) == 1:
            parts.append(f"unknown key {key!r}; {nearest(key, form.model_fields, limit=20)}")
        else:
            parts.append(f"{key}: {problem['msg']}{_hint(problem['type'], problem['input'])}")
    more = f"; and {len(parts) - _PROBLEMS} more" if len(parts) > _PROBLEMS else ""
    return one_line("; ".join(parts[:_PROBLEMS]) + more)


def _hint(kind: str, found: Any) -> str:
    """What to do about a word or number that YAML does not read as the text it was meant to be."""
    if kind != "string_type" or not isinstance(found, bool | int | float):
        return ""
    return f", found {str(found).lower() if isinstance(found, bool) else found}; put the value in quotes"


def card_hash(card: Card) -> str:
    """sha256 (hex) over everything in the card that can move a score, independent of key order and layout.

    Left out: what is only displayed (`_DISPLAY_ONLY`). A card names kinds, never import paths, so moving code changes
    no hash.
    A field at its default says nothing: spelled out or left out is one card, and a card keeps its hash when
    the schema gains a field. (A default that changes therefore raises the version of the cards it moves.)
    """
    said = card.model_dump(mode="json", exclude_defaults=True, exclude=_DISPLAY_ONLY)
    canonical = json.dumps(said, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
