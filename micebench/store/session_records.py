"""``sessions.jsonl``: the planned sessions with their judge-side annotations, so that a run stands alone."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from micebench.sessions import ImageFile, Rule, Session, Turn
from micebench.store.blobs import Blobs
from micebench.store.forms import check_session, shown
from micebench.store.journal import damaged, read_journal
from micebench.store.keys import content_key

_TURN_TEXT = ("number", "instruction", "edit_type", "formatted")
_TURN_REST = ("bg_consistency", "label", "target_description")
_POOLS = ("unchanged_objects", "available_objects", "all_objects")
_REMEDY = "restore the file from a copy, or delete that line and all after it, and run the same `micebench run` again"


def read_sessions(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(byte offset, line) of each session, streamed, as `read_journal` does.

    Raises RunError: a damaged line, or an id that comes twice, named by file and number.
    """
    known: set[str] = set()
    for number, (offset, line) in enumerate(read_journal(path, _REMEDY), start=1):
        try:
            check_session(line)
            if line["id"] in known:
                raise ValueError(f"session {shown(line['id'])} occurs twice")
        except ValueError as error:
            raise damaged(path, number, "session line", error, _REMEDY) from error
        known.add(line["id"])
        yield offset, line


def session_line(session: Session) -> dict[str, Any]:
    """A session as a JSON line, without its images (`image`, `source`, `fault` are still None)."""
    rule = session.rule
    return {
        "id": session.id,
        "track": session.track,
        "rule": {"text": rule.text, "attribute": rule.attribute, "value": rule.value} if rule else None,
        "category": session.category,
        "provenance": session.provenance,
        "path": session.image.path,
        "source": None,
        "image": None,
        "fault": None,
        "turns": [_turn_line(turn) for turn in session.turns],
    }


def _turn_line(turn: Turn) -> dict[str, Any]:
    line: dict[str, Any] = {name: getattr(turn, name) for name in _TURN_TEXT}
    for name in _POOLS:
        pool = getattr(turn, name)
        line[name] = None if pool is None else list(pool)
    line |= {name: getattr(turn, name) for name in _TURN_REST}
    line["invalid"] = dict(turn.invalid)
    return line


def row_hash(line: Mapping[str, Any]) -> str:
    """Hash of what a session says, reference images included, the source image apart (it has its own).

    Where it was read from (paths, file and line) is no cause of anything and is left out.
    """
    said = {name: line[name] for name in ("id", "track", "rule", "category")}
    said["turns"] = [{**turn, "invalid": sorted(turn["invalid"])} for turn in line["turns"]]
    return content_key(said)


def parse_session(line: Mapping[str, Any], task: str, blobs: Blobs) -> Session:
    """A session line as a Session whose images are the run's blobs.

    Raises:
        KeyError, TypeError, ValueError: a line of another form.
    """
    rule = line["rule"]
    return Session(
        id=line["id"],
        task=task,
        track=line["track"],
        image=_image(line["image"], blobs) or ImageFile(line["path"]),
        turns=tuple(_parse_turn(turn, blobs) for turn in line["turns"]),
        rule=Rule(**rule) if rule else None,
        category=line["category"],
        provenance=line["provenance"],
    )


def _parse_turn(line: Mapping[str, Any], blobs: Blobs) -> Turn:
    fields = {name: line[name] for name in (*_TURN_TEXT, *_TURN_REST, "invalid")}
    for name in _POOLS:
        fields[name] = None if line[name] is None else tuple(line[name])
    return Turn(
        **fields,
        target_image=_image(line.get("target"), blobs),
        mask_image=_image(line.get("mask"), blobs),
    )


def _image(digest: str | None, blobs: Blobs) -> ImageFile | None:
    if digest is None:
        return None
    path = str(blobs.path(digest))
    return ImageFile(path, file=path)
