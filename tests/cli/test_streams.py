"""A standard output that cannot be written is one line and a code, never a traceback; a read-only run is readable."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from micebench.cli import main
from tests.store.damage import finished

FULL = Path("/dev/full")
VERBS = [
    ["report", "RUN", "--json"],
    ["report", "RUN", "--csv"],
    ["report", "RUN", "--no-html"],
    ["list"],
    ["--help"],
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("streams"))


def command(run: Path, words: list[str]) -> list[str]:
    return [sys.executable, "-m", "micebench", *(str(run) if word == "RUN" else word for word in words)]


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_a_full_device_is_one_line(run: Path, words: list[str]) -> None:
    with FULL.open("wb") as full:
        ended = subprocess.run(command(run, words), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "error: standard output cannot be written: No space left on device; free some space\n"


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
def test_with_both_streams_full_only_the_code_is_left(run: Path) -> None:
    with FULL.open("wb") as full:
        ended = subprocess.run(command(run, ["report", "RUN", "--json"]), stdout=full, stderr=full, check=False)
    assert ended.returncode == 1


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_a_reader_that_has_gone_needs_no_words(run: Path, words: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(command(run, words), stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert ended.returncode == 1
    assert ended.stderr == ""


def test_a_run_that_cannot_be_written_is_printed(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file stands where the report's folder should be: no file can be written there, by root neither."""
    copy = shutil.copytree(run, tmp_path / "copy")
    shutil.rmtree(copy / "report", ignore_errors=True)
    (copy / "report").touch()

    def called(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["micebench", "report", str(copy), *words])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    code, out, err = called("--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["n_sessions"] == 6
    assert called("--csv")[0] == 0
    code, out, err = called()
    assert code == 1
    assert "toy" in out
    assert err.startswith(f"error: cannot write {copy / 'report'}")
    assert "a part of the path is a file" in err or "a file is in the way" in err
