"""A judge that may work beside the editor gives the same bytes as one that waits for its end."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from micebench.editors.base import EditRequest
from micebench.engine.evaluate import evaluate
from micebench.engine.run_reader import Run, open_run
from micebench.errors import RunError
from micebench.store.journal import Journal
from micebench.verdicts import Question, Verdict
from tests.toy import Meter, Painter, toy_cards

COUNT = 150


class Beside(Meter):
    """Notes how many edits had been asked for when it was asked."""

    concurrent = False
    identity = "the same either way"

    def __init__(self, editor: "Slow | None" = None) -> None:
        super().__init__()
        self.editor = editor
        self.moments: list[int] = []

    def judge(self, questions: Sequence[Question]) -> list[Verdict]:
        self.moments.append(len(self.editor.made) if self.editor else 0)
        return super().judge(questions)


class Slow(Painter):
    def __init__(self, options: dict | None = None) -> None:
        super().__init__()
        self.options = {"sleep_s": 0.003} | (options or {})
        self.made: list[tuple[str, int]] = []

    def edit(self, requests: Sequence[EditRequest]) -> list[Image.Image]:
        self.made += [(request.session_id, request.turn) for request in requests]
        return super().edit(requests)


def run(folder: Path, name: str, editor: Slow, judge: Beside, **options: object) -> Run:
    cards = [toy_cards(folder / "cards", task={"count": COUNT})]
    return evaluate("toy", editor, out=folder / name, judge=judge, cards=cards, **options)


def results(run: Run) -> list[bytes]:
    (journal,) = (run.path / "verdicts").iterdir()
    return [journal.read_bytes(), *((run.path / name).read_bytes() for name in ("verdicts.parquet", "summary.json"))]


def beside(editor: Slow) -> Beside:
    judge = Beside(editor)
    judge.concurrent = True
    return judge


def test_the_bytes_are_the_same_and_the_judge_does_not_wait(tmp_path: Path) -> None:
    after = run(tmp_path, "after", Slow(), Beside())
    editor = Slow()
    judge = beside(editor)
    at_once = run(tmp_path, "beside", editor, judge)
    assert results(at_once) == results(after)
    assert judge.moments[0] < len(editor.made), "the first chunk is judged before the last edit"


def test_failed_and_repeated_sessions_come_out_the_same(tmp_path: Path) -> None:
    fail = {"fail": ["s003/1", "s070/2", "s148/3"]}
    after = run(tmp_path, "after", Slow(fail), Beside(), repeats=2)
    editor = Slow(fail)
    at_once = run(tmp_path, "beside", editor, beside(editor), repeats=2)
    assert results(at_once) == results(after)
    assert at_once.failures() == after.failures()
    assert len(at_once.failures()) == 6


def test_an_image_that_comes_out_differently_is_judged_anew(tmp_path: Path) -> None:
    editor = Slow()
    first = run(tmp_path, "run", editor, beside(editor))
    lost = next(edit for edit in first.edits() if (edit.session, edit.turn) == ("s010", 2))
    (first.path / "blobs" / lost.image[:2] / f"{lost.image}.png").unlink()
    other = Slow({"salt": 1})
    judge = beside(other)
    again = run(tmp_path, "run", other, judge)
    assert other.made == [("s010", 2), ("s010", 3)]
    edits = {edit.key: edit for edit in open_run(again.path).edits()}
    verdicts = list(open_run(again.path).verdicts())
    assert len(verdicts) == len(edits) * 3
    assert all(verdict.edit in edits for verdict in verdicts)
    table = again.table()
    index = open_run(again.path).table()
    assert all((table.values[metric] == index.values[metric]).all() for metric in table.values)


def test_a_disk_that_refuses_verdicts_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Journal.append

    def append(self: Journal, records: object) -> list[int]:
        if self.path.parent.name == "verdicts":
            raise RunError("cannot write: full")
        return real(self, records)

    monkeypatch.setattr(Journal, "append", append)
    editor = Slow()
    with pytest.raises(RunError, match="cannot write: full"):
        run(tmp_path, "run", editor, beside(editor))
    monkeypatch.undo()
    finished = run(tmp_path, "run", Slow(), Beside())
    assert results(finished) == results(run(tmp_path, "after", Slow(), Beside()))
