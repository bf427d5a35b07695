"""Reading other people's rows: which file, which line, which field, and what to do with a bad one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from micebench.cards import TaskCard
from micebench.errors import CardError, DataError
from micebench.utils.json_lines import JsonFault, parse_json
from micebench.utils.json_lines import json_lines as parsed_lines
from micebench.utils.text_files import read_text

_MOST_BYTES = 512 << 20  # of a whole JSON document


class BadRow(DataError):
    """A row from which no session can be made.

    Attributes:
        where: "file:line", the file relative to the data folder.
        field: name of the field, "" for the row as a whole.
        fault: what is wrong with it.
    """

    def __init__(self, where: str, field: str, fault: str) -> None:
        self.where, self.field, self.fault = where, field, fault
        place = f"{where} {field}" if field else where
        super().__init__(f"{place}: {fault}; mend or remove it (`micebench check` lists every such row)")


OnBadRow = Callable[[BadRow], None]
"""What an adapter does with a bad row; `refuse` in loading, collecting it in `micebench check`."""


def refuse(error: BadRow) -> None:
    """Strict reading: the first bad row stops it."""
    raise error


@dataclass(frozen=True, slots=True)
class AnnotationFile:
    """An annotation file: `path` on disk, `name` relative to the data folder (for messages and ids)."""

    path: Path
    name: str


def annotation_files(card: TaskCard, folder: Path | None) -> list[AnnotationFile]:
    """The card's ``data.files`` (glob patterns allowed) under `folder`, in the card's order.

    A card with a single pattern also accepts the bare file directly in the folder.

    Raises:
        CardError: a pattern that leads out of the folder.
        DataError: no folder, or a pattern that matches nothing.
    """
    patterns = card.data.files if card.data else []
    if folder is None or not patterns:
        raise DataError(f"task {card.id!r}: its card names no annotation files (data.files)")
    found: list[AnnotationFile] = []
    for pattern in patterns:
        parts = Path(pattern).parts
        if not parts or Path(pattern).is_absolute() or ".." in parts or "\0" in pattern:
            raise CardError(f"task {card.id!r}, data.files: {pattern!r} is not a path inside the data folder")
        matches = sorted(path for path in folder.glob(pattern) if path.is_file())
        if not matches and len(patterns) == 1:
            matches = sorted(path for path in folder.glob(Path(pattern).name) if path.is_file())
        if not matches:
            raise DataError(
                f"{folder} holds no {pattern}; task {card.id!r} expects {', '.join(patterns)} "
                f"(layout: tasks/{card.id}/README.md)"
            )
        found += [AnnotationFile(path, path.relative_to(folder).as_posix()) for path in matches]
    return found


def json_lines(file: AnnotationFile, on_bad_row: OnBadRow) -> Iterator[tuple[str, dict[str, Any]]]:
    """("file:line", object) for every line that is not blank. A line that is no JSON object is a bad row."""
    for number, row in parsed_lines(file.path, allow_nan=True):
        where = f"{file.name}:{number}"
        if isinstance(row, dict):
            yield where, row
        elif isinstance(row, JsonFault):
            at = f" at character {row.column}" if row.column else ""
            on_bad_row(BadRow(where, "", f"not valid JSON ({row}{at})"))
        else:
            on_bad_row(BadRow(where, "", f"a {type(row).__name__} where an object was expected"))


def json_document(file: AnnotationFile) -> Any:
    """A whole JSON file. Raises DataError naming file, line and column."""
    try:
        return parse_json(read_text(file.path, _MOST_BYTES), allow_nan=True)
    except JsonFault as error:
        place = (f":{error.line}", f", column {error.column}") if error.line else ("", "")
        raise DataError(f"{file.path}{place[0]}: not valid JSON ({error}{place[1]})") from error


def text(row: Mapping[str, Any], key: str, where: str) -> str:
    """A text that must be there and not empty; otherwise BadRow."""
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise BadRow(where, key, f"expected text, found {_shown(value)}")
    return value


def instructions(row: Mapping[str, Any], key: str, where: str) -> list[str]:
    """The instructions of a session: at least one, none of them empty; otherwise BadRow."""
    values = row.get(key)
    if not isinstance(values, list) or not values:
        raise BadRow(where, key, f"expected a list of instructions, found {_shown(values)}")
    for turn, value in enumerate(values, 1):
        if not isinstance(value, str) or not value.strip():
            raise BadRow(where, f"{key}[{turn}]", f"expected an instruction, found {_shown(value)}")
    return values


@dataclass(frozen=True, slots=True)
class Column:
    """One annotation field of a session, a value per turn.

    Attributes:
        values: one per turn; None where it is absent or wrong.
        faults: turn (1-based) -> "file:line field[turn]: bad field: ..." where it is wrong.
    """

    values: list[Any]
    faults: dict[int, str]


def is_text(value: object) -> bool:
    return isinstance(value, str)


def is_flag(value: object) -> bool:
    return isinstance(value, bool)


def is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def column(
    row: Mapping[str, Any],
    key: str,
    where: str | Sequence[str],
    turns: int,
    accept: Callable[[object], bool],
    *,
    required: bool = True,
) -> Column:
    """The per-turn list `key` of a row; of another length than `turns` it cannot be matched and is unusable.

    `where` is the row's place, or one place per turn where each turn has a row of its own.
    """
    places = [where] * turns if isinstance(where, str) else where
    values = row.get(key)
    if values is None and not required:
        return Column([None] * turns, {})
    if not isinstance(values, list) or len(values) != turns:
        found = f"{len(values)} entries" if isinstance(values, list) else _shown(values)
        fault = f"bad field: expected {turns} entries, one per turn, found {found}"
        return Column(
            [None] * turns, {turn: f"{place} {key}[{turn}]: {fault}" for turn, place in enumerate(places, 1)}
        )
    faults = {
        turn: f"{places[turn - 1]} {key}[{turn}]: bad field: unexpected value {_shown(value)}"
        for turn, value in enumerate(values, 1)
        if not accept(value) and (required or value is not None)
    }
    return Column([None if turn in faults else value for turn, value in enumerate(values, 1)], faults)


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    found = repr(value)
    return found if len(found) <= 60 else f"{found[:57]}..."
