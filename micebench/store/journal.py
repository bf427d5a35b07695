"""Append-only JSONL. A batch is one write and one fsync; a line that was torn by a crash is cut off."""

import json
import os
from collections.abc import Iterable, Iterator
from io import FileIO
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from micebench.errors import RunError

_TAIL_BYTES = 1 << 16
_LINES = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def dump_line(record: dict[str, Any]) -> bytes:
    """One JSONL line. Key order is kept, so that equal records are equal bytes."""
    return _LINES.encode(record).encode("utf-8", "surrogatepass") + b"\n"


def write_error(path: Path, error: OSError) -> RunError:
    """The one line shown when the disk refuses."""
    return RunError(
        f"cannot write {path}: {error.strerror or error}; everything journaled so far is safe: "
        f"free some space, then run the same command again to resume"
    )


class Journal:
    """The writing end of one JSONL file. One process at a time (see `RunDir.lock`)."""

    def __init__(self, path: Path) -> None:
        """Open for appending; a torn last line (no newline at its end) is cut off first."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: FileIO = open(path, "a+b", buffering=0)  # noqa: SIM115 (closed by `close`)
            self._end = _complete_length(self._file)
            if self._end < self._file.seek(0, os.SEEK_END):
                self._file.truncate(self._end)
        except OSError as error:
            raise write_error(path, error) from error

    def append(self, records: Iterable[dict[str, Any]]) -> list[int]:
        """Append a batch and wait until the disk has it; returns the byte offset of each line.

        Raises:
            RunError: the disk is full or fails; complete lines already written stay valid.
        """
        lines = [dump_line(record) for record in records]
        offsets = list(accumulate(map(len, lines), initial=self._end))
        pending = memoryview(b"".join(lines))
        if not pending:
            return []
        try:
            while pending:
                pending = pending[self._file.write(pending) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise write_error(self.path, error) from error
        self._end = offsets.pop()
        return offsets

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _complete_length(file: FileIO) -> int:
    """Bytes up to and including the last newline."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - _TAIL_BYTES)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def read_journal(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(byte offset, record) of each complete line, streamed. A missing file has no lines.

    A torn last line is not a line yet and is left out; anything else that is no JSON object is an error.

    Raises:
        RunError: a damaged line, named by file and number.
    """
    if not path.exists():
        return
    offset = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            yield offset, parse_line(line, path, number)
            offset += len(line)


def parse_line(line: bytes, path: Path, number: int | None = None) -> dict[str, Any]:
    """One journal line as a dict. Raises RunError naming file and line."""
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        where = f"{path}:{number}" if number is not None else str(path)
        raise RunError(f"{where}: damaged journal line; restore the file from a copy, or delete that line to redo it")
    return record  # pyright: ignore[reportUnknownVariableType]
