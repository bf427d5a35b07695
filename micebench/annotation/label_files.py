"""Labels that people (or another program) gave to edits: a CSV or JSONL file."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from micebench.errors import DataError, one_line
from micebench.utils.csv_cells import plain
from micebench.utils.json_lines import JsonFault, json_lines
from micebench.utils.text_files import read_text

_MOST_BYTES = 256 << 20

_YES = {"pass": 1.0, "yes": 1.0, "true": 1.0, "fail": 0.0, "no": 0.0, "false": 0.0}
_COLUMNS = {"session", "turn", "label", "repeat", "metric"}


class Edit(NamedTuple):
    """One edit of a run: session id, repeat (from 0), turn (from 1)."""

    session: str
    repeat: int
    turn: int


def read_labels(path: Path, metric: str) -> dict[Edit, float]:
    """Edit -> label in [0, 1].

    Columns: session, turn, label; repeat (default 0) and metric (default: any) if wanted, others are left alone.
    A label is a number in [0, 1], or pass/fail, yes/no, true/false; an empty one is undecided and left out.

    Raises:
        DataError: file, line and field that cannot be used, or an edit labelled twice.
    """
    found: dict[Edit, float] = {}
    for line, row in _rows(path):
        where = f"{path}:{line}"
        lacking = [name for name in ("session", "turn", "label") if name not in row]
        if lacking:
            raise DataError(f"{where}: no {lacking[0]!r}; give {', '.join(sorted(_COLUMNS))}")
        if str(row.get("metric") or metric) != metric:
            continue
        edit = Edit(
            str(row["session"]),
            _whole(row.get("repeat") or 0, f"{where} repeat"),
            _whole(row["turn"], f"{where} turn"),
        )
        label = _label(row["label"], f"{where} label")
        if label is None:
            continue
        if edit in found:
            raise DataError(f"{where}: turn {edit.turn} of session {edit.session!r} is labelled twice; keep one")
        found[edit] = label
    return found


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, fields) of each row."""
    if path.suffix == ".csv":
        reader = csv.DictReader(read_text(path, _MOST_BYTES).splitlines())
        try:
            for row in reader:
                cells = {name: plain(cell) if isinstance(cell, str) else cell for name, cell in row.items()}
                yield reader.line_num, cells
        except csv.Error as error:
            raise DataError(f"{path}:{reader.line_num}: not CSV ({error})") from error
        return
    for number, row in json_lines(path, allow_nan=True):
        if isinstance(row, JsonFault):
            raise DataError(f"{path}:{number}: not JSON ({row})")
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: expected an object with session, turn and label")
        yield number, row


def _whole(value: Any, where: str) -> int:
    broken = isinstance(value, bool) or (isinstance(value, float) and not value.is_integer())
    try:
        if not broken:
            return int(value)
    except (TypeError, ValueError):
        pass
    raise DataError(f"{where}: expected a whole number, found {_shown(value)}")


def _shown(value: Any) -> str:
    return one_line(repr(value), 60)


def _label(value: Any, where: str) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    word = str(value).strip().lower()
    try:
        number = _YES[word] if word in _YES else float(word)
    except ValueError as error:
        raise DataError(f"{where}: expected a number in [0, 1], pass or fail, found {_shown(value)}") from error
    if not 0.0 <= number <= 1.0:
        raise DataError(f"{where}: expected a number in [0, 1], pass or fail, found {_shown(value)}")
    return number
