"""The layout of a run directory, and the only way to write into one."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from micebench.errors import RunError
from micebench.store.blobs import Blobs
from micebench.store.journal import Journal, write_error
from micebench.store.manifest import Manifest, write_atomically


class RunDir:
    """Paths of a run.

    ``manifest.json``, ``sessions.jsonl``, ``edits/``, ``verdicts/`` and ``blobs/`` are the run;
    ``verdicts.parquet``, ``summary.json`` and ``report/`` are derived from them and can be deleted;
    ``drift.json`` says whether the judges still answered as they did;
    ``log.jsonl`` holds events and timings.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = path / "manifest.json"
        self.sessions = path / "sessions.jsonl"
        self.edits = path / "edits" / "main.jsonl"
        self.parquet = path / "verdicts.parquet"
        self.summary = path / "summary.json"
        self.drift = path / "drift.json"
        self.report = path / "report"
        self.blobs = Blobs(path / "blobs")

    def edit_journals(self) -> list[Path]:
        """All edit journals, in reading order (later lines win)."""
        return sorted((self.path / "edits").glob("*.jsonl"))

    def verdicts(self, judge: str, judge_hash: str) -> Path:
        """The verdict journal of one judge."""
        return self.path / "verdicts" / f"{judge}-{judge_hash[:8]}.jsonl"

    @contextmanager
    def lock(self) -> Generator[None]:
        """Hold the run for writing. The system lets go of the lock when the process dies, however it dies.

        Raises:
            RunError: another process writes into the run (named), or the folder cannot be written.
        """
        path = self.path / ".lock"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise write_error(path, error) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                owner = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
                raise RunError(
                    f"{self.path} is being written by {owner}; wait for it, stop it, or give another --out"
                ) from error
            except OSError as error:
                raise RunError(
                    f"{path}: the file system cannot lock files ({error.strerror}); give --out on another one"
                ) from error
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
            for pattern in ("*.tmp", "blobs/*.tmp"):  # a crash may leave one
                for torn in self.path.glob(pattern):
                    torn.unlink(missing_ok=True)
            yield
        finally:
            os.close(descriptor)


def replace(new: Path, old: Path) -> None:
    """Put a finished file in the place of another. Raises RunError if the disk refuses."""
    try:
        os.replace(new, old)
    except OSError as error:
        raise write_error(old, error) from error


def write_manifest(run: RunDir, manifest: Manifest) -> None:
    """Write the manifest, atomically and durably."""
    manifest.save(run.manifest)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a derived JSON file, atomically; key order is kept."""
    write_atomically(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def write_report(run: Path, name: str, data: bytes) -> Path:
    """Write one file of the report (``report/<name>``), atomically; returns its path."""
    path = RunDir(run).report / name
    write_atomically(path, data)
    return path


class Log:
    """``log.jsonl``: events and timings, for people; nothing is ever computed from it."""

    def __init__(self, run: RunDir) -> None:
        self._journal = Journal(run.path / "log.jsonl")

    def event(self, name: str, **fields: Any) -> None:
        """One line, with the time."""
        self._journal.append([{"time": round(time.time(), 3), "event": name, **fields}])

    @contextmanager
    def timed(self, stage: str) -> Generator[None]:
        """Log the seconds a stage took, if it came to its end."""
        start = time.monotonic()
        yield
        self.event(stage, seconds=round(time.monotonic() - start, 3))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._journal.close()
