"""Strict JSON from files of unknown origin: whatever is wrong is one line, and time and memory stay bounded."""

import codecs
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from micebench.errors import DataError, one_line
from micebench.utils.text_files import joined_surrogates, opened

MAX_DEPTH = 64
MAX_LINE_BYTES = 16 << 20
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_SHOWN = 60


class JsonFault(ValueError):
    """A text is not the JSON it should be; the message says why, in one line.

    Attributes:
        line, column: 1-based place in the text, 0 where it is not known.
    """

    def __init__(self, reason: str, line: int = 0, column: int = 0) -> None:
        super().__init__(reason)
        self.line, self.column = line, column


def parse_json(text: str, *, allow_nan: bool = False) -> Any:
    """One JSON value.

    Args:
        allow_nan: accept NaN and Infinity, which Python and pandas write, as floats.

    Raises:
        JsonFault: a syntax error, a key given twice in one object, nesting deeper than `MAX_DEPTH`, a number that is
            not finite or has thousands of digits, half a surrogate pair.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=float if allow_nan else _refused_constant,
            parse_float=float if allow_nan else _finite,
        )
    except JsonFault:
        raise
    except json.JSONDecodeError as error:
        raise JsonFault(error.msg, error.lineno, error.colno) from error
    except RecursionError as error:
        raise JsonFault(f"nested deeper than {MAX_DEPTH} levels") from error
    except ValueError as error:  # Python reads no integer of more than 4,300 digits
        raise JsonFault("a number with thousands of digits") from error
    if text.count("[") + text.count("{") > MAX_DEPTH and _deeper(value):
        raise JsonFault(f"nested deeper than {MAX_DEPTH} levels")
    if _ESCAPED_SURROGATE.search(text) or _SURROGATE.search(text):
        check_text(value)
    return value


def check_text(value: Any) -> None:
    """Raises JsonFault if a text in `value`, at any depth of lists, tuples, sets and dicts, holds half a pair."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            if _SURROGATE.search(item):
                try:
                    joined_surrogates(item)
                except UnicodeError as error:
                    raise JsonFault(str(error)) from error
        elif isinstance(item, dict):
            pending += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple | set):
            pending += item


def json_lines(path: Path, *, allow_nan: bool = False) -> Iterator[tuple[int, Any]]:
    """(line number from 1, value) of every line of a JSONL file that is not blank; a bad line has a `JsonFault`.

    A byte order mark and all three kinds of line end are accepted.

    Raises:
        DataError: the file cannot be read, or is UTF-16.
    """
    with opened(path) as file:
        number = 0
        while raw := file.readline(MAX_LINE_BYTES + 1):
            if number == 0 and raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise DataError(f"{path}: cannot be read: it is UTF-16 text; save it as UTF-8")
            if len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n"):
                number += 1
                yield number, JsonFault(f"a line of more than {MAX_LINE_BYTES >> 20} MiB")
                while raw and not raw.endswith(b"\n"):
                    raw = file.readline(MAX_LINE_BYTES)
                continue
            for line in raw.splitlines():
                number += 1
                value = _line(line, allow_nan=allow_nan)
                if value is not None:
                    yield number, value[0]


def _line(line: bytes, *, allow_nan: bool) -> tuple[Any] | None:
    try:
        text = line.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        return (JsonFault(f"cannot be read as UTF-8 text (byte 0x{line[error.start]:02x})", column=error.start + 1),)
    if not text.strip():
        return None
    try:
        return (parse_json(text, allow_nan=allow_nan),)
    except JsonFault as error:
        return (error,)


def _deeper(value: Any) -> bool:
    pending = [(value, 1)]
    while pending:
        item, depth = pending.pop()
        if isinstance(item, dict | list):
            if depth > MAX_DEPTH:
                return True
            pending += [(inner, depth + 1) for inner in (item.values() if isinstance(item, dict) else item)]
    return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise JsonFault(f"the key {one_line(name, _SHOWN)!r} is given twice")
            seen.add(name)
    return found


def _refused_constant(name: str) -> Any:
    raise JsonFault(f"{name} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise JsonFault(f"{digits[:_SHOWN]} is not a finite number")
    return value
