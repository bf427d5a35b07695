"""Append-only JSONL. A batch is one write and one fsync; a line that was torn by a crash is cut off."""

import codecs
import json
import os
from collections.abc import Callable, Iterable, Iterator
from io import FileIO
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from micebench.errors import RunError, one_line, remedy

_TAIL_BYTES = 1 << 16
_SHOWN = 200  # characters of a fault in a message
REDO = "restore the file from a copy, or delete that line and run the same command again to redo it"
_LINES = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def dump_line(record: dict[str, Any]) -> bytes:
    """One JSONL line. Key order is kept, so that equal records are equal bytes."""
    return _LINES.encode(record).encode("utf-8", "surrogatepass") + b"\n"


def write_error(path: Path, error: OSError) -> RunError:
    """The one line shown when the disk refuses, with the remedy for this refusal."""
    return RunError(
        f"cannot write {path}: {error.strerror or error}; everything journaled so far is safe: "
        f"{remedy(error)}, then run the same command again to resume"
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


def read_journal(path: Path, if_damaged: str = REDO) -> Iterator[tuple[int, dict[str, Any]]]:
    """(byte offset, record) of each complete line, streamed. A missing file has no lines.

    A torn last line is not a line yet and is left out; anything else that is no JSON object is an error.

    Raises:
        RunError: a damaged line, named by file and number.
    """
    offset = 0
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                yield offset, parse_line(line, path, number, if_damaged)
                offset += len(line)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror or error}); {remedy(error)}") from error


def parse_line(line: bytes, path: Path, number: int | None = None, if_damaged: str = REDO) -> dict[str, Any]:
    """One journal line as a dict. Raises RunError naming file and line (`number`; None: unknown).

    A name that comes twice, or NaN and Infinity, are damage too: JSON has no such thing.
    """
    try:
        record = parse_json(line)
    except ValueError as error:
        fault = str(error)
    else:
        if isinstance(record, dict):
            return record  # pyright: ignore[reportUnknownVariableType]
        fault = "no JSON object"
    raise damaged(path, number, "journal line", fault, if_damaged)


def parse_json(data: bytes) -> Any:
    """JSON as its definition says: a name that comes twice, NaN and Infinity are errors. Raises ValueError."""
    text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogatepass")
    try:
        return _object(text) if text[:1] == "{" else _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def damaged(path: Path, number: int | None, what: str, fault: object, if_damaged: str = REDO) -> RunError:
    """The one line about damage: where it is, what is wrong there, and what to do."""
    where = f"{path}:{number}" if number is not None else str(path)
    return RunError(f"{where}: damaged {what} ({one_line(fault, _SHOWN)}); {if_damaged}")


def line_number(path: Path, offset: int) -> int:
    """The number of the line at a byte offset, for messages."""
    with open(path, "rb") as file:
        return file.read(offset).count(b"\n") + 1


def _object(text: str) -> Any:
    """What `JSONDecoder.decode` gives, in two thirds of its time."""
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        return _DECODER.decode(text)  # says what is wrong
    return value if text[end:] == "\n" else _DECODER.decode(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)[:40]!r} is there twice")
    return record


def _no_number(literal: str) -> float:
    raise ValueError(f"{literal} is no number")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_number)
_scan: Callable[[str, int], tuple[Any, int]] = cast(Any, _DECODER).scan_once
