"""Batches, processes and repeats are ways to run, not causes: the same units give the same bytes."""

from pathlib import Path

import pytest

from micebench.cards import EditorCard, TaskCard, load_card
from micebench.engine.evaluate import evaluate
from micebench.engine.run_reader import Run
from micebench.errors import CardError, EditorError
from tests.toy import Painter, toy_cards


def derived(run: Run) -> tuple[bytes, bytes]:
    return (run.path / "verdicts.parquet").read_bytes(), (run.path / "summary.json").read_bytes()


def test_batches_and_processes_give_the_same_bytes(tmp_path: Path) -> None:
    cards = [toy_cards(tmp_path / "cards", task={"count": 10})]
    straight = derived(evaluate("toy", "painter", out=tmp_path / "straight", cards=cards))
    assert derived(evaluate("toy", "painter", out=tmp_path / "batch", cards=cards, batch=1)) == straight
    pooled = evaluate("toy", "painter", out=tmp_path / "pool", cards=cards, workers=2, batch=2)
    assert derived(pooled) == straight
    journals = [next((run / "verdicts").iterdir()) for run in (tmp_path / "straight", tmp_path / "pool")]
    assert journals[0].read_bytes() == journals[1].read_bytes()


def test_repeats_are_rows_of_their_own(tmp_path: Path) -> None:
    cards = [toy_cards(tmp_path / "cards")]
    run = evaluate("toy", "painter", out=tmp_path / "run", cards=cards, repeats=2)
    edits = list(run.edits())
    assert len({edit.seed for edit in edits}) == len({edit.key for edit in edits}) == len(edits) == 2 * 17
    assert [(edit.session, edit.repeat) for edit in edits[:6]] == [("s000", 0)] * 3 + [("s000", 1)] * 3
    table = run.table()
    assert table.rows == 12
    assert table.sessions.tolist()[:4] == ["s000", "s000", "s001", "s001"]
    once = evaluate("toy", "painter", out=tmp_path / "once", cards=cards)
    assert [edit.image for edit in once.edits()] == [edit.image for edit in edits if edit.repeat == 0]


def test_the_table_holds_what_the_verdicts_say(tmp_path: Path) -> None:
    cards = [toy_cards(tmp_path / "cards", editor={"fail": ["s002/2"]})]
    run = evaluate("toy", "painter", out=tmp_path / "run", cards=cards)
    from micebench.metrics.verdict_table import STATUS_CODES

    table = run.table()
    assert table.turns.tolist() == [3, 3, 3, 3, 2, 3]
    said = {(v.session, v.turn, v.metric): (v.status.value, v.value) for v in run.verdicts()}
    assert len(said) == (17 - 2) * 3
    for row, session in enumerate(table.sessions):
        for turn in (1, 2, 3):
            for metric in ("IF", "CC.object", "GA"):
                status, value = said.get((session, turn, metric), ("missing", 0.0))
                assert STATUS_CODES[table.status[metric][row, turn - 1]] == status
                assert table.values[metric][row, turn - 1] == value


def test_a_card_in_memory_is_as_good_as_its_name(tmp_path: Path) -> None:
    cards = [toy_cards(tmp_path / "cards")]
    named = evaluate("toy", "painter", out=tmp_path / "named", cards=cards)
    task, editor, judge = load_card(TaskCard, "toy", cards), load_card(EditorCard, "painter", cards), "meter"
    given = evaluate(task, editor, out=tmp_path / "given", judge=judge, cards=cards)
    assert derived(given) == derived(named)
    assert given.manifest.task_hash == named.manifest.task_hash


def test_an_object_cannot_be_shared_by_processes(tmp_path: Path) -> None:
    cards = [toy_cards(tmp_path / "cards")]
    with pytest.raises(CardError, match="cannot be shared by several processes; give workers=1"):
        evaluate("toy", Painter(), out=tmp_path / "run", cards=cards, workers=2)


def test_a_process_that_dies_costs_its_chunk_only(tmp_path: Path) -> None:
    cards = [toy_cards(tmp_path / "cards", editor={"die": ["s003/2"]})]
    run = evaluate("toy", "painter", out=tmp_path / "run", cards=cards, workers=2, batch=2)
    assert [(f.session, f.turn, f.reason) for f in run.failures()] == [
        ("s002", 2, "the editor's process ended with code 9"),
        ("s003", 2, "the editor's process ended with code 9"),
    ]
    assert sum(edit.status == "ok" for edit in run.edits()) == 17 - 4


def test_an_editor_that_cannot_start_in_its_process_stops_the_run(tmp_path: Path) -> None:
    cards = toy_cards(tmp_path / "cards")
    card = cards / "baselines/painter/editor.yaml"
    card.write_text(card.read_text().replace("tests.toy:Painter", "tests.toy:Paintre"))
    with pytest.raises(CardError, match=r"tests\.toy has no 'Paintre'; did you mean 'Painter'"):
        evaluate("toy", "painter", out=tmp_path / "run", cards=[cards], workers=2)
    card.write_text(card.read_text().replace("tests.toy:Paintre", "os:_exit"))
    with pytest.raises((EditorError, CardError)):
        evaluate("toy", "painter", out=tmp_path / "other", cards=[cards], workers=2)
