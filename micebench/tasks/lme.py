"""LME-Bench: one JSON file, ten turns per session, each labelled hard, soft or local.

DIR/lme_bench.json      DIR/images/<id>.png
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from micebench.cards import TaskCard
from micebench.errors import DataError
from micebench.sessions import Session, Turn
from micebench.tasks import rows
from micebench.tasks.images import find_image

LABELS = ("hard", "soft", "local")


def sessions(card: TaskCard, folder: Path | None, *, on_bad_row: rows.OnBadRow = rows.refuse) -> Iterator[Session]:
    """One session per entry of ``items``; a label outside hard, soft, local is left out."""
    for file in rows.annotation_files(card, folder):
        document = rows.json_document(file)
        items = document.get("items") if isinstance(document, dict) else None
        if not isinstance(items, list):
            raise DataError(f"{file.path} items: expected a list of sessions")
        for number, item in enumerate(items, 1):
            where = f"{file.name}:items[{number}]"
            try:
                if not isinstance(item, dict):
                    raise rows.BadRow(where, "", "expected an object")
                yield _session(card, item, where, file.path.parent, folder or file.path.parent)
            except rows.BadRow as error:
                on_bad_row(error)


def _session(card: TaskCard, item: dict[str, Any], where: str, folder: Path, root: Path) -> Session:
    name = rows.text(item, "id", where)
    texts = rows.instructions(item, "turns", where)
    labels = rows.column(item, "labels", where, len(texts), lambda value: value in LABELS, required=False)
    category = item.get("category")
    return Session(
        id=name,
        task=card.id,
        track="plain",
        image=find_image(f"images/{name}.png", [folder], root),
        turns=tuple(
            Turn(number=number, instruction=instruction, label=labels.values[number - 1])
            for number, instruction in enumerate(texts, 1)
        ),
        category=category if isinstance(category, str) else None,
        provenance=where,
    )
