"""The same command again continues: nothing finished is redone, and nothing stale is reused."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from micebench.editors.base import EditRequest
from micebench.engine.evaluate import evaluate, judge
from micebench.engine.run_reader import Run, open_run
from micebench.errors import RunError
from micebench.verdicts import Question, Status, Verdict
from tests.toy import Meter, Painter, toy_cards

EDITS = 17  # of the 6 toy sessions


class Counting(Painter):
    """Counts the edits it makes; `moody`: never makes the same one twice."""

    def __init__(self, moody: bool = False) -> None:
        super().__init__()
        self.made: list[tuple[str, int]] = []
        self.moody = moody

    def edit(self, requests: Sequence[EditRequest]) -> list[Image.Image]:
        self.made += [(request.session_id, request.turn) for request in requests]
        if self.moody:
            self.options = {"salt": len(self.made)}
        return super().edit(requests)


class CountingJudge(Meter):
    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def judge(self, questions: Sequence[Question]) -> list[Verdict]:
        self.asked += len(questions)
        return super().judge(questions)


@pytest.fixture
def cards(tmp_path: Path) -> list[Path]:
    return [toy_cards(tmp_path / "cards")]


def derived(run: Run) -> tuple[bytes, bytes]:
    return (run.path / "verdicts.parquet").read_bytes(), (run.path / "summary.json").read_bytes()


def test_a_finished_run_asks_nobody_again(tmp_path: Path, cards: list[Path]) -> None:
    first = evaluate("toy", Counting(), out=tmp_path / "run", judge=CountingJudge(), cards=cards)
    before = derived(first)
    editor, meter = Counting(), CountingJudge()
    again = evaluate("toy", editor, out=tmp_path / "run", judge=meter, cards=cards)
    assert (editor.made, meter.asked) == ([], 0)
    assert derived(again) == before
    assert len(list(again.edits())) == EDITS
    assert len(list(again.verdicts())) == EDITS * 3


def test_a_damaged_image_is_made_again_and_nothing_else(tmp_path: Path, cards: list[Path]) -> None:
    first = evaluate("toy", Counting(), out=tmp_path / "run", judge=CountingJudge(), cards=cards)
    before = derived(first)
    victims = {edit.turn: edit.image for edit in first.edits() if edit.session == "s003"}
    path = tmp_path / "run" / "blobs" / victims[1][:2] / f"{victims[1]}.png"
    path.write_bytes(path.read_bytes()[:-1])
    (tmp_path / "run" / "blobs" / victims[3][:2] / f"{victims[3]}.png").unlink()
    editor, meter = Counting(), CountingJudge()
    again = evaluate("toy", editor, out=tmp_path / "run", judge=meter, cards=cards)
    assert editor.made == [("s003", 1), ("s003", 3)]
    assert meter.asked == 0, "the same image again needs no new verdict"
    assert derived(again) == before
    assert all(again.blob(image) for image in victims.values())


def test_an_image_that_comes_out_differently_is_followed_and_judged_anew(tmp_path: Path, cards: list[Path]) -> None:
    first = evaluate("toy", Counting(moody=True), out=tmp_path / "run", judge=CountingJudge(), cards=cards)
    old = {edit.turn: edit.image for edit in first.edits() if edit.session == "s003"}
    (tmp_path / "run" / "blobs" / old[2][:2] / f"{old[2]}.png").unlink()
    editor, meter = Counting(moody=True), CountingJudge()
    again = evaluate("toy", editor, out=tmp_path / "run", judge=meter, cards=cards)
    assert editor.made == [("s003", 2), ("s003", 3)]
    assert meter.asked == 2 * 3
    new = {edit.turn: edit.image for edit in again.edits() if edit.session == "s003"}
    assert new[1] == old[1]
    assert new[2] != old[2]
    assert new[3] != old[3]
    assert len(list(again.verdicts())) == EDITS * 3
    keys = {edit.key for edit in open_run(again.path).edits()}
    assert {verdict.edit for verdict in open_run(again.path).verdicts()} == keys


def test_a_stop_between_a_new_image_and_its_successor_leaves_nothing_stale(tmp_path: Path, cards: list[Path]) -> None:
    class Stopping(Counting):
        def edit(self, requests: Sequence[EditRequest]) -> list[Image.Image]:
            if any(request.turn == 3 for request in requests):
                raise KeyboardInterrupt
            return super().edit(requests)

    Stopping.__qualname__, Stopping.__module__ = Counting.__qualname__, Counting.__module__
    first = evaluate("toy", Counting(moody=True), out=tmp_path / "run", judge=CountingJudge(), cards=cards)
    old = {edit.turn: edit.image for edit in first.edits() if edit.session == "s003"}
    (tmp_path / "run" / "blobs" / old[2][:2] / f"{old[2]}.png").unlink()
    with pytest.raises(KeyboardInterrupt):
        evaluate("toy", Stopping(moody=True), out=tmp_path / "run", judge=CountingJudge(), cards=cards)
    stopped = open_run(tmp_path / "run")
    assert [edit.turn for edit in stopped.edits() if edit.session == "s003"] == [1, 2]
    assert {verdict.turn for verdict in stopped.verdicts() if verdict.session == "s003"} == {1}
    editor, meter = Counting(moody=True), CountingJudge()
    again = evaluate("toy", editor, out=tmp_path / "run", judge=meter, cards=cards)
    assert editor.made == [("s003", 3)]
    assert meter.asked == 2 * 3
    assert len(list(again.verdicts())) == EDITS * 3


@pytest.mark.parametrize("judge_too", [False, True])
def test_a_damaged_source_is_restored(tmp_path: Path, cards: list[Path], judge_too: bool) -> None:
    first = evaluate("toy", Counting(), out=tmp_path / "run", judge=CountingJudge(), cards=cards)
    source = next(first.sessions()).image
    Path(source.file).write_bytes(b"")
    if judge_too:
        next((tmp_path / "run" / "verdicts").iterdir()).unlink()
    editor, meter = Counting(), CountingJudge()
    evaluate("toy", editor, out=tmp_path / "run", judge=meter, cards=cards)
    assert editor.made == []
    assert meter.asked == (EDITS * 3 if judge_too else 0)
    assert source.open().size == (8, 8)


def test_failed_sessions_are_tried_again(tmp_path: Path) -> None:
    cards = [toy_cards(tmp_path / "cards")]
    editor = Counting()
    editor.options = {"fail": ["s001/2"]}
    first = evaluate("toy", editor, out=tmp_path / "run", judge=CountingJudge(), cards=cards)
    assert [failure[:3] for failure in first.failures()] == [("s001", 0, 2)]
    better, meter = Counting(), CountingJudge()
    again = evaluate("toy", better, out=tmp_path / "run", judge=meter, cards=cards)
    assert better.made == [("s001", 2), ("s001", 3)]
    assert meter.asked == 2 * 3
    assert again.failures() == []
    straight = evaluate("toy", Counting(), out=tmp_path / "straight", judge=CountingJudge(), cards=cards)
    assert derived(again) == derived(straight)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 1}, "its seed is 0, not 1"),
        ({"limit": 3}, "its limit is None, not 3"),
        ({"repeats": 2}, "its repeats is 1, not 2"),
        ({"context": "history"}, "its context is 'last', not 'history'"),
    ],
)
def test_another_identity_is_refused_by_name(tmp_path: Path, cards: list[Path], change: dict, said: str) -> None:
    evaluate("toy", "painter", out=tmp_path / "run", cards=cards)
    with pytest.raises(RunError, match=said):
        evaluate("toy", "painter", out=tmp_path / "run", cards=cards, **change)


def test_a_changed_model_card_is_another_model(tmp_path: Path, cards: list[Path]) -> None:
    evaluate("toy", "painter", out=tmp_path / "run", cards=cards)
    toy_cards(tmp_path / "cards", editor={"salt": 1})
    with pytest.raises(RunError, match=r"the model card or code has changed since.*--out"):
        evaluate("toy", "painter", out=tmp_path / "run", cards=cards)


def test_a_changed_task_card_is_another_task(tmp_path: Path, cards: list[Path]) -> None:
    evaluate("toy", "painter", out=tmp_path / "run", cards=cards)
    toy_cards(tmp_path / "cards", task={"count": 7})
    with pytest.raises(RunError, match="the task card has changed since"):
        evaluate("toy", "painter", out=tmp_path / "run", cards=cards)


def test_data_that_changed_behind_the_cards_back_is_noticed(
    tmp_path: Path, cards: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import tests.toy

    evaluate("toy", "painter", out=tmp_path / "run", cards=cards)
    original = tests.toy._png
    monkeypatch.setattr(tests.toy, "_png", lambda number: original(number + 10 * (number == 4)))
    with pytest.raises(RunError, match=r"the source image of session 's004' is another one; .*--out"):
        evaluate("toy", "painter", out=tmp_path / "run", cards=cards)


def test_another_judge_is_added_by_the_judge_verb_only(tmp_path: Path, cards: list[Path]) -> None:
    first = evaluate("toy", "painter", out=tmp_path / "run", cards=cards)
    before = derived(first)
    meter = CountingJudge()
    with pytest.raises(RunError, match=r"its judge is 'meter'; .*micebench judge"):
        evaluate("toy", "painter", out=tmp_path / "run", judge=meter, cards=cards)
    judged = judge(tmp_path / "run", meter, cards=cards)
    assert meter.asked == EDITS * 3
    assert judged.summary()["judge"] == judged.manifest.judge == "tests.engine.test_evaluate_resume.CountingJudge"
    back = evaluate("toy", "painter", out=tmp_path / "run", cards=cards)
    assert derived(back) == before
    assert json.loads(before[1])["judge"] == "meter"


def test_verdicts_without_a_value_are_asked_again_on_request_only(tmp_path: Path, cards: list[Path]) -> None:
    class Shy(CountingJudge):
        shy = True

        def answer(self, question: Question) -> Verdict:
            if self.shy and question.turn == 2:
                return Verdict.missing(Status.REFUSED, "not today")
            return super().answer(question)

    meter = Shy()
    run = evaluate("toy", "painter", out=tmp_path / "run", judge=meter, cards=cards)
    refused = sum(verdict.status == Status.REFUSED for verdict in run.verdicts())
    assert refused == 6 * 3
    meter.asked, meter.shy = 0, False
    judge(tmp_path / "run", meter)
    assert meter.asked == 0
    again = judge(tmp_path / "run", meter, retry_failed=True)
    assert meter.asked == refused
    assert {verdict.status for verdict in again.verdicts()} == {Status.OK}
    straight = evaluate("toy", "painter", out=tmp_path / "straight", judge=meter, cards=cards)
    assert derived(again) == derived(straight)


def test_the_images_in_a_run_are_what_the_editor_made(tmp_path: Path, cards: list[Path]) -> None:
    run = evaluate("toy", "painter", out=tmp_path / "run", cards=cards)
    from micebench.execution.images import decode_png

    edits = [edit for edit in run.edits() if edit.session == "s000"]
    source = np.asarray(next(run.sessions()).image.open())
    for edit in edits:
        noise = np.random.default_rng([edit.seed, 0]).integers(0, 64, (8, 8, 3), dtype=np.uint8)
        source = source + noise
        assert np.array_equal(np.asarray(decode_png(run.blob(edit.image))), source)
