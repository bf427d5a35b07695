"""Each fault of protocol section 6, planted in a sound session: the metric concerned is lost, no other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from micebench.tasks.audit.checks import is_residue, same_object
from tests.tasks.hand_made import make_card, mice_row, read

Make = Callable[..., Path]
LEAK = "human\nsuggest an object to add right of wool grey hat.\nrespond with only the object name."


def texts(row: dict[str, Any], number: int, kind: str, formatted: str, instruction: str = "x") -> dict[str, Any]:
    """The row with another edit at turn `number`."""
    types, brackets, plain = (list(row[key]) for key in ("task_type", "formatted_instruction", "instruction"))
    types[number - 1], brackets[number - 1], plain[number - 1] = kind, formatted, instruction
    return {**row, "task_type": types, "formatted_instruction": brackets, "instruction": plain}


def lost(folder: Path) -> list[dict[str, str]]:
    (session,) = read(make_card("mice", "cu/test_metadata.jsonl"), folder)
    return [{metric: reason.split(": ")[1] for metric, reason in turn.invalid.items()} for turn in session.turns]


def test_a_sound_session_has_no_fault(mice_folder: Make) -> None:
    assert lost(mice_folder(mice_row())) == [{}, {}, {}]


def test_an_empty_new_text_on_an_object(mice_folder: Make) -> None:
    row = texts(mice_row(), 2, "text_change", "Replace the text '[A]' on [hat] with '[]'")
    assert lost(mice_folder(row)) == [{}, {"IF": "unparseable"}, {}]


def test_an_order_to_add_no_text_cannot_be_complied_with_later_either(mice_folder: Make) -> None:
    row = texts(mice_row(), 2, "text_change", "Add text '[]' on the image")
    assert lost(mice_folder(row)) == [{}, {"IF": "unparseable", "GA": "empty order"}, {"GA": "empty order"}]


def test_a_sentence_that_merely_contains_a_form(mice_folder: Make) -> None:
    row = texts(mice_row(), 2, "count_change", "thought: 1 to 3. Change the count of [dog] to [3]")
    assert lost(mice_folder(row)) == [{}, {"IF": "unparseable"}, {}]


def test_leaked_model_text_as_a_name(mice_folder: Make) -> None:
    row = texts(mice_row(), 2, "subject_replace", f"Replace [hat] with [{LEAK}]")
    assert lost(mice_folder(row)) == [{}, {"IF": "residue", "GA": "residue"}, {"GA": "residue"}]


def test_leaked_model_text_in_the_pools(mice_folder: Make) -> None:
    row = mice_row(all_objects=[["cup", "hat", "dog", "blue cup"], *[["cup", "hat", "dog", "blue cup", LEAK]] * 2])
    assert lost(mice_folder(row)) == [{}, {"CC.background": "residue"}, {"CC.background": "residue"}]
    pools = [["hat", "dog", LEAK], ["dog"], ["dog"]]
    row = mice_row(unchanged_objects=pools, all_objects=[["cup", "hat", "dog", "blue cup", LEAK]] * 3)
    assert lost(mice_folder(row))[0] == {"CC.object": "residue", "CC.background": "residue"}


@pytest.mark.parametrize(
    "name",
    [
        LEAK,
        "toolkit\nthe user",
        "chain\nthought",
        "cup]",
        "a" * 61,
        "black human suggest x. respond with y",
        "{object}",
    ],
)
def test_residue_is_recognised(name: str) -> None:
    assert is_residue(name)


@pytest.mark.parametrize(
    "name", ["cup", "synthetic black and light blue polo shirt", '"leather" hands', "Bernard's 2nd t-shirt (red)"]
)
def test_real_names_are_not_residue(name: str) -> None:
    assert not is_residue(name)


def test_a_written_text_in_the_pool_is_not_residue(mice_folder: Make) -> None:
    row = texts(mice_row(), 2, "text_change", "Add text '[Stop. Go now]' on the image")
    pool = ["cup", "hat", "dog", "blue cup"]
    row["all_objects"] = [pool, [*pool, "Stop. Go now"], [*pool, "Stop. Go now"]]
    assert lost(mice_folder(row)) == [{}, {}, {}]


def test_a_target_nobody_knows(mice_folder: Make) -> None:
    row = texts(mice_row(), 2, "subject_remove", "Remove [zebra]")
    assert lost(mice_folder(row)) == [{}, {"IF": "not in pool"}, {}]


def test_an_anchor_nobody_knows_in_turn_1(mice_folder: Make) -> None:
    row = texts(mice_row(), 1, "subject_add", "Add [cup] on the [left] of [zebra]")
    assert lost(mice_folder(row))[0] == {"IF": "not in pool"}


def test_an_anchor_that_the_turn_before_removed(mice_folder: Make) -> None:
    """remove, add beside the removed object, remove: 29 cu sessions."""
    names = [["dog"], ["dog", "candy"], ["dog"]]
    row = mice_row(
        instruction=["Remove tree", "Add candy left of it", "Remove it"],
        task_type=["subject_remove", "subject_add", "subject_remove"],
        formatted_instruction=["Remove [tree]", "Add [candy] on the [left] of [tree]", "Remove [candy]"],
        bg_consistency=[True] * 3,
        unchanged_objects=[["dog"]] * 3,
        available_objects=names,
        all_objects=[["tree", "dog"], ["tree", "dog", "candy"], ["tree", "dog", "candy"]],
    )
    assert lost(mice_folder(row)) == [{}, {"IF": "removed before"}, {}]


def test_another_name_for_a_pool_object_is_understood(mice_folder: Make) -> None:
    row = texts(mice_row(), 1, "color_alter", "Change the color of [small cup] to [blue]")
    assert lost(mice_folder(row)) == [{}, {}, {}]


def test_an_edited_object_that_stays_unchanged_under_its_pool_name(mice_folder: Make) -> None:
    row = texts(mice_row(), 1, "count_change", "Change the count of [sheep] to [3]")
    row["unchanged_objects"] = [["wool white sheep", "hat"], ["wool white sheep"], ["wool white sheep"]]
    row["available_objects"] = [["wool white sheep", "hat"], ["wool white sheep"], ["wool white sheep"]]
    row["all_objects"] = [["wool white sheep", "hat"]] * 3
    assert lost(mice_folder(row)) == [{"CC.object": "still unchanged"}] * 3


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"bg_consistency": [True, True, True]}, [{}, {}, {"CC.background": "flag"}]),
        ({"bg_consistency": [True, False, False]}, [{}, {"CC.background": "flag"}, {}]),
        ({"unchanged_objects": [["dog"], [], ["dog"]]}, [{}, {}, {"CC.object": "pool"}]),
        ({"unchanged_objects": [["hat", "dog", "owl"], ["dog"], ["dog"]]}, [{"CC.object": "pool"}, {}, {}]),
        ({"available_objects": [["hat", "dog", "elf"], ["dog"], ["dog"]]}, [{"CC.background": "pool"}, {}, {}]),
        (
            {"all_objects": [["cup", "hat", "dog", "blue cup", "owl"], *[["cup", "hat", "dog", "blue cup"]] * 2]},
            [{}, {"CC.background": "pool"}, {}],
        ),
    ],
)  # fmt: skip
def test_contradictory_flags_and_pools(mice_folder: Make, changes: dict, expected: list) -> None:
    assert lost(mice_folder(mice_row(**changes))) == expected


def test_flags_are_not_judged_where_an_edit_type_is_unknown(mice_folder: Make) -> None:
    """Nobody knows whether the unknown edit changed the background, there or later."""
    row = mice_row(
        task_type=["color_alter", "dance", "subject_remove"],
        formatted_instruction=["Change the color of [cup] to [blue]", "Dance", "Remove [dog]"],
        bg_consistency=[True, False, False],
        unchanged_objects=[["hat"]] * 3,
    )
    assert lost(mice_folder(row)) == [{}, {"IF": "bad field"}, {}]


def test_both_objects_of_a_position_change_leave_the_unchanged_ones(mice_folder: Make) -> None:
    row = texts(mice_row(), 1, "position_change", "Change the position of [cup] to [left] of [dog]")
    assert lost(mice_folder(row)) == [{"CC.object": "still unchanged"}] * 3


def test_an_anchor_that_was_put_back_is_there_again(mice_folder: Make) -> None:
    row = mice_row(
        task_type=["subject_remove", "subject_add", "subject_add"],
        formatted_instruction=["Remove [tree]", "Add [tree]", "Add [owl] on the [left] of [tree]"],
        bg_consistency=[True] * 3,
        unchanged_objects=[["dog"]] * 3,
        available_objects=[["dog"], ["dog", "tree"], ["dog", "tree", "owl"]],
        all_objects=[["dog", "tree"], ["dog", "tree"], ["dog", "tree", "owl"]],
    )
    assert lost(mice_folder(row)) == [{}, {}, {}]


def test_every_reason_names_file_line_field_and_turn(mice_folder: Make) -> None:
    row = texts(mice_row(bg_consistency=[True, True, True]), 2, "subject_remove", "Remove [zebra]")
    (session,) = read(
        make_card("mice", "cu/test_metadata.jsonl"), mice_folder(mice_row(), {**row, "image": "b.jpg"})
    )[1:]
    assert session.turns[1].invalid == {
        "IF": "cu/test_metadata.jsonl:2 formatted_instruction[2]: not in pool: target 'zebra' is in no pool"
    }
    assert session.turns[2].invalid["CC.background"].startswith("cu/test_metadata.jsonl:2 bg_consistency[3]: flag:")


def test_words_decide_what_a_name_means() -> None:
    pool = ["leather white and black sheep", "ram", "blue abstract shape"]
    assert same_object("ram", pool) == ["ram"]
    assert same_object("black sheep", pool) == ["leather white and black sheep"]
    assert same_object("old ram", pool) == ["ram"]
    assert same_object("blue eye", pool) == []
    assert same_object("", pool) == []
