"""`watch` ends with the codes it promises, and shows the curve; `golden` writes what `run` then uses."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from micebench.cli import main
from tests.monitor.watched_training import bench, checkpoint

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def micebench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The command: (exit code, stdout, stderr)."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["micebench", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "120")
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return (0 if end.value.code is None else int(end.value.code or 0)), said.out, said.err

    return call


def test_exit_codes_and_what_is_written(micebench, tmp_path: Path) -> None:
    cards, base, training = bench(tmp_path)
    checkpoint(training, "step-1", 0.75)
    words = ("watch", training, "--base", base, "--cards", cards, "--once", "--settle", "0")
    code, out, err = micebench(*words)
    assert code == 0
    assert "step-1: passed: overall@3 did not get worse" in err
    assert "step-1" in out
    assert "passed" in out
    assert str(training / "watch/index.html") in out
    for file in ("watch.json", "curve.png", "index.html", "step-1/report/index.html", "step-1/manifest.json"):
        assert (training / "watch" / file).is_file(), file
    checkpoint(training, "step-2", 0.1)
    checkpoint(training, "step-3", 0.1)
    told = tmp_path / "told"
    code, out, err = micebench(*words, "--stop-file", told, "--on-fail", f"{sys.executable} -c 'print(1/0)'")
    assert code == 1
    assert "the gate failed 2 times in a row: stopping" in err
    assert json.loads(told.read_text())["checkpoint"] == "step-3"
    assert "ended with code 1" in err
    assert micebench(*words, "-q")[:2] == (1, ""), "nothing new, and it still stands"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--metric", "overal"), "gate: metric: Value error, no metric 'overal'; did you mean 'overall'?"),
        (("--metric", "overall@9"), "overall@9 is not measured"),
        (("--on-fail", "say 'no"), '--on-fail "say \'no": No closing quotation'),
    ],
)
def test_wrong_options_are_one_line(micebench, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    cards, base, training = bench(tmp_path)
    code, _, err = micebench("watch", training, "--base", base, "--cards", cards, "--once", *words)
    assert code == 1
    assert said in err
    assert err.count("\n") == 1


def test_interrupted_and_run_again(tmp_path: Path) -> None:
    cards, base, training = bench(tmp_path)
    checkpoint(training, "step-1", 0.75)
    line = [sys.executable, "-m", "micebench", "watch", str(training), "--base", str(base), "--cards", str(cards)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(
        [*line, "--every", "0.1"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # where tests run in the background
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (training / "watch/index.html").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert said.rstrip().endswith("interrupted; run the same command again to resume")
    again = subprocess.run([*line, "--once"], capture_output=True, text=True, env=environment, timeout=120)
    assert again.returncode == 0
    assert "1 checkpoint evaluated before" in again.stderr


def test_golden_items_are_made_of_a_run(micebench, tmp_path: Path) -> None:
    cards, base, _ = bench(tmp_path)
    place = cards / "judges/meter/golden.jsonl"
    code, out, _ = micebench("golden", base, "--sessions", 2, "--out", place)
    assert code == 0
    assert out.startswith("18 items of judge meter")
    words = ("--task", "toy", "--model", "painter", "--cards", cards, "--out", tmp_path / "run")
    assert "36 golden items are scored besides" in micebench("plan", *words)[1]
    assert "Judge drift on 18 golden items" in micebench("run", *words, "--no-report")[1]
    assert "golden items" not in micebench("plan", *words)[1]
    other = ("--task", "toy", "--model", "painter", "--cards", cards, "--out", tmp_path / "without")
    assert "golden items" not in micebench("plan", *other, "--no-golden")[1]
    assert "Judge drift" not in micebench("run", *other, "--no-report", "--no-golden")[1]
