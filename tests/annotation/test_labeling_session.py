"""Labels are on disk before the next question; nothing that reviewers do at the same time is lost."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from micebench.annotation.human_labels import labels_of, reviewers
from micebench.engine.run_reader import open_run
from micebench.errors import RunError
from micebench.judges.human import identity, reviewer_name
from micebench.store.keys import verdict_key
from micebench.store.label_journal import label_path
from tests.annotation.sitting import desk_for, press
from tests.report.runs import RTL, SCRIPT


def lines(run, reviewer="anna") -> list[dict]:
    return [json.loads(line) for line in label_path(run.path, reviewer).read_text().splitlines()]


def test_a_label_is_a_verdict_of_its_reviewer(labelled):
    desk = desk_for(labelled)
    seat = desk.sit_down("anna")
    asked = desk.queue.items[0]
    desk.act(seat, seat.view, "n", f" {SCRIPT}{RTL}\n ")
    (line,) = lines(labelled)
    edits = labelled.edit_index()
    row = edits.sessions.position[asked.session]
    edit, image = edits.key(row, asked.turn), edits.image(row, asked.turn)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "judge": "human:anna", "blind": True, "key": verdict_key(edit, image, identity("anna"), "IF"), "edit": edit,
        "session": asked.session, "repeat": 0, "turn": asked.turn, "metric": "IF", "status": "ok", "value": 0.0,
        "reason": SCRIPT + RTL,
    }  # fmt: skip


def test_nothing_else_of_the_run_is_written(labelled):
    def others() -> dict[str, bytes]:
        found = (path for path in labelled.path.rglob("*") if path.is_file() and path.parent.name != "labels")
        return {str(path): path.read_bytes() for path in found}

    before = others()
    desk = desk_for(labelled)
    press(desk, desk.sit_down("anna"), "ynuivs")
    assert others() == before


def test_one_resumes_where_one_stopped(labelled):
    desk = desk_for(labelled)
    seat = press(desk, desk.sit_down("anna"), "ynsu")
    assert seat.place == 4
    again = desk_for(open_run(labelled.path))
    seat = again.sit_down("anna")
    assert again.done("anna") == 3
    assert seat.place == 2  # what was skipped comes first
    assert press(again, seat, "y").place == 4


def test_all_that_was_skipped_comes_again_and_then_it_ends(labelled):
    desk = desk_for(labelled, sessions=2)
    count = len(desk.queue.items)
    seat = press(desk, desk.sit_down("anna"), "s" * count)
    assert seat.place == 0
    seat = press(desk, seat, "y" * count)
    assert seat.place is None
    assert desk.done("anna") == count
    assert press(desk, seat, "y") == seat
    assert press(desk, seat, "b").place == count - 1


def test_a_later_label_replaces_an_earlier_one(labelled):
    desk = desk_for(labelled)
    seat = press(desk, desk.sit_down("anna"), "yyb")
    assert seat.place == 1
    assert desk.label(seat, 1).record.value == 1.0
    seat = press(desk, seat, "n")
    assert seat.place == 2
    found = labels_of(labelled, "anna")
    assert [found.final[asked].record.value for asked in desk.queue.items[:2]] == [1.0, 0.0]
    assert len(lines(labelled)) == 3  # the journal keeps both


def test_what_was_meant_for_another_view_is_dropped(labelled):
    """A key pressed twice answers one question, not the next one unseen."""
    desk = desk_for(labelled)
    seat = desk.sit_down("anna")
    moved = desk.act(seat, seat.view, "y")
    assert desk.act(moved, seat.view, "y") == moved
    assert desk.done("anna") == 1


@pytest.mark.parametrize("key", ["1", "5", "q", "", "skip;"])
def test_an_answer_to_another_question_is_none(labelled, key):
    desk = desk_for(labelled)
    seat = desk.sit_down("anna")
    assert desk.act(seat, seat.view, key) == seat
    assert not label_path(labelled.path, "anna").exists()


def test_grades_are_values_and_declining_has_none(labelled):
    desk = desk_for(labelled, metrics=("quality",))
    press(desk, desk.sit_down("anna"), "1352ui")
    assert [(line["status"], line["value"]) for line in lines(labelled)] == [
        ("ok", 0.0), ("ok", 0.5), ("ok", 1.0), ("ok", 0.25), ("refused", None), ("invalid_annotation", None),
    ]  # fmt: skip


def test_two_reviewers_at_once(labelled):
    """Each in a thread on one desk, as behind the page."""
    desk = desk_for(labelled)
    keys = {"anna": "ynuyn" * 5, "bob": "nnyyi" * 5}
    threads = [
        threading.Thread(target=lambda who=who: press(desk, desk.sit_down(who), keys[who])) for who in ("anna", "bob")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reviewers(labelled) == ["anna", "bob"]
    for who, said in keys.items():
        values = {"y": 1.0, "n": 0.0, "u": None, "i": None}
        given = labels_of(labelled, who).final
        assert [given[asked].record.value for asked in desk.queue.items[:25]] == [values[key] for key in said]


WRITE = """
import sys
from pathlib import Path
from micebench.engine.run_reader import open_run
from micebench.annotation.queue import Choice, make_queue
from micebench.annotation.labeling_session import Desk
from tests.annotation.sitting import press
run = open_run(Path(sys.argv[1]))
desk = Desk(run, make_queue(run, Choice()))
seat = desk.sit_down("anna")
for number in range(8):
    seat = press(desk, seat, sys.argv[2])
"""


def test_two_processes_of_one_reviewer_lose_nothing(labelled):
    running = [
        subprocess.Popen([sys.executable, "-c", WRITE, str(labelled.path), key], cwd=Path(__file__).parents[2])
        for key in "yn"
    ]
    assert [process.wait(120) for process in running] == [0, 0]
    said = [line["value"] for line in lines(labelled)]
    assert len(said) in range(9, 17)  # one that starts late finds the other's first labels, and goes on after them
    assert {0.0, 1.0} == set(said)


def test_a_torn_line_is_cut_off_and_the_next_label_is_whole(labelled):
    desk = desk_for(labelled)
    press(desk, desk.sit_down("anna"), "y")
    path = label_path(labelled.path, "anna")
    with path.open("ab") as file:
        file.write(b'{"judge":"human:anna","blin')
    press(desk, desk.sit_down("anna"), "n")
    assert [line["value"] for line in lines(labelled)] == [1.0, 0.0]


@pytest.mark.parametrize(
    "damage",
    ["not json", "[]", "{}", '{"judge":"human:anna","blind":"yes"}', "VALUE", "STATUS"],
)
def test_a_damaged_line_is_named_and_nothing_is_guessed(labelled, damage):
    desk = desk_for(labelled)
    press(desk, desk.sit_down("anna"), "yy")
    path = label_path(labelled.path, "anna")
    first, second = path.read_text().splitlines()
    wrong = {"VALUE": second.replace("1.0", "3.0"), "STATUS": second.replace('"ok"', '"fine"')}.get(damage, damage)
    path.write_text(f"{first}\n{wrong}\n{second}\n")
    with pytest.raises(RunError, match=rf"{path.name}:2: damaged"):
        desk.sit_down("anna")
    desk.sit_down("bob")  # whose file is whole


def test_labels_of_remade_edits_are_not_read(labelled):
    desk = desk_for(labelled)
    press(desk, desk.sit_down("anna"), "yn")
    path = label_path(labelled.path, "anna")
    first, second = path.read_text().splitlines()
    path.write_text(f"{first.replace(json.loads(first)['key'], 'f' * 64)}\n{second}\n")
    found = labels_of(labelled, "anna")
    assert (found.stale, list(found.final)) == (1, [desk.queue.items[1]])


def test_a_label_that_cannot_be_written_is_no_label(labelled):
    desk = desk_for(labelled)
    seat = desk.sit_down("anna")
    (labelled.path / "labels").write_text("no folder")
    with pytest.raises(RunError, match="cannot write"):
        desk.act(seat, seat.view, "y")
    assert desk.done("anna") == 0


@pytest.mark.parametrize("name", ["", "..", "../anna", "a/b", "anna smith", "-rf", "*", "ANNA\u202e", "a" * 41, ".x"])
def test_names_that_are_no_file_names_are_refused(name):
    with pytest.raises(RunError, match="give a name"):
        reviewer_name(name)


def test_a_name_is_one_name_however_it_is_typed():
    assert reviewer_name(" Anna ") == "anna"
