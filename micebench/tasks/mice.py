"""MICE-Bench: JSON lines, one session of three turns each; tracks cm (a standing rule) and cu (pronouns).

DIR/cm/test_metadata.jsonl  DIR/cu/test_metadata.jsonl   [DIR/cm/train_metadata.jsonl]
images in DIR/cm/source_image, DIR/cu/source_image, or together in DIR/source_image
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from micebench.cards import TaskCard
from micebench.sessions import Rule, Session, Track
from micebench.tasks import rows
from micebench.tasks.audit.checks import FIELDS, mark
from micebench.tasks.bracketed_rows import AnnotatedRow, build_turns
from micebench.tasks.images import find_image

HINGE = "With this rule active,"
"""Ends the rule in turn 1 of every cm session; the edit follows."""
TRACKS = ("cm", "cu")
_RULE = re.compile(
    r"(?:edits:|must use|must apply|should receive|should be given)\s+"
    r"(?P<value>[\w-]+(?: [\w-]+){0,2}) (?P<attribute>color|material)\b"
)


def sessions(card: TaskCard, folder: Path | None, *, on_bad_row: rows.OnBadRow = rows.refuse) -> Iterator[Session]:
    """Sessions of every file the card names, in file order.

    The track is the folder a file stands in (else: the hinge phrase in its rows), the split the first word of
    its name. ids are ``track/split/image stem``.
    """
    for file in rows.annotation_files(card, folder):
        split = file.path.stem.split("_")[0]
        folder_name = file.path.parent.name
        folders = [file.path.parent, *([folder] if folder else [])]
        folders += [file.path.parent.parent] if folder_name in TRACKS else []
        root = folders[-1]
        for where, row in rows.json_lines(file, on_bad_row):
            try:
                track = _track(card, folder_name, row)
                yield _session(card, row, where, (track, split), folders, root)
            except rows.BadRow as error:
                on_bad_row(error)


def parse_rule(instruction: str) -> Rule | None:
    """The standing rule before the hinge phrase of a cm session's turn 1; None if it cannot be read."""
    text, hinge, _ = instruction.partition(HINGE)
    found = _RULE.search(text)
    if not hinge or found is None:
        return None
    attribute: Literal["color", "material"] = "material" if found["attribute"] == "material" else "color"
    return Rule(text.strip(), attribute, found["value"])


def _track(card: TaskCard, folder_name: str, row: dict[str, Any]) -> Track:
    # a single file given without its folder takes the folder of the card's pattern
    only = card.data.files if card.data and len(card.data.files) == 1 else []
    for name in (folder_name, *(Path(pattern).parent.name for pattern in only)):
        if name == "cm" or name == "cu":
            return name
    first = row.get("instruction")
    return "cm" if isinstance(first, list) and first and HINGE in str(first[0]) else "cu"


def _session(
    card: TaskCard,
    row: dict[str, Any],
    where: str,
    track_split: tuple[Track, str],
    folders: list[Path],
    root: Path,
) -> Session:
    track, split = track_split
    path = rows.text(row, "image", where)
    texts = rows.instructions(row, "instruction", where)
    turns = build_turns(AnnotatedRow(row, FIELDS, [where] * len(texts)), texts, track)
    session = Session(
        id=f"{track}/{split}/{Path(path).stem}",
        task=card.id,
        track=track,
        image=find_image(path, folders, root),
        turns=turns,
        rule=parse_rule(texts[0]) if track == "cm" else None,
        provenance=where,
    )
    return mark(session, anchors_move=True)
