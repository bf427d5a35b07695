"""EdiVal-Bench: one CSV row per *prefix* of a session (turns 1, 1-2, 1-3), lists written as Python literals.

DIR/instructions.csv      images <index>_input_raw.jpg in DIR/input_images_resize_512, DIR/images or DIR
"""

import ast
import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from micebench.cards import TaskCard
from micebench.errors import DataError, one_line
from micebench.sessions import ImageFile, Session
from micebench.tasks import rows
from micebench.tasks.audit.checks import mark
from micebench.tasks.bracketed_rows import AnnotatedRow, build_turns
from micebench.tasks.images import find_image
from micebench.utils.json_lines import check_text
from micebench.utils.text_files import opened

FIELDS = {
    "instruction": "instructions",
    "edit_type": "task_type",
    "formatted": "format_instructions",
    "unchanged_objects": "unchanged_objects",
    "available_objects": "available_objects",
    "all_objects": "all_objects",
    "bg_consistency": "bg_consistency",
}
_CUMULATIVE = ("instructions", "task_type", "format_instructions")
_STATES = ("unchanged_objects", "available_objects", "all_objects")
_COLUMNS = ("image_index", "turns", *_CUMULATIVE, "bg_consistency", *_STATES)
_FLAGS = {"True": True, "False": False}  # bool("False") is True, so never bool()
_MOST_DIGITS = 18
_IMAGE_FOLDERS = ("input_images_resize_512", "images", "")


@dataclass(frozen=True, slots=True)
class _Prefix:
    where: str
    values: dict[str, Any]  # a literal that cannot be read is kept as its text, and refused where it is used


def sessions(card: TaskCard, folder: Path | None, *, on_bad_row: rows.OnBadRow = rows.refuse) -> Iterator[Session]:
    """One session per image, from its longest row; pools and flags come from the row of each turn.

    A row that contradicts the longer row of its image makes the session unusable: nobody can say which of the
    two is meant. Of two rows for the same turns the second is refused.
    """
    for file in rows.annotation_files(card, folder):
        folders, root = [file.path.parent / name for name in _IMAGE_FOLDERS], folder or file.path.parent
        for index, prefixes in _grouped(file, on_bad_row).items():
            try:
                yield _session(card, index, prefixes, folders, root)
            except rows.BadRow as error:
                on_bad_row(error)


def _grouped(file: rows.AnnotationFile, on_bad_row: rows.OnBadRow) -> dict[int, dict[int, _Prefix]]:
    """image_index -> number of turns -> row."""
    groups: dict[int, dict[int, _Prefix]] = {}
    for where, values in _rows(file, on_bad_row):
        try:
            index, turns = _whole(values, "image_index", where), _whole(values, "turns", where)
            known = groups.setdefault(index, {})
            if turns in known:
                raise rows.BadRow(where, "turns", f"image {index}, turns {turns} is already at {known[turns].where}")
            known[turns] = _Prefix(where, {key: _literal(values[key]) for key in _COLUMNS[2:]})
        except rows.BadRow as error:
            on_bad_row(error)
    return groups


def _rows(file: rows.AnnotationFile, on_bad_row: rows.OnBadRow) -> Iterator[tuple[str, dict[str, str]]]:
    try:
        with opened(file.path) as binary, TextIOWrapper(binary, "utf-8-sig", newline="") as lines:
            reader = csv.reader(lines)
            header = next(reader, [])
            missing = [name for name in _COLUMNS if name not in header]
            if missing:
                raise DataError(
                    f"{file.path}: no column {', '.join(missing)}; found {', '.join(header) or 'nothing'}"
                )
            first = reader.line_num + 1
            for values in reader:
                where, first = f"{file.name}:{first}", reader.line_num + 1
                if len(values) != len(header):
                    on_bad_row(rows.BadRow(where, "", f"{len(values)} cells, the header has {len(header)}"))
                elif values:
                    yield where, dict(zip(header, values, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file.path}: cannot be read as UTF-8 CSV ({error})") from error


def _whole(values: Mapping[str, str], key: str, where: str) -> int:
    found = values[key].strip()
    if not found.isdecimal() or len(found) > _MOST_DIGITS:
        raise rows.BadRow(where, key, f"expected a whole number, found {one_line(found, 40)!r}")
    return int(found)


def _literal(cell: str) -> Any:
    cell = cell.strip()
    if cell in _FLAGS:
        return _FLAGS[cell]
    try:
        value = ast.literal_eval(cell)
        check_text(value)
        return value
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return cell


def _session(card: TaskCard, index: int, prefixes: Mapping[int, _Prefix], folders: list[Path], root: Path) -> Session:
    longest = prefixes[max(prefixes)]
    texts = rows.instructions(longest.values, "instructions", longest.where)
    if len(texts) != max(prefixes):
        fault = f"{len(texts)} instructions in a row of {max(prefixes)} turns"
        raise rows.BadRow(longest.where, "instructions", fault)
    _refuse_conflicts(index, prefixes, longest)
    count = len(texts)
    merged: dict[str, Any] = {key: longest.values[key] for key in _CUMULATIVE}
    for key in (*_STATES, "bg_consistency"):
        merged[key] = [prefixes[turn].values[key] if turn in prefixes else None for turn in range(1, count + 1)]
    places = [prefixes[turn].where if turn in prefixes else longest.where for turn in range(1, count + 1)]
    session = Session(
        id=str(index),
        task=card.id,
        track="plain",
        image=_image(index, folders, root),
        turns=build_turns(AnnotatedRow(merged, FIELDS, places), texts, "plain"),
        provenance=prefixes[min(prefixes)].where,
    )
    return mark(session, where=places, fields=FIELDS, anchors_move=True)


def _refuse_conflicts(index: int, prefixes: Mapping[int, _Prefix], longest: _Prefix) -> None:
    for turns, prefix in prefixes.items():
        for key in _CUMULATIVE:
            part, whole = prefix.values[key], longest.values[key]
            if isinstance(part, list) and isinstance(whole, list) and part != whole[:turns]:
                fault = f"image {index}: turns 1-{turns} are not what {longest.where} says they are"
                raise rows.BadRow(prefix.where, key, fault)


def _image(index: int, folders: list[Path], root: Path) -> ImageFile:
    for suffix in ("jpg", "png", "jpeg"):
        image = find_image(f"{index}_input_raw.{suffix}", folders, root)
        if image.present:
            return image
    return find_image(f"{index}_input_raw.jpg", folders, root)
