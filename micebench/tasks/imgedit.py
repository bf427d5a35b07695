"""ImgEdit's multi-turn suite: one annotation file per category, two or three turns, judged by people only.

    DIR/content_memory/annotation.json  DIR/content_understanding/...  DIR/version_backtrace/...
    images beside the file, in its images/ folder, or in DIR

The released files are JSON lines although they are called .json; the form its README shows, one object keyed
"1", "2", ..., is read too.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from micebench.cards import TaskCard
from micebench.errors import DataError
from micebench.sessions import Session, Turn
from micebench.tasks import rows
from micebench.tasks.images import find_image

MOST_TURNS = 3


def sessions(card: TaskCard, folder: Path | None, *, on_bad_row: rows.OnBadRow = rows.refuse) -> Iterator[Session]:
    """One session per row; the category is the folder. A content_memory rule stays free text in turn 1."""
    for file in rows.annotation_files(card, folder):
        category = file.path.parent.name
        folders = [
            file.path.parent,
            file.path.parent / "images",
            *([folder, folder / "images"] if folder else []),
        ]
        for where, row in _rows(file, on_bad_row):
            try:
                path = rows.text(row, "id", where)
                yield Session(
                    id=f"{category}/{Path(path).stem}",
                    task=card.id,
                    track="plain",
                    image=find_image(path, folders, folder or file.path.parent),
                    turns=_turns(row, where),
                    category=category,
                    provenance=where,
                )
            except rows.BadRow as error:
                on_bad_row(error)


def _rows(file: rows.AnnotationFile, on_bad_row: rows.OnBadRow) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        whole = rows.json_document(file)
    except DataError:
        whole = None  # not one document: JSON lines, whose errors are named by line
    if isinstance(whole, dict) and "id" not in whole:
        for key, row in whole.items():
            where = f"{file.name}:{key}"
            if isinstance(row, dict):
                yield where, row
            else:
                on_bad_row(rows.BadRow(where, "", "expected an object"))
        return
    yield from rows.json_lines(file, on_bad_row)


def _turns(row: dict[str, Any], where: str) -> tuple[Turn, ...]:
    found = [key for key in (f"turn{number}" for number in range(1, MOST_TURNS + 1)) if row.get(key)]
    if not found or found != [f"turn{number}" for number in range(1, len(found) + 1)]:
        raise rows.BadRow(where, "turn1", f"expected turn1, turn2, ... without a gap, found {found or 'none'}")
    return tuple(Turn(number, rows.text(row, key, where)) for number, key in enumerate(found, 1))
