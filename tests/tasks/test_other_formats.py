import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from micebench.errors import DataError
from tests.tasks.hand_made import make_card, png, read, read_leniently, write, write_lines

MSE = make_card("mse", "data/*.parquet")
LME = make_card("lme", "lme_bench.json")
IMGEDIT = make_card(
    "imgedit",
    "content_memory/annotation.json",
    "content_understand*/annotation.json",
    "version_backtrace/annotation.json",
)
MAGIC = make_card("magicbrush", "data/dev-*.parquet")


def parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def mse_row(index: int, **changes: Any) -> dict[str, Any]:
    row = {
        "image": {"bytes": png(index), "path": f"{index}.png"},
        "index": index,
        "summary": "s",
        "description_source": "a room",
        "context": ["add a cup", "now a hat"],
        "description_target": ["a room with a cup", "a room with a cup and a hat"],
        "operation": ["add", "add"],
    }
    return {**row, **changes}


def test_mse_rows(tmp_path: Path) -> None:
    parquet(tmp_path / "data/train-0.parquet", [mse_row(0), mse_row(1)])
    first, second = read(MSE, tmp_path)
    assert (first.id, second.id) == ("0", "1")
    assert [turn.instruction for turn in second.turns] == ["add a cup", "now a hat"]
    assert second.turns[1].target_description == "a room with a cup and a hat"
    assert second.image.read() == png(1)


def test_mse_descriptions_of_another_length_cost_if_only(tmp_path: Path) -> None:
    parquet(tmp_path / "data/a.parquet", [mse_row(0, description_target=["one"])])
    (session,) = read(MSE, tmp_path)
    assert [set(turn.invalid) for turn in session.turns] == [{"IF"}, {"IF"}]
    assert session.turns[1].invalid["IF"].startswith("data/a.parquet:1 description_target[2]: bad field")


def test_mse_without_instructions_is_refused(tmp_path: Path) -> None:
    parquet(tmp_path / "data/a.parquet", [mse_row(0), mse_row(1, context=[])])
    with pytest.raises(DataError, match=r"data/a.parquet:2 context"):
        read(MSE, tmp_path)
    assert len(read_leniently(MSE, tmp_path)[0]) == 1


def test_mse_missing_column_and_broken_file_are_named(tmp_path: Path) -> None:
    parquet(
        tmp_path / "data/a.parquet", [{"image": None, "index": 0, "contexts": ["a"], "description_target": ["b"]}]
    )
    with pytest.raises(DataError, match=r"a.parquet: no column 'context'; did you mean 'contexts'"):
        read(MSE, tmp_path)
    write(tmp_path / "data/a.parquet", b"PAR1 nothing")
    with pytest.raises(DataError, match=r"a.parquet: not a readable parquet"):
        read(MSE, tmp_path)


def lme(items: Any) -> str:
    return json.dumps({"meta": {"name": "LME-Bench"}, "items": items})


def lme_item(**changes: Any) -> dict[str, Any]:
    item = {
        "id": "0001",
        "category": "pet",
        "source_prompt": "a dog",
        "turns": [f"edit {k}" for k in range(10)],
        "labels": ["hard", "soft"] + ["local"] * 8,
    }
    return {**item, **changes}


def test_lme_items(tmp_path: Path) -> None:
    write(tmp_path / "lme_bench.json", lme([lme_item()]))
    write(tmp_path / "images/0001.png", png())
    (session,) = read(LME, tmp_path)
    assert (session.id, session.category, len(session.turns)) == ("0001", "pet", 10)
    assert [turn.label for turn in session.turns][:3] == ["hard", "soft", "local"]
    assert session.image.present


def test_lme_bad_items_are_named_and_bad_labels_left_out(tmp_path: Path) -> None:
    write(tmp_path / "lme_bench.json", lme([lme_item(turns=[]), 3, lme_item(labels=["hard"])]))
    sessions, bad = read_leniently(LME, tmp_path)
    assert [error.where for error in bad] == ["lme_bench.json:items[1]", "lme_bench.json:items[2]"]
    assert [turn.label for turn in sessions[0].turns] == [None] * 10
    write(tmp_path / "lme_bench.json", '{"items": [}')
    with pytest.raises(DataError, match=r"lme_bench.json:1: not valid JSON"):
        read(LME, tmp_path)


def test_imgedit_json_lines_and_the_keyed_form(tmp_path: Path) -> None:
    row = {"id": "0001.jpg", "turn1": "All edits are green, add a cup", "turn2": "Add a hat"}
    write_lines(tmp_path / "content_memory/annotation.json", [row, {**row, "id": "0002.jpg", "turn3": "Undo"}])
    write(tmp_path / "content_understanding/annotation.json", json.dumps({"1": row, "2": {**row, "id": "b.jpg"}}))
    write_lines(tmp_path / "version_backtrace/annotation.json", [row])
    write(tmp_path / "content_memory/images/0002.jpg", png())
    sessions = read(IMGEDIT, tmp_path)
    assert [session.id for session in sessions] == [
        "content_memory/0001",
        "content_memory/0002",
        "content_understanding/0001",
        "content_understanding/b",
        "version_backtrace/0001",
    ]
    assert [len(session.turns) for session in sessions] == [2, 3, 2, 2, 2]
    assert [session.image.present for session in sessions] == [False, True, False, False, False]
    assert sessions[0].category == "content_memory"
    assert sessions[0].turns[0].instruction == "All edits are green, add a cup"


def test_imgedit_rows_with_a_gap_or_broken_lines_are_named(tmp_path: Path) -> None:
    good = {"id": "a.jpg", "turn1": "x"}
    write_lines(
        tmp_path / "content_memory/annotation.json",
        [good, {"id": "b.jpg", "turn1": "x", "turn3": "z"}, "{oops\n", {"turn1": "x"}],
    )
    write_lines(tmp_path / "content_understand/annotation.json", [good])
    write(tmp_path / "version_backtrace/annotation.json", json.dumps({"1": good, "2": "text"}))
    sessions, bad = read_leniently(IMGEDIT, tmp_path)
    assert len(sessions) == 3
    assert [error.where for error in bad] == [
        "content_memory/annotation.json:2",
        "content_memory/annotation.json:3",
        "content_memory/annotation.json:4",
        "version_backtrace/annotation.json:2",
    ]


def magic_row(name: str, turn: int, **changes: Any) -> dict[str, Any]:
    row = {
        "img_id": name,
        "turn_index": turn,
        "source_img": {"bytes": png(turn), "path": f"{name}-{turn - 1}.png"},
        "mask_img": {"bytes": png(100 + turn), "path": None},
        "instruction": f"edit {turn}",
        "target_img": {"bytes": png(turn + 1), "path": f"{name}-{turn}.png"},
    }
    return {**row, **changes}


def test_magicbrush_rows_even_when_a_session_is_torn_apart(tmp_path: Path) -> None:
    parquet(tmp_path / "data/dev-0.parquet", [magic_row("7", 2), magic_row("8", 1), magic_row("7", 1)])
    parquet(tmp_path / "data/dev-1.parquet", [magic_row("7", 3)])
    parquet(tmp_path / "data/train-0.parquet", [magic_row("9", 1)])
    sessions = read(MAGIC, tmp_path)
    assert [(session.id, len(session.turns)) for session in sessions] == [("8", 1), ("7", 3)]
    seven = sessions[1]
    assert seven.image.read() == png(1)
    assert [turn.instruction for turn in seven.turns] == ["edit 1", "edit 2", "edit 3"]
    target, mask = seven.turns[1].target_image, seven.turns[1].mask_image
    assert target is not None
    assert target.read() == png(3)
    assert mask is not None
    assert mask.read() == png(102)
    assert mask.path == "7-mask2.png"


def test_magicbrush_turns_with_a_gap_are_refused(tmp_path: Path) -> None:
    parquet(tmp_path / "data/dev-0.parquet", [magic_row("7", 1), magic_row("7", 3), magic_row("8", 1)])
    with pytest.raises(DataError, match=r"turn_index: session 7: expected 1..2, found \[1, 3\]"):
        read(MAGIC, tmp_path)
    assert [session.id for session in read_leniently(MAGIC, tmp_path)[0]] == ["8"]


def test_magicbrush_local_folder(tmp_path: Path) -> None:
    turns = [
        {"input": "7-input.png", "mask": "7-mask1.png", "output": "7-output1.png", "instruction": "edit 1"},
        {"input": "7-output1.png", "mask": "7-mask2.png", "output": "7-output2.png", "instruction": "edit 2"},
    ]
    write(tmp_path / "test/edit_sessions.json", json.dumps({"7": turns, "8": []}))
    write(tmp_path / "test/images/7/7-input.png", png(1))
    write(tmp_path / "test/images/7/7-output2.png", png(3))
    sessions, bad = read_leniently(MAGIC, tmp_path)
    assert [error.where for error in bad] == ["test/edit_sessions.json:8"]
    (session,) = sessions
    assert session.image.read() == png(1)
    first, second = (turn.target_image for turn in session.turns)
    assert first is not None
    assert not first.present
    assert first.path == "7-output1.png"
    assert second is not None
    assert second.read() == png(3)
