"""MSE-Bench: parquet, one session of five turns per row, images inside.

DIR/data/*.parquet
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from micebench.cards import TaskCard
from micebench.sessions import Session, Turn
from micebench.tasks import rows
from micebench.tasks.parquet import embedded_image, parquet_rows

_COLUMNS = ("image", "index", "context", "description_target")


def sessions(card: TaskCard, folder: Path | None, *, on_bad_row: rows.OnBadRow = rows.refuse) -> Iterator[Session]:
    """One session per row; id is the release's index, the instructions its ``context``."""
    for file in rows.annotation_files(card, folder):
        for where, row in parquet_rows(file, _COLUMNS):
            try:
                yield _session(card, row, where)
            except rows.BadRow as error:
                on_bad_row(error)


def _session(card: TaskCard, row: dict[str, Any], where: str) -> Session:
    index = row["index"]
    if not isinstance(index, int):
        raise rows.BadRow(where, "index", f"expected a whole number, found {index!r}")
    texts = rows.instructions(row, "context", where)
    wanted = rows.column(row, "description_target", where, len(texts), rows.is_text)
    return Session(
        id=str(index),
        task=card.id,
        track="plain",
        image=embedded_image(row["image"], f"{index}.png"),
        turns=tuple(
            Turn(
                number=number,
                instruction=instruction,
                target_description=wanted.values[number - 1],
                # IF is judged against the wanted image's description
                invalid={"IF": wanted.faults[number]} if number in wanted.faults else {},
            )
            for number, instruction in enumerate(texts, 1)
        ),
        provenance=where,
    )
