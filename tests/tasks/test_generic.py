"""The generic adapter: our documented JSON lines, and datasets that already have our schema."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from datasets import load_from_disk

from micebench.errors import DataError
from micebench.sessions import ImageFile, Rule, Session, Turn
from micebench.tasks import generic
from micebench.tasks.dataset import build_dataset
from tests.tasks.hand_made import make_card, mice_row, png, read, read_leniently, write, write_lines

CARD = make_card("jsonl", "my.jsonl")
SMALL = {"id": "a", "image": "a.png", "instructions": ["Remove the cup", "Paint it green"]}


def test_three_fields_are_enough(tmp_path: Path) -> None:
    write(tmp_path / "a.png", png())
    write_lines(tmp_path / "my.jsonl", [SMALL])
    (session,) = read(CARD, tmp_path)
    assert (session.id, session.track, session.rule, session.category) == ("a", "plain", None, None)
    assert session.image.present
    assert [turn.invalid for turn in session.turns] == [{}, {}]
    assert session.turns[0].edit_type is None
    assert session.turns[0].unchanged_objects is None


def test_the_example_in_the_documentation_is_read_in_full(tmp_path: Path) -> None:
    """The module's docstring is what docs show; its example has to work."""
    documented = generic.__doc__ or ""
    line = documented[documented.index("{") : documented.rindex("}") + 1]
    line = line.replace('"available_objects": ..., "all_objects": ...,', "")
    write(tmp_path / "my.jsonl", " ".join(line.split()) + "\n")
    write(tmp_path / "gt/2.png", png(9))
    (session,) = read(CARD, tmp_path)
    assert session.rule == Rule("...", "color", "red")
    assert session.category == "home"
    second = session.turns[1]
    assert (second.edit_type, second.formatted) == ("background_change", "Change the background to [green wall]")
    assert (second.unchanged_objects, second.bg_consistency, second.label) == (("table",), False, "local")
    assert second.target_image is not None
    assert second.target_image.read() == png(9)
    assert second.mask_image is None
    assert second.target_description == "a table before a green wall"
    assert [turn.invalid for turn in session.turns] == [{}, {}]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"instruction": ["x"]}, r"my.jsonl:1 instruction: unknown field; did you mean 'instructions'"),
        ({"track": "cx"}, r"my.jsonl:1 track: expected one of plain, cm, cu, found 'cx'"),
        ({"rule": {"text": "x"}}, r"my.jsonl:1 rule: expected"),
        ({"rule": {"text": "x", "attribute": "shape", "value": "y"}}, r"rule.attribute: expected color or material"),
        ({"labels": ["one"]}, r"my.jsonl:1: labels\[1\]: bad field: expected 2 entries"),
        ({"id": ""}, r"my.jsonl:1 id"),
    ],
)
def test_a_mistake_in_your_own_row_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_lines(tmp_path / "my.jsonl", [{**SMALL, **changes}])
    with pytest.raises(DataError, match=message):
        read(CARD, tmp_path)
    assert len(read_leniently(CARD, tmp_path)[1]) == 1


def test_annotations_are_checked_like_any_other(tmp_path: Path) -> None:
    row = {**SMALL, "edit_types": ["subject_remove", "color_alter"], "formatted": ["Remove [cup]", "Paint it"]}
    write_lines(tmp_path / "my.jsonl", [row])
    (session,) = read(CARD, tmp_path)
    assert [set(turn.invalid) for turn in session.turns] == [set(), {"IF"}]
    assert session.turns[1].invalid["IF"].startswith("my.jsonl:1 formatted[2]: unparseable")


def test_a_null_means_that_a_turn_has_none(tmp_path: Path) -> None:
    write_lines(tmp_path / "my.jsonl", [{**SMALL, "labels": [None, "hard"], "bg_consistency": [True, None]}])
    (session,) = read(CARD, tmp_path)
    assert [turn.label for turn in session.turns] == [None, "hard"]
    assert [turn.invalid for turn in session.turns] == [{}, {}]


def test_a_saved_dataset_and_a_parquet_file_of_our_schema_are_read(tmp_path: Path) -> None:
    write_lines(tmp_path / "cu/test_metadata.jsonl", [mice_row(), mice_row(image="source_image/x.jpg")])
    write(tmp_path / "cu/source_image/x.jpg", png(3))
    before = read(make_card("mice", "cu/test_metadata.jsonl", id="other"), tmp_path)
    dataset = build_dataset(before)
    dataset.save_to_disk(str(tmp_path / "saved"))
    load_from_disk(str(tmp_path / "saved")).to_parquet(str(tmp_path / "tables/a.parquet"))  # images inside
    for card, folder in ((CARD, tmp_path / "saved"), (make_card("jsonl", "*.parquet"), tmp_path / "tables")):
        after = read(card, folder)
        assert [session.task for session in after] == ["toy", "toy"]
        assert [session.turns for session in after] == [session.turns for session in before]
        assert [session.provenance for session in after] == [session.provenance for session in before]
        assert [session.image.present for session in after] == [False, True]
        assert after[1].image.read() == png(3)


def test_an_image_stored_as_a_path_must_lie_in_the_folder(tmp_path: Path) -> None:
    def stored(file: str) -> bool:
        session = Session("a", "t", "plain", ImageFile("a.png", file=file), (Turn(1, "x"),))
        pq.write_table(build_dataset([session]).data.table, tmp_path / "a.parquet")
        (after,) = read(make_card("jsonl", "a.parquet"), tmp_path)
        assert after.image.path == "a.png"
        return after.image.present

    write(tmp_path / "images/a.png", png())
    assert stored("images/a.png")
    assert not stored("images/b.png")
    assert not stored(str(tmp_path / "images/a.png"))


def test_a_dataset_of_another_schema_and_one_with_splits_are_refused(tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict

    Dataset.from_dict({"id": ["a"]}).save_to_disk(str(tmp_path / "odd"))
    with pytest.raises(DataError, match=r"no column category, image, "):
        read(CARD, tmp_path / "odd")
    DatasetDict({"test": Dataset.from_dict({"id": ["a"]})}).save_to_disk(str(tmp_path / "splits"))
    with pytest.raises(DataError, match=r"holds the splits test; give the folder of one"):
        read(CARD, tmp_path / "splits")
