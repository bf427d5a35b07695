"""A source image that cannot be read is named; the other sessions go on, and mending the file mends the run."""

from pathlib import Path

import pytest

from micebench.engine.evaluate import evaluate
from micebench.errors import DataError
from tests.toy import Meter, Painter, toy_cards


def test_the_session_is_recorded_as_failed_and_the_rest_go_on(tmp_path: Path) -> None:
    cards = [toy_cards(tmp_path / "cards", task={"unreadable": [2]})]
    run = evaluate("toy", Painter(), out=tmp_path / "run", judge=Meter(), cards=cards)
    (failure,) = run.failures()
    assert (failure.session, failure.turn) == ("s002", 1)
    assert failure.reason.startswith("image s002.png: not a readable image")
    assert sum(edit.status == "ok" for edit in run.edits()) == 17 - 3
    assert len(list(run.sessions())) == 6


def test_a_mended_source_is_taken_in_by_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tests.toy

    cards = [toy_cards(tmp_path / "cards")]
    straight = evaluate("toy", Painter(), out=tmp_path / "straight", judge=Meter(), cards=cards)
    original = tests.toy._png
    monkeypatch.setattr(tests.toy, "_png", lambda number: b"torn" if number in (2, 5) else original(number))
    first = evaluate("toy", Painter(), out=tmp_path / "run", judge=Meter(), cards=cards)
    assert [failure.session for failure in first.failures()] == ["s002", "s005"]
    monkeypatch.setattr(tests.toy, "_png", lambda number: b"torn" if number == 5 else original(number))
    second = evaluate("toy", Painter(), out=tmp_path / "run", judge=Meter(), cards=cards)
    assert [failure.session for failure in second.failures()] == ["s005"]
    monkeypatch.undo()
    third = evaluate("toy", Painter(), out=tmp_path / "run", judge=Meter(), cards=cards)
    assert third.failures() == []
    for name in ("summary.json", "verdicts.parquet", "sessions.jsonl"):
        assert (third.path / name).read_bytes() == (straight.path / name).read_bytes(), name
    assert not list(third.path.glob("*.new"))


def test_a_task_without_any_image_stops_with_the_remedy(tmp_path: Path) -> None:
    cards = [toy_cards(tmp_path / "cards", task={"unreadable": list(range(6))})]
    with pytest.raises(DataError, match=r"none of the 6 source images can be read \(first: image s000\.png"):
        evaluate("toy", Painter(), out=tmp_path / "run", judge=Meter(), cards=cards)
