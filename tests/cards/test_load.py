"""A card's hash follows what the card says: not its layout, not the defaults, not what the schema gains later."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import Field

from micebench.cards import AdapterSource, Card, EditorCard, JudgeCard, TaskCard, card_hash, find_cards, load_card

MODEL: dict[str, Any] = {
    "id": "mine",
    "description": "an editor",
    "domain": "photo",
    "editor": "a:B",
    "options": {"pipeline": "FluxKontextPipeline", "steps": 28},
    "adapter": {"weights": "lora"},
    "repo": "a/b",
    "revision": "0" * 40,
}
TASK: dict[str, Any] = {
    "id": "ours", "description": "a task", "domain": "photo", "loader": "a:b", "judge": None, "turns": 3,
    "data": {"files": ["a.csv"]},
}  # fmt: skip


class _LaterAdapter(AdapterSource):
    rank: int | None = None


class _LaterEditorCard(EditorCard):
    compiled: bool = False
    notes: list[str] = Field(default_factory=list)
    adapter: _LaterAdapter | None = None  # pyright: ignore[reportIncompatibleVariableOverride]


def _hash(said: dict[str, Any], kind: type[Card] = EditorCard) -> str:
    return card_hash(kind.model_validate(said))


def test_a_schema_that_gains_a_field_leaves_every_hash_alone() -> None:
    assert _hash(MODEL, _LaterEditorCard) == _hash(MODEL)


@pytest.mark.parametrize(
    "changes", [{"compiled": True}, {"notes": ["x"]}, {"adapter": {"weights": "lora", "rank": 4}}]
)
def test_and_a_card_that_uses_the_new_field_is_another(changes: dict[str, Any]) -> None:
    assert _hash(MODEL | changes, _LaterEditorCard) != _hash(MODEL)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 1},
        {"batch": 16},
        {"context": "last"},
        {"licence": ""},
        {"weights": None},
        {"adapter": {"weights": "lora", "scale": 1.0}},
        {"adapter": {"weights": "lora", "scale": 1}},
        {"adapter": {"weights": "lora", "repo": None}},
    ],
)
def test_a_default_spelled_out_is_a_default_left_out(changes: dict[str, Any]) -> None:
    assert _hash(MODEL | changes) == _hash(MODEL)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "other"},
        {"version": 2},
        {"batch": 1},
        {"context": "history"},
        {"options": {"pipeline": "FluxKontextPipeline", "steps": 27}},
        {"options": {"pipeline": "FluxKontextPipeline", "steps": 28, "guidance": None}},
        {"options": {}},
        {"revision": "1" * 40},
        {"adapter": None},
        {"adapter": {"weights": "lora", "scale": 0.5}},
    ],
)
def test_a_value_that_changes_is_another_card(changes: dict[str, Any]) -> None:
    assert _hash(MODEL | changes) != _hash(MODEL)


def test_fields_made_by_a_factory_are_defaults_too() -> None:
    assert _hash(TASK | {"options": {}}, TaskCard) == _hash(TASK, TaskCard)
    assert _hash(TASK | {"data": {"files": ["a.csv"], "repo": None}}, TaskCard) == _hash(TASK, TaskCard)
    assert _hash(TASK | {"data": {}}, TaskCard) == _hash(TASK | {"data": {"files": []}}, TaskCard)
    assert _hash(TASK | {"data": {}}, TaskCard) != _hash(TASK | {"data": None}, TaskCard)


def test_the_layout_of_the_file_says_nothing(tmp_path: Path) -> None:
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    one.write_text(yaml.safe_dump(MODEL, sort_keys=True))
    other.write_text("# a remark\n" + yaml.safe_dump(dict(reversed(MODEL.items())), sort_keys=False, indent=7))
    assert one.read_text() != other.read_text()
    assert card_hash(load_card(EditorCard, str(one))) == card_hash(load_card(EditorCard, str(other)))


@pytest.mark.parametrize("kind", [TaskCard, JudgeCard, EditorCard])
def test_shipped_cards_differ_from_each_other(kind: type[Card]) -> None:
    hashes = {card_hash(load_card(kind, name)) for name in find_cards(kind)}
    assert len(hashes) == len(find_cards(kind)) > 3
