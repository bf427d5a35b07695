"""A recipe from scratch that would fail after an hour of training is refused when it is read."""

from pathlib import Path

import pytest
import yaml

from micebench.cards import recipe_fields, recipe_path
from micebench.errors import CardError
from micebench.training.supervised.recipe import load_recipe


@pytest.mark.parametrize(
    ("part", "changes", "named"),
    [
        ("transformer", {"rope_axes": [16, 24, 20]}, "rope_axes"),
        ("transformer", {"head_dim": 9, "rope_axes": [3, 3, 3]}, "rope_axes"),
        ("transformer", {"heads": 0}, "transformer.heads"),
        ("text", {"width": 130}, "width 130 is not a multiple of heads 4"),
        ("text", {"tokens": 0}, "text.tokens"),
        ("flow", {"warmup": 0}, "flow.warmup"),
        ("flow", {"ema": 1.0}, "flow.ema"),
        ("flow", {"lr": -1.0}, "flow.lr"),
        ("flow", {"tracks": []}, "flow.tracks"),
        ("flow", {"weights": {"subject_add": -1}}, "flow.weights.subject_add"),
        ("autoencoder", {"warmup": 0}, "autoencoder.warmup"),
        ("autoencoder", {"channels": [20]}, "autoencoder.channels"),
        ("autoencoder", {"channels": []}, "autoencoder.channels"),
        ("autoencoder", {"lr": float("inf")}, "autoencoder.lr"),
    ],
)
def test_a_part_that_cannot_work_names_its_field(tmp_path: Path, part: str, changes: dict, named: str) -> None:
    fields = recipe_fields(recipe_path("kontext"))
    fields[part] = {**fields.get(part, {}), **changes}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(fields))
    with pytest.raises(CardError, match=named):
        load_recipe(tmp_path / "r.yaml")


def test_a_recipe_that_keeps_no_edit_at_all_is_refused(tmp_path: Path) -> None:
    from micebench.instructions import EDIT_TYPES

    fields = recipe_fields(recipe_path("kontext"))
    fields["flow"]["weights"] = dict.fromkeys(EDIT_TYPES, 0.0)
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(fields))
    with pytest.raises(CardError, match="give at least one edit type a weight above 0"):
        load_recipe(tmp_path / "r.yaml")


def test_validation_of_a_history_needs_a_session_of_each_track(tmp_path: Path) -> None:
    fields = recipe_fields(recipe_path("kontext")) | {"context": "history", "validation": {"sessions": 2}}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(fields))
    with pytest.raises(CardError, match=r"validation.sessions: context history is validated on 3 tracks"):
        load_recipe(tmp_path / "r.yaml")
