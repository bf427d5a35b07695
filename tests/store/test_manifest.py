"""A manifest comes back as written, says what differs from another, and refuses what it does not know."""

import json
from pathlib import Path

import pytest

from micebench.errors import RunError
from micebench.store.manifest import Manifest, now, versions

BASE = Manifest(
    task="toy",
    task_version=1,
    task_hash="a" * 64,
    task_card={"id": "toy"},
    model="painter",
    editor_hash="b" * 64,
    judge="meter",
    judge_hash="c" * 64,
    metrics=["IF"],
    context="last",
    seed=0,
    repeats=1,
    n_sessions=6,
    turns=3,
    content_consistency="edival",
    versions=versions(),
    created=now(),
)


def test_a_manifest_survives_the_disk(tmp_path: Path) -> None:
    BASE.save(tmp_path / "manifest.json")
    assert Manifest.load(tmp_path / "manifest.json") == BASE
    assert {"micebench", "numpy", "pillow", "python"} <= set(BASE.versions)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("task", "other", "its task is 'toy', not 'other'"),
        ("task_hash", "x", "the task card has changed since"),
        ("model", "other", "its model is 'painter', not 'other'"),
        ("editor_hash", "x", "the model card or code has changed since"),
        ("context", "history", "its context is 'last', not 'history'"),
        ("seed", 7, "its seed is 0, not 7"),
        ("repeats", 2, "its repeats is 1, not 2"),
        ("limit", 3, "its limit is None, not 3"),
        ("n_sessions", 3, "its number of sessions is 6, not 3"),
    ],
)
def test_a_difference_in_identity_is_named(field: str, value: object, said: str) -> None:
    assert BASE.differences(BASE.model_copy(update={field: value})) == [said]


@pytest.mark.parametrize("field", ["judge", "batch", "created", "platform"])
def test_what_does_not_change_the_edits_is_no_difference(field: str) -> None:
    assert BASE.differences(BASE.model_copy(update={field: "x"})) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}'])
def test_a_broken_manifest_is_one_clear_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(RunError, match=r"manifest\.json") as error:
        Manifest.load(tmp_path / "manifest.json")
    assert "\n" not in str(error.value)


def test_a_manifest_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(BASE.model_dump(mode="json") | {"new_field": 1}))
    with pytest.raises(RunError, match=r"new_field: .* another version"):
        Manifest.load(tmp_path / "manifest.json")


def test_no_manifest_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run .*micebench run"):
        Manifest.load(tmp_path / "manifest.json")
