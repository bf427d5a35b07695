import csv
from pathlib import Path
from typing import Any

import pytest

from micebench.errors import DataError
from tests.tasks.hand_made import make_card, png, read, read_leniently, write

CARD = make_card("edival", "instructions.csv")
HEADER = [
    "image_index", "turns", "task_type", "instructions", "format_instructions", "bg_consistency",
    "unchanged_objects", "available_objects", "all_objects",
]  # fmt: skip
TYPES = ["subject_add", "count_change", "background_change"]
PLAIN = [
    "Add bench on the left of tree",
    '"Change the count of tree to 4"',
    "Change the background to park, remain the tree, bench unchanged",
]
FORMATTED = [
    "Add [bench] on the [left] of [tree]",
    '"Change the count of [tree] to [4]"',
    "Change the background to [park].",
]
FLAGS = ["True", "True", "False"]
UNCHANGED = [["tree"], [], []]
POOL = [["tree", "bench"]] * 3


def prefix(index: int, turns: int, /, **changes: Any) -> dict[str, str]:
    at = turns - 1
    row = {
        "image_index": str(index), "turns": str(turns), "task_type": repr(TYPES[:turns]),
        "instructions": repr(PLAIN[:turns]), "format_instructions": repr(FORMATTED[:turns]),
        "bg_consistency": FLAGS[at], "unchanged_objects": repr(UNCHANGED[at]),
        "available_objects": repr(POOL[at]), "all_objects": repr(POOL[at]),
    }  # fmt: skip
    return {**row, **{key: value if isinstance(value, str) else repr(value) for key, value in changes.items()}}


def release(folder: Path, *rows: dict[str, str]) -> Path:
    with (folder / "instructions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, HEADER)
        writer.writeheader()
        writer.writerows(rows)
    return folder


def whole(index: int = 0) -> list[dict[str, str]]:
    return [prefix(index, turns) for turns in (1, 2, 3)]


def test_three_prefix_rows_make_one_session(tmp_path: Path) -> None:
    (session,) = read(CARD, release(tmp_path, *whole(17)))
    assert (session.id, session.track, len(session.turns)) == ("17", "plain", 3)
    assert [turn.edit_type for turn in session.turns] == TYPES
    assert [turn.unchanged_objects for turn in session.turns] == [("tree",), (), ()]
    assert all(turn.invalid == {} for turn in session.turns)


def test_the_text_false_is_not_true(tmp_path: Path) -> None:
    (session,) = read(CARD, release(tmp_path, *whole()))
    assert [turn.bg_consistency for turn in session.turns] == [True, True, False]


def test_stray_quotes_stay_in_the_instruction_and_leave_the_bracketed_text(tmp_path: Path) -> None:
    (session,) = read(CARD, release(tmp_path, *whole()))
    assert session.turns[1].instruction == '"Change the count of tree to 4"'
    assert session.turns[1].formatted == "Change the count of [tree] to [4]"
    assert session.turns[2].invalid == {}  # the full stop at its end is no fault either


def test_rows_may_come_in_any_order_and_mixed(tmp_path: Path) -> None:
    rows = [*whole(1), *whole(0)]
    sessions = read(CARD, release(tmp_path, rows[5], rows[0], rows[2], rows[4], rows[1], rows[3]))
    assert [session.id for session in sessions] == ["0", "1"]
    assert [len(session.turns) for session in sessions] == [3, 3]


def test_a_prefix_that_says_something_else_is_refused_by_row(tmp_path: Path) -> None:
    other = prefix(0, 2, instructions=["Add bench on the left of tree", "Something else"])
    folder = release(tmp_path, prefix(0, 1), other, prefix(0, 3), *whole(1))
    with pytest.raises(DataError, match=r"instructions.csv:3 instructions: image 0: turns 1-2"):
        read(CARD, folder)
    sessions, bad = read_leniently(CARD, folder)
    assert [session.id for session in sessions] == ["1"]
    assert len(bad) == 1


def test_the_same_prefix_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"instructions.csv:5 turns: image 0, turns 3 is already at instructions.csv:4"
    ):
        read(CARD, release(tmp_path, *whole(), prefix(0, 3)))


def test_a_missing_prefix_row_costs_the_state_of_its_turn_only(tmp_path: Path) -> None:
    (session,) = read(CARD, release(tmp_path, prefix(0, 1), prefix(0, 3)))
    assert [set(turn.invalid) for turn in session.turns] == [set(), {"CC.object", "CC.background"}, set()]


@pytest.mark.parametrize(
    ("column", "value", "metric"),
    [
        ("unchanged_objects", "['tree'", "CC.object"),
        ("all_objects", "tree", "CC.background"),
        ("bg_consistency", "yes", "CC.background"),
        ("unchanged_objects", "__import__('os').getcwd()", "CC.object"),
    ],
)
def test_a_cell_that_is_no_literal_costs_its_metric(tmp_path: Path, column: str, value: str, metric: str) -> None:
    (session,) = read(CARD, release(tmp_path, prefix(0, 1), prefix(0, 2, **{column: value}), prefix(0, 3)))
    assert [set(turn.invalid) for turn in session.turns] == [set(), {metric}, set()]
    assert session.turns[1].invalid[metric].startswith(f"instructions.csv:3 {column}[2]: bad field")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"instructions": "not a list"}, "instructions.csv:2 instructions"),
        ({"instructions": ["only one", "two"]}, "2 instructions in a row of 1 turns"),
        ({"image_index": "x"}, "instructions.csv:2 image_index"),
        ({"turns": "1.5"}, "instructions.csv:2 turns"),
    ],
)
def test_a_row_without_usable_instructions_is_refused(tmp_path: Path, changes: dict, message: str) -> None:
    folder = release(tmp_path, prefix(0, 1, **changes), *whole(4))
    with pytest.raises(DataError, match=message):
        read(CARD, folder)
    sessions, _ = read_leniently(CARD, folder)
    assert "4" in [session.id for session in sessions]


def test_lines_are_counted_in_the_file_not_in_rows(tmp_path: Path) -> None:
    """A quoted cell may hold line breaks, so row and line number differ."""
    broken = prefix(0, 1, instructions="['Add\n\nbench']", format_instructions="['x']")
    with pytest.raises(DataError, match=r"instructions.csv:5 image_index"):
        read(CARD, release(tmp_path, broken, prefix(0, 1, image_index="x")))


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    write(tmp_path / "instructions.csv", "image_index,turns\n0,1\n")
    with pytest.raises(DataError, match="no column instructions, task_type"):
        read(CARD, tmp_path)


@pytest.mark.parametrize(
    "place", ["input_images_resize_512/3_input_raw.jpg", "3_input_raw.jpg", "images/3_input_raw.png"]
)
def test_images_are_found(tmp_path: Path, place: str) -> None:
    write(tmp_path / place, png())
    (session,) = read(CARD, release(tmp_path, *whole(3)))
    assert session.image.file == str(tmp_path / place)


def test_an_absent_image_is_named(tmp_path: Path) -> None:
    (session,) = read(CARD, release(tmp_path, *whole(3)))
    assert not session.image.present
    assert session.image.path == "3_input_raw.jpg"
