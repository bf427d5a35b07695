"""A disk that refuses is one line; what was journaled is safe, and the run goes on when there is room."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from micebench.engine.evaluate import evaluate
from micebench.errors import RunError
from micebench.store.journal import Journal, read_journal
from tests.toy import toy_cards

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("survives", [0, 3, 7, 12, 20, 24, 25])
def test_whatever_write_fails_the_run_can_be_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survives: int
) -> None:
    cards = [toy_cards(tmp_path / "cards")]
    straight = evaluate("toy", "painter", out=tmp_path / "straight", cards=cards)
    writes = 0
    real = os.replace

    def full(source: str, target: str) -> None:
        nonlocal writes
        writes += 1
        if writes > survives:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(RunError, match=r"cannot write .*No space left on device; everything .* safe") as error:
            evaluate("toy", "painter", out=tmp_path / "run", cards=cards)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "run").rglob("*.tmp"))
    finished = evaluate("toy", "painter", out=tmp_path / "run", cards=cards)
    for name in ("summary.json", "verdicts.parquet", "sessions.jsonl"):
        assert (finished.path / name).read_bytes() == (straight.path / name).read_bytes()


def test_a_line_that_only_half_fits_is_cut_off_later(tmp_path: Path) -> None:
    """A limit on the file size makes the kernel itself write half a batch and then refuse."""
    path = tmp_path / "j.jsonl"
    code = (
        "import sys, resource\n"
        "from pathlib import Path\n"
        "from micebench.errors import RunError\n"
        "from micebench.store.journal import Journal\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "journal.append([{'n': number, 'text': 'x' * 20} for number in range(2)])\n"
        "try:\n"
        "    journal.append([{'n': number, 'text': 'x' * 20} for number in range(2, 9)])\n"
        "except RunError as error:\n"
        "    print(error)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, cwd=REPOSITORY, check=True
    )
    assert "File too large; everything journaled so far is safe" in told.stdout
    assert path.stat().st_size == 100
    assert [record["n"] for _, record in read_journal(path)] == [0, 1]
    with Journal(path) as journal:
        journal.append([{"n": 2}])
    assert [record["n"] for _, record in read_journal(path)] == [0, 1, 2]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"--out .*file is not a folder; give another"):
        evaluate("toy", "painter", out=tmp_path / "file" / "run", cards=[toy_cards(tmp_path / "cards")])
