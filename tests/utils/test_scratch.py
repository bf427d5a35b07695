"""Temporary folders go with their process, however it ends; nobody touches those of a living one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from micebench.utils import scratch

OWNER = (
    "import sys, time\n"
    "from micebench.utils.scratch import scratch_folder\n"
    "folder = scratch_folder()\n"
    "(folder / 'data').write_text('x')\n"
    "print(folder, flush=True)\n"
    "time.sleep(60) if len(sys.argv) > 1 else None\n"
)


def owner(tmp: Path, *words: str) -> "subprocess.Popen[str]":
    environment = os.environ | {"TMPDIR": str(tmp)}
    return subprocess.Popen([sys.executable, "-c", OWNER, *words], stdout=subprocess.PIPE, text=True, env=environment)


def folder_of(process: "subprocess.Popen[str]") -> Path:
    assert process.stdout is not None
    return Path(process.stdout.readline().strip())


def test_a_process_that_ends_leaves_nothing(tmp_path: Path) -> None:
    with owner(tmp_path) as process:
        folder = folder_of(process)
    assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_the_next_start_removes_what_a_killed_process_left_and_nothing_of_a_living_one(tmp_path: Path) -> None:
    with owner(tmp_path, "stay") as killed, owner(tmp_path, "stay") as living:
        left, held = folder_of(killed), folder_of(living)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert left.is_dir()
        with owner(tmp_path) as next_one:
            folder_of(next_one)
        assert not left.exists()
        assert (held / "data").read_text() == "x"
        living.kill()


def test_what_is_not_ours_or_not_yet_locked_is_left_alone(tmp_path: Path) -> None:
    prefix = f"micebench-{os.getuid()}-"
    for name in (f"{prefix}new", f"{prefix}bare", f"micebench-{os.getuid() + 1}-x", "micebench-abc", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / f"{prefix}new" / ".owner").touch()  # between its making and its locking
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".owner").write_text("1")
    (tmp_path / f"{prefix}link").symlink_to(elsewhere)
    (tmp_path / f"{prefix}file").touch()
    before = sorted(tmp_path.iterdir())
    scratch.remove_abandoned(tmp_path)
    assert sorted(tmp_path.iterdir()) == before
    assert (elsewhere / ".owner").exists()
    old = time.time() - 7200
    os.utime(tmp_path / f"{prefix}new", (old, old))
    scratch.remove_abandoned(tmp_path)
    assert not (tmp_path / f"{prefix}new").exists()


def test_a_temporary_folder_is_inside_and_goes_with_its_block() -> None:
    with scratch.temporary_folder() as folder:
        assert folder.parent == scratch.scratch_folder()
    assert not folder.exists()
