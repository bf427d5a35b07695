"""MagicBrush: a row per turn, with the real image after the turn (target) and the edited region (mask).

HF form     DIR/data/dev-*.parquet
                img_id, turn_index, source_img, mask_img, target_img, instruction
    local form  DIR/edit_sessions.json or DIR/dev/edit_sessions.json, with images/<img_id>/ beside it
                img_id -> [{input, mask, output, instruction}, ...]
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from micebench.cards import TaskCard
from micebench.errors import CardError, DataError
from micebench.sessions import ImageFile, Session, Turn
from micebench.tasks import rows
from micebench.tasks.images import find_image
from micebench.tasks.parquet import embedded_image, open_parquet, parquet_rows
from micebench.tasks.single_turn import turns_apart

_COLUMNS = ("img_id", "turn_index", "source_img", "mask_img", "target_img", "instruction")
_LOCAL = ("edit_sessions.json", "*/edit_sessions.json")


def sessions(
    card: TaskCard,
    folder: Path | None,
    *,
    start: Literal["source", "reference"] = "source",
    on_bad_row: rows.OnBadRow = rows.refuse,
) -> Iterator[Session]:
    """One session per img_id, its turns in the order of turn_index; source image is turn 1's input.

    Args:
        start: reference: every turn is a session of its own, from the reference image before it (MagicBrush's
            all-turn setting); source: turns follow each other (its final-turn setting is the last turn of these).
    """
    if start not in ("source", "reference"):
        raise CardError(f"task {card.id!r}: start is {start!r}; give source or reference")
    for session in _sessions(card, folder, on_bad_row):
        yield from turns_apart(session) if start == "reference" else (session,)


def _sessions(card: TaskCard, folder: Path | None, on_bad_row: rows.OnBadRow) -> Iterator[Session]:
    local = [path for pattern in _LOCAL for path in sorted(folder.glob(pattern))] if folder else []
    if folder is not None and local:
        files = [rows.AnnotationFile(path, path.relative_to(folder).as_posix()) for path in local]
        for file in files:
            yield from _local_sessions(card, file, on_bad_row)
        return
    yield from _parquet_sessions(card, rows.annotation_files(card, folder), on_bad_row)


def _parquet_sessions(
    card: TaskCard, files: list[rows.AnnotationFile], on_bad_row: rows.OnBadRow
) -> Iterator[Session]:
    """Rows of a session may stand apart, even in two files: ids are counted first, images read once."""
    expected: Counter[str] = Counter()
    for file in files:
        for batch in open_parquet(file, _COLUMNS).iter_batches(columns=["img_id"]):
            expected.update(str(name) for name in batch.column(0).to_pylist())
    pending: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for file in files:
        for where, row in parquet_rows(file, _COLUMNS):
            name = str(row["img_id"])
            found = pending.setdefault(name, [])
            found.append((where, row))
            if len(found) < expected[name]:
                continue
            try:
                yield _from_rows(card, name, pending.pop(name))
            except rows.BadRow as error:
                on_bad_row(error)


def _from_rows(card: TaskCard, name: str, found: list[tuple[str, dict[str, Any]]]) -> Session:
    where = found[0][0]
    indices = [row["turn_index"] for _, row in found]
    if not all(isinstance(index, int) for index in indices) or sorted(indices) != list(range(1, len(found) + 1)):
        raise rows.BadRow(where, "turn_index", f"session {name}: expected 1..{len(found)}, found {indices}")
    found = sorted(found, key=lambda item: item[1]["turn_index"])
    return Session(
        id=name,
        task=card.id,
        track="plain",
        image=embedded_image(found[0][1]["source_img"], f"{name}-input.png"),
        turns=tuple(
            _turn(
                number,
                rows.text(row, "instruction", place),
                embedded_image(row["target_img"], f"{name}-output{number}.png"),
                embedded_image(row["mask_img"], f"{name}-mask{number}.png"),
            )
            for number, (place, row) in enumerate(found, 1)
        ),
        provenance=found[0][0],
    )


def _local_sessions(card: TaskCard, file: rows.AnnotationFile, on_bad_row: rows.OnBadRow) -> Iterator[Session]:
    document = rows.json_document(file)
    if not isinstance(document, dict):
        raise DataError(f"{file.path}: expected an object from img_id to a list of turns")
    for name, turns in document.items():
        where = f"{file.name}:{name}"
        try:
            if not isinstance(turns, list) or not turns or not all(isinstance(turn, dict) for turn in turns):
                raise rows.BadRow(where, "", "expected a list of turns")
            yield _from_local(card, name, turns, where, file.path.parent / "images")
        except rows.BadRow as error:
            on_bad_row(error)


def _from_local(card: TaskCard, name: str, turns: list[dict[str, Any]], where: str, images: Path) -> Session:
    if len(PurePosixPath(name.replace("\\", "/")).parts) != 1 or name in ("..", "/"):
        raise rows.BadRow(where, "", "the img_id is the name of a folder in images/")
    folders, root = [images / name], images.parent
    return Session(
        id=name,
        task=card.id,
        track="plain",
        image=find_image(rows.text(turns[0], "input", where), folders, root),
        turns=tuple(
            _turn(
                number,
                rows.text(turn, "instruction", f"{where}[{number}]"),
                find_image(rows.text(turn, "output", f"{where}[{number}]"), folders, root),
                find_image(turn["mask"], folders, root) if isinstance(turn.get("mask"), str) else None,
            )
            for number, turn in enumerate(turns, 1)
        ),
        provenance=where,
    )


def _turn(number: int, instruction: str, target: ImageFile, mask: ImageFile | None) -> Turn:
    return Turn(number, instruction, target_image=target, mask_image=mask)
