"""`micebench check`: every planted problem is listed with file, line and field, and nothing else is."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from micebench.cards import TaskCard, load_card
from micebench.cli.check import check
from micebench.tasks.audit.report import EXPLAINED, audit
from tests.tasks.hand_made import RULE, make_card, mice_row, png, write, write_card, write_lines

CARD = make_card("mice", "cu/test_metadata.jsonl", turns=3)
Make = Callable[..., Path]


def cli(*arguments: str) -> Any:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(check)
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})


def kinds(card: TaskCard, folder: Path) -> list[tuple[str, str, str, str, int]]:
    return [
        (found["severity"], found["kind"], found["where"], found["field"], found["turn"])
        for found in audit(card, folder)["problems"]
        if found["kind"] != "missing image"
    ]


def with_turn(number: int, **values: str) -> dict[str, Any]:
    row = mice_row()
    for key, value in values.items():
        row[key][number - 1] = value
    return row


def test_a_sound_release_has_nothing_to_report(mice_folder: Make) -> None:
    folder = mice_folder(mice_row())
    write(folder / "cu/source_image/ab12.jpg", png())
    result = audit(CARD, folder)
    assert result["problems"] == []
    assert (result["errors"], result["warnings"], result["notes"], result["kinds"]) == (0, 0, 0, {})
    assert result["images"] == {
        "present": 1, "missing": 0, "undecodable": 0, "duplicate": 0, "source_sizes": {"8x6": 1},
    }  # fmt: skip


def test_a_row_that_cannot_be_read_is_an_error_and_the_rest_is_audited(mice_folder: Make) -> None:
    folder = mice_folder("{broken\n", mice_row(instruction=[]), mice_row())
    result = audit(CARD, folder)
    assert kinds(CARD, folder) == [
        ("error", "unreadable row", "cu/test_metadata.jsonl:1", "", 0),
        ("error", "unreadable row", "cu/test_metadata.jsonl:2", "instruction", 0),
    ]
    assert (result["errors"], result["sessions"]) == (2, 1)


def test_metrics_lost_are_warnings_with_the_metric(mice_folder: Make) -> None:
    row = with_turn(2, formatted_instruction="Remove hat", bg_consistency="no")
    problems = audit(CARD, mice_folder(mice_row(image="a"), row))["problems"]
    found = {problem["kind"]: problem for problem in problems if problem["kind"] != "missing image"}
    assert set(found) == {"unparseable", "bad field"}
    assert len(problems) == 2 + 2  # two images are missing
    assert found["unparseable"]["metrics"] == ("IF",)
    assert found["unparseable"]["field"] == "formatted_instruction"
    assert found["bad field"]["metrics"] == ("CC.background",)
    assert found["bad field"]["session"] == "cu/test/ab12"
    assert {problem["where"] for problem in found.values()} == {"cu/test_metadata.jsonl:2"}


def test_one_fault_that_costs_two_metrics_is_one_problem(mice_folder: Make) -> None:
    folder = mice_folder(mice_row(formatted_instruction=None))
    assert [item[4] for item in kinds(CARD, folder) if item[1] == "bad field"] == [1, 2, 3]
    problem = next(item for item in audit(CARD, folder)["problems"] if item["kind"] == "bad field")
    assert problem["metrics"] == ("GA", "IF")


@pytest.mark.parametrize(
    ("row", "kind", "field", "turn"),
    [
        (with_turn(1, formatted_instruction="Change the color of [small cup] to [blue]"),
         "other name", "formatted_instruction", 1),
        (with_turn(2, task_type="subject_add", formatted_instruction="Add [dog] on the [left] of [hat]"),
         "added again", "formatted_instruction", 2),
        (with_turn(2, task_type="text_change", instruction="Add text 'A' on it",
                   formatted_instruction="Add text '[A]' on the image"),
         "reference lost", "formatted_instruction", 2),
        (with_turn(1, formatted_instruction="Change the color of [blue cup] to [Blue]"),
         "colour as before", "formatted_instruction", 1),
        (with_turn(3, instruction="Change the background to beach, remain the dog, owl unchanged"),
         "kept object gone", "instruction", 3),
        (mice_row(available_objects=[["hat", "dog", "blue cup"], ["dog"], ["dog"]]),
         "vanished", "available_objects", 2),
    ],
)  # fmt: skip
def test_oddities_that_cost_nothing_are_notes(mice_folder: Make, row: dict, kind: str, field: str, turn: int) -> None:
    folder = mice_folder(row)
    assert ("note", kind, "cu/test_metadata.jsonl:1", field, turn) in kinds(CARD, folder)
    assert {item[0] for item in kinds(CARD, folder)} == {"note"}
    assert {item[1] for item in kinds(CARD, folder)} <= {kind, "vanished"}  # a turn's edit was exchanged


def test_images_missing_undecodable_and_twice(mice_folder: Make) -> None:
    folder = mice_folder(*(mice_row(image=f"source_image/{name}.png") for name in "abcd"))
    for name, data in (("a", png(1)), ("b", png(1)), ("c", png(1)[:40])):
        write(folder / f"cu/source_image/{name}.png", data)
    result = audit(CARD, folder)
    found = [(problem["severity"], problem["kind"], problem["where"][-1]) for problem in result["problems"]]
    assert found == [
        ("warning", "duplicate image", "2"),
        ("error", "undecodable image", "3"),
        ("warning", "missing image", "4"),
    ]
    assert "also the source image of cu/test/a" in result["problems"][0]["text"]
    assert result["images"]["present"] == 3


def test_images_that_decoding_changes_are_noted_per_session(mice_folder: Make) -> None:
    folder = mice_folder(*(mice_row(image=f"source_image/{name}.png") for name in "abc"))
    tags = Image.Exif()
    tags[0x0112] = 6
    images = {"a": Image.new("RGB", (8, 6)), "b": Image.new("RGBA", (8, 6)), "c": Image.new("RGB", (8, 5))}
    for name, image in images.items():
        buffer = io.BytesIO()
        image.save(buffer, "PNG", exif=tags if name == "a" else None)
        write(folder / f"cu/source_image/{name}.png", buffer.getvalue())
    result = audit(CARD, folder)
    found = [(problem["severity"], problem["kind"], problem["session"][-1], problem["text"])
             for problem in result["problems"]]  # fmt: skip
    assert found == [
        ("note", "converted image", "a", "source_image/a.png: rotated by EXIF orientation 6"),
        ("note", "converted image", "b", "source_image/b.png: transparent pixels composited on white"),
    ]
    assert result["images"]["source_sizes"] == {"6x8": 1, "8x5": 1, "8x6": 1}
    assert result["errors"] == 0


def test_ids_twice_and_sessions_missing_are_errors(mice_folder: Make) -> None:
    card = CARD.model_copy(update={"sessions": 3, "turns": 2})
    found = kinds(card, mice_folder(mice_row(), mice_row()))
    assert {item[:2] for item in found} == {("error", "duplicate id"), ("error", "sessions"), ("error", "turns")}


def test_an_adapter_that_marks_nothing_is_looked_through_all_the_same(tmp_path: Path) -> None:
    """The embedded world makes its own sessions; check holds them to the same rules."""
    source = tmp_path / "own_adapter.py"
    source.write_text(
        "from micebench.sessions import ImageFile, Session, Turn\n"
        "def sessions(card, folder):\n"
        "    turn = Turn(1, 'x', 'subject_remove', 'Remove [zebra]', (), (), ('dog',), True)\n"
        "    yield Session('s', card.id, 'plain', ImageFile('a.png'), (turn,))\n"
    )
    import sys

    sys.path.insert(0, str(tmp_path))
    try:
        result = audit(make_card("x", data=None).model_copy(update={"loader": "own_adapter:sessions"}), None)
    finally:
        sys.path.remove(str(tmp_path))
    assert [(problem["kind"], problem["metrics"]) for problem in result["problems"]] == [
        ("not in pool", ("IF",)),
        ("missing image", ()),
    ]


def test_statistics_of_a_set(mice_folder: Make) -> None:
    row = mice_row(
        instruction=[
            "Change its color to blue",
            "Remove hat",
            "Change the background to beach, remain them unchanged",
        ],
        task_type=["color_alter", "color_alter", "background_change"],
    )
    (counts,) = audit(CARD, mice_folder(mice_row(image="a"), row))["sets"]
    assert (counts["file"], counts["track"], counts["sessions"], counts["turns"]) == (
        "cu/test_metadata.jsonl", "cu", 2, 6,
    )  # fmt: skip
    assert counts["edit_types"]["color_alter"] == {"total": 3, "by_turn": {"1": 2, "2": 1}}
    assert counts["background_flags"] == {"TTF": 2}
    assert counts["not_measurable"] == {"no unchanged object": 0, "background changed": 2, "neither": 0}
    assert counts["references"] == {"by_pronoun": {"none": 3, "them": 1}, "sessions_without": 1}
    assert counts["remain_clauses"]["without a remain clause"] == 1
    assert counts["remain_clauses"]["by pronoun only"] == 1
    assert counts["text"]["sessions with a repeated edit type"] == 1
    assert counts["invalid_annotation"] == {"IF": 1}


def test_rules_are_counted_by_attribute_value_and_wording(mice_folder: Make) -> None:
    cm = make_card("mice", "cm/test_metadata.jsonl")
    rows = [
        mice_row(image=str(k), instruction=[rule + "Remove cup", "x", "y"])
        for k, rule in enumerate([RULE, RULE, RULE.replace("red", "navy")])
    ]
    (counts,) = audit(cm, mice_folder(*rows, track="cm"))["sets"]
    assert counts["rules"]["attributes"] == {"color": 3}
    assert counts["rules"]["distinct"] == 2
    assert counts["rules"]["values"] == {"color": 2, "material": 0}
    assert list(counts["rules"]["templates"].values()) == [3]


def test_every_kind_is_explained(mice_folder: Make) -> None:
    result = audit(CARD, mice_folder("{x\n", mice_row(), mice_row(bg_consistency=[True] * 3)))
    assert set(result["kinds"]) <= set(EXPLAINED)
    assert sum(result["kinds"].values()) == len(result["problems"])


def test_exit_codes(mice_folder: Make, tmp_path: Path) -> None:
    card = write_card(tmp_path / "card", CARD)
    folder = str(mice_folder(mice_row(formatted_instruction=None)))
    assert cli("--task", card, "--data", folder).exit_code == 0
    mice_folder(mice_row(), "{broken\n")
    assert cli("--task", card, "--data", folder).exit_code == 1


def test_json_has_everything_and_nothing_else_on_stdout(mice_folder: Make, tmp_path: Path) -> None:
    card, folder = write_card(tmp_path / "card", CARD), mice_folder(mice_row(), "{broken\n")
    result = cli("--task", card, "--data", str(folder), "--json")
    assert json.loads(result.stdout) == json.loads(json.dumps(audit(CARD, folder)))
    assert result.exit_code == 1


def test_names_are_shown_as_they_are_not_as_markup(mice_folder: Make, tmp_path: Path) -> None:
    row = with_turn(2, formatted_instruction="Remove [bold red]hat[/bold red] [/]")
    folder = mice_folder(row)
    result = cli("--task", write_card(tmp_path / "card", CARD), "--data", str(folder))
    assert result.exit_code == 0, result.exception
    assert "Remove [bold red]hat[/bold red] [/]" in " ".join(result.stdout.split())
    assert "cu/test_metadata.jsonl:1 formatted_instruction[2]" in " ".join(result.stdout.split())


def test_the_built_in_task_needs_no_data() -> None:
    result = cli("--task", "mice-mini-long", "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert found["sessions"] == 100
    assert found["images"]["missing"] == 0
    assert {counts["track"] for counts in found["sets"]} == {"cm", "cu", "plain"}


def test_the_embedded_world_is_a_sound_release() -> None:
    result = audit(load_card(TaskCard, "mice-mini"), None)
    assert (result["errors"], [p for p in result["problems"] if p["severity"] == "warning"]) == (0, [])


def test_help_says_what_the_exit_code_means() -> None:
    text = " ".join(cli("--help").stdout.split())
    assert "Exit code 1" in text
    assert "micebench check --task mice --data DIR" in text


def test_cards_of_ones_own(tmp_path: Path) -> None:
    write_card(tmp_path / "cards/tasks/toy", make_card("jsonl", "my.jsonl"))
    write_lines(tmp_path / "my.jsonl", [{"id": "a", "image": "a.png", "instructions": ["x"]}])
    result = cli("--task", "toy", "--data", str(tmp_path), "--cards", str(tmp_path / "cards"), "--json")
    assert json.loads(result.stdout)["sessions"] == 1
