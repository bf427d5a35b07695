"""`run`, `plan` and `judge` end with the right words and exit codes, never with a traceback."""

import sys
from pathlib import Path

import pytest

from micebench.cli import main
from micebench.engine.run_reader import open_run
from micebench.errors import RunError
from tests.toy import toy_cards

EDITOR = """
from PIL import ImageOps

class MyEditor:
    context = "history"

    def edit(self, requests):
        assert len(requests[0].images) == requests[0].turn
        return [ImageOps.invert(request.image) for request in requests]
"""


@pytest.fixture
def micebench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The command, run in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["micebench", *words])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        code = end.value.code
        return (0 if code is None else int(code)), said.out, said.err

    return call


def test_a_run_prints_numbers_and_where_they_are(micebench, tmp_path: Path) -> None:
    toy_cards(tmp_path / "cards")
    words = ("run", "--task", "toy", "--model", "painter", "--cards", "cards")
    code, out, err = micebench(*words)
    assert code == 0
    assert "painter on toy" in out
    assert "runs/toy--painter/report/index.html" in out
    assert (tmp_path / "runs/toy--painter/report/index.html").is_file()
    assert "edits: 17/17" in err
    before = (tmp_path / "runs/toy--painter/edits/main.jsonl").read_bytes()
    assert micebench(*words)[0] == 0
    assert (tmp_path / "runs/toy--painter/edits/main.jsonl").read_bytes() == before


def test_quiet_and_no_report(micebench, tmp_path: Path) -> None:
    toy_cards(tmp_path / "cards")
    code, out, err = micebench(
        "run", "-t", "toy", "-m", "painter", "--cards", "cards", "-q", "--no-report", "--limit", "2", "--seed", "3"
    )
    assert (code, out, err) == (0, "", "")
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name == "toy--painter--limit-2--seed-3"
    assert not (run / "report").exists()
    assert open_run(run).manifest.n_sessions == 2


def test_one_may_edit_now_and_judge_later(micebench, tmp_path: Path) -> None:
    toy_cards(tmp_path / "cards")
    words = ("-t", "toy", "-m", "painter", "--cards", "cards", "--out", "r")
    code, out, _ = micebench("run", *words, "--judge", "none")
    assert (code, out) == (0, "the edits are not judged; run: micebench judge r --judge meter --cards cards\n")
    with pytest.raises(RunError, match=r"not judged yet; run `micebench judge .*r --judge NAME`"):
        open_run(tmp_path / "r").verdicts()
    assert micebench("judge", "r", "--judge", "meter", "--cards", "cards", "--quiet")[0] == 0
    judged = list(open_run(tmp_path / "r").verdicts())
    assert micebench("run", *words, "--judge", "none")[0] == micebench("run", *words, "--quiet")[0] == 0
    assert list(open_run(tmp_path / "r").verdicts()) == judged != []


def test_failed_sessions_end_with_code_3_and_are_retried(micebench, tmp_path: Path) -> None:
    toy_cards(tmp_path / "cards", editor={"fail": ["s001/2", "s003/1"]})
    code, _, err = micebench("run", "-t", "toy", "-m", "painter", "--cards", "cards", "--out", "r")
    assert code == 3
    assert err.splitlines()[-1] == (
        "2 sessions failed (first: s001 turn 2: RuntimeError: painter is out of paint and tired); "
        "run the same command again to retry"
    )


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run", "--model", "orcale"], 1, "error: unknown model 'orcale': did you mean 'oracle'"),
        (["run", "--model", "oracle", "--task", "mice-mni"], 1, "error: unknown task 'mice-mni': did you mean"),
        (["run", "--model", "no_such_module:Editor"], 1, "error: --model: cannot import 'no_such_module'"),
        (["run", "--model", "oracle", "--data", "x"], 1, "error: task 'mice-mini' makes its own sessions"),
        (["run"], 2, "Missing option"),
        (["run", "--model", "oracle", "--limit", "0"], 2, "greater than or equal to 1"),
        (["plan", "--model", "orcale"], 1, "error: unknown model 'orcale'"),
        (["judge", "nowhere"], 1, "error: nowhere is not a run"),
        (["judge"], 2, "Missing argument"),
    ],
)
def test_bad_input_is_one_clear_line(micebench, words: list[str], code: int, said: str) -> None:
    ended, _, err = micebench(*words)
    assert ended == code
    assert said in " ".join(err.split())
    if code == 1:
        assert [line.startswith("error: ") for line in err.splitlines()].count(True) == 1
        assert err.splitlines()[-1].startswith("error: ")
    assert list(Path().iterdir()) == []


def test_an_editor_in_the_current_folder_can_be_named(micebench, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "my_toy_module.py").write_text(EDITOR)
    toy_cards(tmp_path / "cards")
    words = ("run", "-t", "toy", "-m", "my_toy_module:MyEditor", "--cards", "cards")
    code, _, _ = micebench(*words)
    monkeypatch.delitem(sys.modules, "my_toy_module")
    assert code == 0
    assert open_run("runs/toy--my_toy_module.MyEditor").manifest.context == "history"
    (tmp_path / "my_toy_module.py").write_text(EDITOR + "# changed\n")
    code, _, err = micebench(*words)
    monkeypatch.delitem(sys.modules, "my_toy_module")
    assert code == 1
    assert "the model card or code has changed since" in err


def test_plan_counts_and_writes_nothing(micebench, tmp_path: Path) -> None:
    toy_cards(tmp_path / "cards", editor={"fail": ["s001/2"]})
    words = ("-t", "toy", "-m", "painter", "--cards", "cards", "--repeats", "2")
    code, out, _ = micebench("plan", *words)
    assert code == 0
    assert "starts runs/toy--painter--repeats-2" in out
    assert [line.split() for line in out.splitlines()[2:5]] == [
        ["sessions", "12"],
        ["edits", "34", "0", "34"],
        ["verdicts", "102", "0", "102"],
    ]
    assert not (tmp_path / "runs").exists()
    assert micebench("run", *words, "--no-report")[0] == 3
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    code, out, _ = micebench("plan", *words)
    assert "resumes runs/toy--painter--repeats-2" in out
    assert ["edits", "34", "30", "4"] in [line.split() for line in out.splitlines()]
    assert ["verdicts", "102", "90", "12"] in [line.split() for line in out.splitlines()]
    assert "2 failed edits are tried again" in out
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files


def test_judge_adds_a_judge_to_finished_edits(micebench, tmp_path: Path) -> None:
    toy_cards(tmp_path / "cards")
    assert micebench("run", "-t", "toy", "-m", "painter", "--cards", "cards", "--out", "r", "-q")[0] == 0
    other = tmp_path / "cards/judges/strict/judge.yaml"
    other.parent.mkdir()
    other.write_text((tmp_path / "cards/judges/meter/judge.yaml").read_text().replace("id: meter", "id: strict"))
    code, out, err = micebench("judge", "r", "-j", "strict", "--cards", "cards")
    assert code == 0
    assert "judge strict" in out
    assert "edits:" not in err
    assert sorted(path.name.partition("-")[0] for path in (tmp_path / "r/verdicts").iterdir()) == ["meter", "strict"]
    assert open_run("r").manifest.judge == "strict"


@pytest.mark.parametrize("verb", ["run", "plan", "judge"])
def test_help_ends_with_two_examples(micebench, verb: str) -> None:
    code, out, _ = micebench(verb, "--help")
    assert code == 0
    assert out.count(f"micebench {verb} ") >= 2
