"""A judging that yielded nothing ends with code 3 and says what is missing, and why."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest
import yaml

from micebench.cards import JudgeCard
from micebench.cli import main
from micebench.engine.evaluate import evaluate
from micebench.engine.run_reader import open_run
from micebench.errors import HopelessEndpoint
from micebench.judges.runtime.error_streak import LEAST_QUESTIONS
from micebench.verdicts import Question, Status, Verdict
from tests.judges.fake_vlm_server import Vlm, complies, sends
from tests.judges.photo_cards import judge_folder
from tests.toy import Painter, toy_cards

REFUSAL = sends(400, b'{"error": {"message": "this model takes no images"}}')


@pytest.fixture
def micebench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The command, run in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["micebench", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return int(end.value.code or 0), said.out, said.err

    return call


class Moody:
    """Gives `statuses[metric]` to every question; "ok": 1."""

    statuses: ClassVar[dict[str, str]] = {}

    def __init__(self, card: JudgeCard) -> None:
        pass

    def judge(self, questions: Sequence[Question]) -> list[Verdict]:
        return [self._answer(Moody.statuses.get(question.metric, "ok")) for question in questions]

    def _answer(self, status: str) -> Verdict:
        return Verdict.ok(1.0) if status == "ok" else Verdict.missing(Status(status), f"because of {status}")


def moody_cards(folder: Path) -> Path:
    cards = toy_cards(folder)
    path = cards / "judges/meter/judge.yaml"
    card = yaml.safe_load(path.read_text()) | {"judge": f"{__name__}:Moody", "metrics": ["IF", "GA"]}
    path.write_text(yaml.safe_dump(card))
    return cards


CASES = [
    ({}, 0, ""),
    ({"IF": "error", "GA": "error"}, 3, "gave no value for 34 of 34 verdicts: 34 error (because of error)"),
    ({"IF": "unparsed", "GA": "refused"}, 3, "34 of 34 verdicts: 17 unparsed (because of unparsed), 17 refused"),
    ({"IF": "error"}, 3, "17 of 34 verdicts: 17 error (because of error); none at all for IF"),
    ({"GA": "not_applicable"}, 0, ""),
    ({"IF": "not_applicable", "GA": "not_applicable"}, 3, "none of the 34 verdicts has a value"),
]


@pytest.mark.parametrize(("statuses", "code", "line"), CASES)
def test_run_and_judge_end_with_the_code_of_what_they_yielded(
    micebench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statuses: dict[str, str], code: int, line: str
) -> None:
    cards = moody_cards(tmp_path / "cards")
    monkeypatch.setattr(Moody, "statuses", statuses)
    words = ("run", "-t", "toy", "-m", "painter", "--cards", cards, "--out", "r", "-q", "--no-report")
    for verb in (words, words, ("judge", "r", "--cards", cards, "-q", "--no-report")):
        found, _, err = micebench(*verb)
        assert found == code
        assert line in err
        assert (f"--retry-failed --cards {cards}` asks again" in err) == (" of 34 verdicts: " in line)
    assert open_run("r").unanswered().nothing == (code == 3)
    monkeypatch.setattr(Moody, "statuses", {})
    retried = micebench("judge", "r", "--cards", cards, "-q", "--no-report", "--retry-failed")
    assert retried[0] == (code if "not_applicable" in statuses.values() else 0)


def test_some_missing_verdicts_are_counted_and_end_with_code_0(micebench, tmp_path: Path) -> None:
    class Once(Painter):
        pass

    class Sometimes(Moody):
        def __init__(self) -> None:
            pass

        def judge(self, questions: Sequence[Question]) -> list[Verdict]:
            return [self._answer("refused" if question.turn == 2 else "ok") for question in questions]

    run = evaluate(
        "toy", Once(), out=tmp_path / "r", judge=Sometimes(), cards=[toy_cards(tmp_path / "cards")]
    ).unanswered()
    assert not run.nothing
    assert run.missing == {"refused": 6 * 6}
    assert run.line().startswith(f"the judge gave no value for 36 of {17 * 6} verdicts: 36 refused (because of")


def test_edits_without_an_image_leave_nothing_to_judge(micebench, tmp_path: Path) -> None:
    toy_cards(tmp_path / "cards", editor={"fail": [f"s00{number}/1" for number in range(6)]})
    words = ("run", "-t", "toy", "-m", "painter", "--cards", "cards", "--out", "r", "-q", "--no-report")
    code, _, err = micebench(*words)
    assert code == 3
    assert "no edit has an image" in err
    code, _, err = micebench("judge", "r", "--cards", "cards", "-q", "--no-report")
    assert code == 3
    assert "no edit has an image" in err


def test_a_server_that_refuses_every_call_alike_is_asked_a_few_times_and_the_same_command_goes_on(
    micebench, tmp_path: Path
) -> None:
    closed = [True]
    cards = toy_cards(tmp_path / "cards", task={"track": "cu", "count": 30})
    with Vlm(lambda _, body: REFUSAL if closed[0] else complies(body)).running() as server:
        judge_folder(cards, server.url, domain="mini", awareness={"stop_at_failure": False}, vlm={"concurrency": 2})
        words = ("run", "-t", "toy", "-m", "painter", "-j", "asking", "--cards", cards, "--out", "r", "-q")
        for verb in (words, words, ("judge", "r", "-j", "asking", "--cards", cards, "-q")):
            before = len(server.bodies)
            code, _, err = micebench(*verb)
            assert code == 3
            assert "this model takes no images" in err
            assert "the same command then goes on" in err
            assert len(err.strip().splitlines()) == 1
            # of 90 questions; calls already under way when the streak is noticed still reach the server
            assert LEAST_QUESTIONS <= len(server.bodies) - before <= 3 * LEAST_QUESTIONS
        assert list(open_run("r").verdicts()) == [], "what was not answered is not recorded"
        edits = Path("r/edits/main.jsonl").read_bytes()
        closed[0] = False
        assert micebench(*words)[0] == 0
        assert Path("r/edits/main.jsonl").read_bytes() == edits
    assert {verdict.status for verdict in open_run("r").verdicts()} == {Status.OK}


def test_python_raises_where_the_command_stops(tmp_path: Path) -> None:
    cards = toy_cards(tmp_path / "cards", task={"track": "cu", "count": 30})
    with Vlm(lambda *_: REFUSAL).running() as server:
        judge_folder(cards, server.url, domain="mini", awareness={"stop_at_failure": False})
        with pytest.raises(HopelessEndpoint, match="takes no images"):
            evaluate("toy", Painter(), out=tmp_path / "r", judge="asking", cards=[cards])
    assert len(list(open_run(tmp_path / "r").edits())) == 84


def test_a_watch_does_not_blame_the_checkpoint_for_a_silent_judge(
    micebench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.monitor.watched_training import Light, bench, checkpoint

    cards, base, training = bench(tmp_path)
    checkpoint(training, "step-1", 0.75)
    words = ("watch", training, "--base", base, "--cards", cards, "--once", "--settle", "0", "-q")
    with monkeypatch.context() as patch:
        patch.setattr(Light, "_answer", lambda *_: Verdict.missing(Status.ERROR, "the server is on strike"))
        code, _, err = micebench(*words)
    assert code == 3
    assert "step-1: the judge gave no value for" in err
    assert "the server is on strike" in err
    assert json.loads((training / "watch/watch.json").read_text())["entries"] == []
    assert micebench(*words)[0] == 0
    (entry,) = json.loads((training / "watch/watch.json").read_text())["entries"]
    assert entry["outcome"] == "passed"


@pytest.mark.parametrize("verb", ["run", "judge", "watch", "train"])
def test_help_names_the_code(micebench, verb: str) -> None:
    assert "3:" in micebench(verb, "--help")[1]
