"""Two processes never write into one run; a dead process holds nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from micebench.errors import RunError
from micebench.store.run_dir import RunDir

HOLD = """
import sys, time
from pathlib import Path
from micebench.store.run_dir import RunDir
with RunDir(Path(sys.argv[1])).lock():
    print("locked", flush=True)
    time.sleep(60)
"""


def test_the_second_writer_is_refused_and_the_first_is_named(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with (
            pytest.raises(RunError, match=rf"is being written by process {holder.pid} on .*--out"),
            RunDir(tmp_path / "run").lock(),
        ):
            pass
        holder.kill()
        holder.wait()
        with RunDir(tmp_path / "run").lock():
            pass
    finally:
        holder.kill()
        holder.wait()


@pytest.mark.parametrize("name", ["blobs/abc.tmp", ".manifest.json.77.tmp", ".verdicts.parquet.77.tmp"])
def test_what_a_crash_left_half_written_is_swept_away(tmp_path: Path, name: str) -> None:
    torn = tmp_path / name
    torn.parent.mkdir(exist_ok=True)
    torn.write_bytes(b"half")
    with RunDir(tmp_path).lock():
        assert not torn.exists()
