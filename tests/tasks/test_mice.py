from collections.abc import Callable
from pathlib import Path

import pytest

from micebench.errors import DataError
from micebench.sessions import Rule
from micebench.tasks.mice import parse_rule
from tests.tasks.hand_made import RULE, make_card, mice_row, png, read, read_leniently, write, write_lines

CARD = make_card("mice", "cu/test_metadata.jsonl")
Make = Callable[..., Path]


def test_a_sound_row_keeps_everything_it_says(mice_folder: Make) -> None:
    (session,) = read(CARD, mice_folder(mice_row()))
    assert (session.id, session.track, session.task) == ("cu/test/ab12", "cu", "toy")
    assert session.provenance == "cu/test_metadata.jsonl:1"
    assert [turn.number for turn in session.turns] == [1, 2, 3]
    second = session.turns[1]
    assert (second.instruction, second.edit_type, second.formatted) == (
        "Remove hat",
        "subject_remove",
        "Remove [hat]",
    )
    assert second.unchanged_objects == ("dog",)
    assert [turn.bg_consistency for turn in session.turns] == [True, True, False]
    assert all(turn.invalid == {} for turn in session.turns)


def test_cm_takes_its_rule_from_turn_1_and_leaves_the_instruction_alone(mice_folder: Make) -> None:
    row = mice_row(instruction=[RULE + "Change the material of cup to wood", "Remove hat", "x"])
    (session,) = read(make_card("mice", "cm/test_metadata.jsonl"), mice_folder(row, track="cm"))
    assert session.id == "cm/test/ab12"
    assert session.rule is not None
    assert (session.rule.attribute, session.rule.value) == ("color", "red")
    assert session.rule.text.startswith("Set a persistent rule")
    assert session.rule.text.endswith("background.")
    assert session.turns[0].instruction.startswith(RULE)


@pytest.mark.parametrize(
    ("sentence", "attribute", "value"),
    [
        ("Apply a standing constraint to all subsequent edits: only the object directly involved in each edit "
         "should receive navy color — the rest must remain.", "color", "navy"),
        ("From now on, every edit must use gold color only on the object that is added — leave it.", "color", "gold"),
        ("From now on, every edit must apply stained glass material only to the object — leave the texture, "
         "surface, and material alone.", "material", "stained glass"),
        ("Only the object directly involved in each edit should be given faux-fur material — the color stays.",
         "material", "faux-fur"),
    ],
)  # fmt: skip
def test_every_wording_of_a_rule_is_read(sentence: str, attribute: str, value: str) -> None:
    rule = parse_rule(f"{sentence} With this rule active, Remove cup")
    assert isinstance(rule, Rule)
    assert (rule.attribute, rule.value) == (attribute, value)


def test_a_cm_session_without_a_readable_rule_loses_global_awareness_only(mice_folder: Make) -> None:
    card = make_card("mice", "cm/test_metadata.jsonl")
    (session,) = read(card, mice_folder(mice_row(), track="cm"))
    assert session.rule is None
    assert [list(turn.invalid) for turn in session.turns] == [["GA"], ["GA"], ["GA"]]
    assert "no rule" in session.turns[2].invalid["GA"]


@pytest.mark.parametrize("place", ["cu/source_image/ab12.jpg", "source_image/ab12.jpg"])
def test_images_are_found_beside_the_file_or_at_the_root(mice_folder: Make, place: str) -> None:
    folder = mice_folder(mice_row())
    write(folder / place, png(7))
    (session,) = read(CARD, folder)
    assert session.image.file == str(folder / place)
    assert session.image.open().size == (8, 6)


def test_the_track_folder_itself_can_be_given(mice_folder: Make) -> None:
    folder = mice_folder(mice_row())
    write(folder / "source_image/ab12.jpg", png())
    (session,) = read(CARD, folder / "cu")
    assert (session.track, session.id) == ("cu", "cu/test/ab12")
    assert session.image.present  # kept one level up


def test_an_absent_image_keeps_its_path(mice_folder: Make) -> None:
    (session,) = read(CARD, mice_folder(mice_row()))
    assert not session.image.present
    assert session.image.path == "source_image/ab12.jpg"
    with pytest.raises(DataError, match=r"source_image/ab12.jpg"):
        session.image.open()


@pytest.mark.parametrize("path", ["../secret.png", "/etc/hostname", "a/../../secret.png", "..\\secret.png"])
def test_an_image_path_cannot_leave_the_folder(mice_folder: Make, path: str) -> None:
    folder = mice_folder(mice_row(image=path))
    write(folder / "secret.png", png())
    write(folder.parent / "secret.png", png())
    (session,) = read(CARD, folder)
    assert not session.image.present


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("{not json\n", "not valid JSON"),
        ("[1, 2]\n", "a list where an object"),
        (mice_row(instruction=[]), "instruction"),
        (mice_row(instruction=["a", "", "c"]), r"instruction\[2\]"),
        (mice_row(instruction=None), "instruction"),
        (mice_row(image=None), "image"),
    ],
)
def test_a_row_without_usable_instructions_stops_loading_and_is_named(
    mice_folder: Make, line: object, field: str
) -> None:
    folder = mice_folder(mice_row(), line, mice_row(image="source_image/cd.jpg"))
    with pytest.raises(DataError, match=rf"cu/test_metadata.jsonl:2.*{field}.*micebench check"):
        read(CARD, folder)
    sessions, bad = read_leniently(CARD, folder)
    assert [session.id for session in sessions] == ["cu/test/ab12", "cu/test/cd"]
    assert [error.where for error in bad] == ["cu/test_metadata.jsonl:2"]


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({"task_type": ["color_alter", "subject_remove"]}, {"IF"}),
        ({"task_type": ["color_alter", "dance", "background_change"]}, {"IF"}),
        ({"formatted_instruction": None}, {"IF", "GA"}),
        ({"bg_consistency": [True, "False", False]}, {"CC.background"}),
        ({"bg_consistency": [1, 1, 0]}, {"CC.background"}),
        ({"unchanged_objects": ["hat", ["dog"], []]}, {"CC.object"}),
        ({"all_objects": [["cup"]]}, {"CC.background"}),
    ],
)
def test_a_bad_field_costs_its_metric_and_nothing_else(mice_folder: Make, changes: dict, lost: set) -> None:
    (session,) = read(CARD, mice_folder(mice_row(**changes)))
    assert len(session.turns) == 3
    found = {metric for turn in session.turns for metric in turn.invalid}
    assert found == lost
    reasons = [reason for turn in session.turns for reason in turn.invalid.values()]
    assert all(reason.startswith("cu/test_metadata.jsonl:1 ") and "bad field" in reason for reason in reasons)
    assert next(iter(changes)) in reasons[0]


def test_a_bad_entry_of_one_turn_leaves_the_other_turns_alone(mice_folder: Make) -> None:
    (session,) = read(CARD, mice_folder(mice_row(bg_consistency=[True, None, False])))
    assert [set(turn.invalid) for turn in session.turns] == [set(), {"CC.background"}, set()]
    assert [turn.bg_consistency for turn in session.turns] == [True, None, False]


def test_a_missing_file_is_named_with_the_layout(tmp_path: Path) -> None:
    card = make_card("mice", "cm/test_metadata.jsonl", "cu/test_metadata.jsonl")
    write_lines(tmp_path / "cm/test_metadata.jsonl", [mice_row()])
    with pytest.raises(DataError, match=r"holds no cu/test_metadata.jsonl.*layout"):
        read(card, tmp_path)


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    write(tmp_path / "cu/test_metadata.jsonl", b"\xff\xfe\x00bad")
    with pytest.raises(DataError, match=r"test_metadata.jsonl: cannot be read"):
        read(CARD, tmp_path)
