"""Your own sessions: JSON lines in the form below, or a `datasets` folder that already has our schema.

One line per session; `id`, `image` and `instructions` are needed, everything else is optional, and every list
has one entry per turn (null where a turn has none):

    {"id": "kitchen-1", "image": "images/kitchen.jpg",
     "instructions": ["Remove the cup", "Paint the wall green"],
     "track": "plain", "rule": {"text": "...", "attribute": "color", "value": "red"}, "category": "home",
     "edit_types": ["subject_remove", "background_change"],
     "formatted": ["Remove [cup]", "Change the background to [green wall]"],
     "unchanged_objects": [["table"], ["table"]], "available_objects": ..., "all_objects": ...,
     "bg_consistency": [true, false], "labels": ["local", "local"],
     "target_images": ["gt/1.png", "gt/2.png"], "mask_images": [null, null],
     "target_descriptions": ["a table", "a table before a green wall"]}

Image paths are relative to the file and stay inside its folder. A dataset made by `micebench.load_task` is
passed on with ``dataset.save_to_disk(folder)``, which puts the images inside.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from micebench.cards import TaskCard
from micebench.errors import DataError, nearest
from micebench.sessions import TRACKS, ImageFile, Rule, Session, Track, features, from_row
from micebench.tasks import rows
from micebench.tasks.audit.checks import mark
from micebench.tasks.bracketed_rows import AnnotatedRow, build_turns
from micebench.tasks.dataset import iter_sessions
from micebench.tasks.images import find_image
from micebench.tasks.parquet import parquet_rows

FIELDS = {
    "instruction": "instructions",
    "edit_type": "edit_types",
    "formatted": "formatted",
    "unchanged_objects": "unchanged_objects",
    "available_objects": "available_objects",
    "all_objects": "all_objects",
    "bg_consistency": "bg_consistency",
}
KEYS = {"id", "image", "track", "rule", "category", *FIELDS.values()} | {
    "labels",
    "target_images",
    "mask_images",
    "target_descriptions",
}


def sessions(card: TaskCard, folder: Path | None, *, on_bad_row: rows.OnBadRow = rows.refuse) -> Iterator[Session]:
    """Sessions of a saved dataset if the folder is one, else of the card's files (.jsonl or .parquet)."""
    if folder is not None and ((folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()):
        yield from _saved(card, folder)
        return
    for file in rows.annotation_files(card, folder):
        if file.path.suffix == ".parquet":
            for where, row in parquet_rows(file, list(features())):
                yield _owned(card, from_row(row), where, file.path.parent)
            continue
        for where, row in rows.json_lines(file, on_bad_row):
            try:
                yield _session(card, row, where, file.path.parent)
            except rows.BadRow as error:
                on_bad_row(error)


def _saved(card: TaskCard, folder: Path) -> Iterator[Session]:
    from datasets import Dataset, load_from_disk

    dataset = load_from_disk(str(folder))
    if not isinstance(dataset, Dataset):
        raise DataError(f"{folder} holds the splits {', '.join(map(str, dataset))}; give the folder of one of them")
    for number, session in enumerate(iter_sessions(dataset), 1):
        yield _owned(card, session, f"{folder.name}:{number}", folder)


def _owned(card: TaskCard, session: Session, where: str, folder: Path) -> Session:
    """A stored session under this card's name."""
    turns = tuple(
        replace(turn, target_image=_inside(turn.target_image, folder), mask_image=_inside(turn.mask_image, folder))
        for turn in session.turns
    )
    image = _inside(session.image, folder) or session.image
    return replace(session, task=card.id, image=image, turns=turns, provenance=session.provenance or where)


def _inside(image: ImageFile | None, folder: Path) -> ImageFile | None:
    """An image stored as a path only counts if it lies in the folder: a data file may not point anywhere else."""
    if image is None or image.file is None:
        return image
    return ImageFile(image.path, file=find_image(image.file, [folder], folder).file)


def _session(card: TaskCard, row: dict[str, Any], where: str, folder: Path) -> Session:
    unknown = sorted(set(row) - KEYS)
    if unknown:
        raise rows.BadRow(where, unknown[0], f"unknown field; {nearest(unknown[0], KEYS, limit=20)}")
    texts = rows.instructions(row, "instructions", where)
    track, count = _track(row, where), len(texts)
    extra = {
        key: rows.column(row, key, where, count, rows.is_text, required=False)
        for key in ("labels", "target_images", "mask_images", "target_descriptions")
    }
    for column in extra.values():
        for fault in column.faults.values():
            raise rows.BadRow(where, "", fault.removeprefix(f"{where} "))
    turns = build_turns(AnnotatedRow(row, FIELDS, [where] * count, required=False), texts, track)
    turns = tuple(
        replace(
            turn,
            label=extra["labels"].values[index],
            target_image=_image(extra["target_images"].values[index], folder),
            mask_image=_image(extra["mask_images"].values[index], folder),
            target_description=extra["target_descriptions"].values[index],
        )
        for index, turn in enumerate(turns)
    )
    category = row.get("category")
    session = Session(
        id=rows.text(row, "id", where),
        task=card.id,
        track=track,
        image=find_image(rows.text(row, "image", where), [folder], folder),
        turns=turns,
        rule=_rule(row.get("rule"), where),
        category=None if category is None else rows.text(row, "category", where),
        provenance=where,
    )
    return mark(session, fields=FIELDS)


def _track(row: dict[str, Any], where: str) -> Track:
    track = row.get("track", "plain")
    if track not in TRACKS:
        raise rows.BadRow(where, "track", f"expected one of {', '.join(TRACKS)}, found {track!r}")
    return track


def _rule(value: Any, where: str) -> Rule | None:
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != {"text", "attribute", "value"}:
        raise rows.BadRow(where, "rule", "expected an object with text, attribute and value")
    attribute = value["attribute"]
    if attribute != "color" and attribute != "material":
        raise rows.BadRow(where, "rule.attribute", f"expected color or material, found {attribute!r}")
    return Rule(rows.text(value, "text", where), attribute, rows.text(value, "value", where))


def _image(path: str | None, folder: Path) -> ImageFile | None:
    return None if path is None else find_image(path, [folder], folder)
