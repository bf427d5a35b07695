"""``micebench run`` in a process of its own: run to the end, or killed at a moment of the run's life."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.end_to_end.stand_ins import JUDGE, MODEL

REPOSITORY = Path(__file__).resolve().parents[2]
ROOMS = ("edits", "verdicts")


def line(cards: Path, data: Path, run: Path, *more: str) -> list[str]:
    """The command; `more` is appended."""
    what = ["--model", MODEL, "--task", "mice", "--judge", JUDGE]
    where = ["--data", str(data), "--cards", str(cards), "--out", str(run)]
    return [sys.executable, "-m", "micebench", "run", *what, *where, *more]


def finish(command: list[str], timeout_s: float = 1800) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        command, cwd=REPOSITORY, env=_environment(), capture_output=True, text=True, timeout=timeout_s
    )


def kill(command: list[str], when: Callable[[], bool], timeout_s: float = 1800) -> bool:
    """Start it, and kill -9 it as soon as `when`, or when time is up; whether that came before its end."""
    with subprocess.Popen(command, cwd=REPOSITORY, env=_environment(), stdout=-3, stderr=-3) as process:
        deadline, looked = time.monotonic() + timeout_s, 0.0
        while process.poll() is None and time.monotonic() < deadline:
            start = time.monotonic()
            if when():
                break
            looked = time.monotonic() - start
            time.sleep(max(0.005, 20 * looked))  # the run needs the processor more than we do
        process.kill()
    return process.returncode == -signal.SIGKILL


def _environment() -> dict[str, str]:
    return os.environ | {"HF_HUB_OFFLINE": "1", "COLUMNS": "118"}


def journal(run: Path, room: str) -> Iterator[dict[str, Any]]:
    """The complete lines of ``edits`` or ``verdicts``."""
    for path in (run / room).glob("*.jsonl"):
        for text in path.read_bytes().splitlines(keepends=True):
            if text.endswith(b"\n"):
                yield json.loads(text)


def lines(run: Path, room: str) -> int:
    """How many complete lines are there."""
    return sum(path.read_bytes().count(b"\n") for path in (run / room).glob("*.jsonl"))
