"""Whatever is typed, an error is one line on stderr that can be shown anywhere, and never a traceback."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from micebench.cli import main
from tests.toy import toy_cards


@pytest.fixture
def micebench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The command in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["micebench", *words])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return call


LONG = "x" * 300


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--model", LONG],
        ["run", "--model", "\udcff\udcfe"],
        ["run", "--model", f"replay:{LONG}"],
        ["run", "--model", "oracle", "--weights", LONG],
        ["run", "--model", "kontext", "--adapter", LONG],
        ["run", "--model", "oracle", "--task", LONG],
        ["run", "--model", "oracle", "--task", f"{LONG}.yaml"],
        ["run", "--model", "oracle", "--judge", f"./{LONG}/x"],
        ["run", "--model", "oracle", "--out", LONG],
        ["run", "--model", "oracle", "--out", "a\udcff"],
        ["run", "--model", "oracle", "--task", "mice", "--data", LONG],
        ["plan", "--model", "oracle", "--out", LONG],
        ["check", "--task", "mice", "--data", "d\udcff"],
        ["train", LONG],
        ["train", f"{LONG}.yaml"],
        ["train", "\udcff"],
        ["report", LONG],
        ["report", "no\n\x1b[31mpe\udcff"],
        ["judge", "nowhere"],
        ["compare", LONG, LONG],
    ],
)
def test_a_name_that_cannot_be_is_one_line(micebench, words: list[str]) -> None:
    code, out, err = micebench(*words)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert err.rstrip("\n").isprintable()


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["run", "--model", "oracle", "--limit", "-1"], "--limit"),
        (["run", "--model", "oracle", "--limit", "1" * 5000], "--limit"),
        (["run", "--model", "oracle", "--seed", "1e3"], "--seed"),
        (["run", "--model", "oracle", "--workers", "0"], "--workers"),
        (["compare", "a", "b", "--seed", "-1"], "--seed"),
        (["compare", "a", "b", "--gate", "--tolerance", "nan"], "--tolerance"),
        (["compare", "a", "b", "--gate", "--coverage", "inf"], "--coverage"),
        (["calibrate", "a", "--judge", "x", "--against", "y", "--seed", "-1"], "--seed"),
        (["golden", "a", "--limit", "nan"], "--limit"),
        (["watch", ".", "--base", "a", "--every", "nan"], "--every"),
        (["watch", ".", "--base", "a", "--every", "inf"], "--every"),
        (["watch", ".", "--base", "a", "--settle", "inf"], "--settle"),
        (["watch", ".", "--base", "a", "--tolerance", "inf"], "--tolerance"),
    ],
)
def test_a_number_that_makes_no_sense_names_its_option(micebench, words: list[str], option: str) -> None:
    code, _, err = micebench(*words)
    assert code == 2
    assert option in err.splitlines()[-1]


def test_an_output_of_odd_characters_is_escaped(tmp_path: Path) -> None:
    folder = toy_cards(tmp_path / "cards")
    card = folder / "baselines/painter/editor.yaml"
    card.write_text(card.read_text().replace("paints by seed", "paints \u00e9 \u2013 \U0001f600"), encoding="utf-8")
    words = [sys.executable, "-m", "micebench", "list", "models", "--cards", str(folder)]
    found = subprocess.run(words, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=False)
    assert found.returncode == 0, found.stderr
    assert b"paints \\xe9" in found.stdout


def test_ctrl_c_while_something_is_loaded_says_how_to_go_on(micebench, tmp_path: Path) -> None:
    (tmp_path / "interrupted.py").write_text("raise KeyboardInterrupt\n")
    code, _, err = micebench("run", "--model", "interrupted:Editor", "--limit", "1")
    assert (code, err) == (130, "interrupted; run the same command again to resume\n")


def test_a_real_ctrl_c_during_an_import_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import pathlib, time\npathlib.Path('here').touch()\ntime.sleep(60)\n")
    words = [sys.executable, "-m", "micebench", "run", "--model", "slow:Editor", "--limit", "1"]
    place = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        words, cwd=tmp_path, env={**os.environ, "PYTHONPATH": place}, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 120
    while not (tmp_path / "here").exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "interrupted; run the same command again to resume"
    assert "Traceback" not in err


def test_a_module_beside_the_user_is_found_by_every_verb_that_needs_it(micebench, tmp_path: Path) -> None:
    (tmp_path / "beside_the_user.py").write_text("def sessions(card, folder):\n    raise ValueError('found')\n")
    card = {
        "id": "t",
        "description": "",
        "domain": "mini",
        "loader": "beside_the_user:sessions",
        "judge": None,
        "turns": 1,
    }
    (tmp_path / "t.yaml").write_text(json.dumps(card))
    for words in (["check", "--task", "t.yaml", "--json"], ["plan", "--model", "oracle", "--task", "t.yaml"]):
        sys.modules.pop("beside_the_user", None)
        sys.path[:] = [entry for entry in sys.path if entry not in ("", str(tmp_path))]
        code, _, err = micebench(*words)
        assert code == 1
        assert "ValueError: found" in err
    sys.modules.pop("beside_the_user", None)


def test_suggested_commands_work_where_paths_have_blanks_and_cards_do_not_ship(micebench, tmp_path: Path) -> None:
    cards, out = toy_cards(tmp_path / "my cards"), "my runs/a b"
    run = ["run", "--model", "painter", "--task", "toy", "--cards", str(cards), "--out", out, "-q", "--limit", "1"]
    code, said, _ = micebench(*run, "--judge", "none")
    assert code == 0
    suggested = shlex.split(said.rpartition("run: ")[2])
    assert suggested == ["micebench", "judge", out, "--judge", "meter", "--cards", str(cards)]
    _, _, err = micebench("report", out)
    assert "`micebench judge 'my runs/a b' --judge NAME`" in err
    code, _, err = micebench(*suggested[1:], "--quiet")
    assert (code, err) == (0, "")
    page = (tmp_path / out / "report/index.html").read_text()
    assert "--cards DIR" in page
