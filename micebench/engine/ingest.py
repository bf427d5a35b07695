"""The first stage: planned sessions and their images go into the run, so that it stands alone."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from micebench.errors import DataError, RunError, one_line
from micebench.execution.images import source_png
from micebench.sessions import ImageFile, Session, Turn
from micebench.store.blobs import Blobs
from micebench.store.journal import Journal
from micebench.store.keys import sha256
from micebench.store.run_dir import RunDir, replace
from micebench.store.session_records import read_sessions, row_hash, session_line

_BATCH = 64


def ingest(run: RunDir, sessions: Iterable[Session], turns: int, tick: Callable[[int], None]) -> None:
    """Write ``sessions.jsonl`` and the source blobs; on resume check that the data has not changed.

    A session whose source, target or mask cannot be read is recorded with the fault, and read again by the next run.

    Args:
        turns: the largest number of turns a session may have.
        tick: told how many sessions are done.

    Raises:
        DataError: no session's images can be read, a session has too many turns, or an id comes twice.
        RunError: the sessions are not those the run was started with.
    """
    again = any(line["image"] is None for _, line in read_sessions(run.sessions))
    path = run.sessions.with_suffix(".new") if again else run.sessions
    path.with_suffix(".new").unlink(missing_ok=True)
    stored = read_sessions(run.sessions)
    seen: set[str] = set()
    unreadable: list[str] = []
    with Journal(path) as journal:
        batch: list[dict[str, Any]] = []
        for session in sessions:
            if session.id in seen:
                raise DataError(f"{session.provenance}: session id {session.id!r} comes twice; make ids unique")
            if not 1 <= len(session.turns) <= turns:
                raise DataError(
                    f"{session.provenance}: session {session.id!r} has {len(session.turns)} turns, "
                    f"but the task card says 1 to {turns}; correct `turns` in the card"
                )
            seen.add(session.id)
            old = next(stored, (0, None))[1]
            line = _line(session, old, run.blobs)
            if old is not None:
                _check_same(run, old, line)
            if line["image"] is None:
                unreadable.append(line["fault"])
            if old is None or again:
                batch.append(line)
            if len(batch) == _BATCH:
                journal.append(batch)
                batch.clear()
            tick(len(seen))
        journal.append(batch)
    if next(stored, None) is not None:
        raise _changed(run, f"it has only {len(seen)} sessions now")
    if again:
        replace(path, run.sessions)
    if seen and len(unreadable) == len(seen):
        raise DataError(f"none of the {len(seen)} source images can be read (first: {unreadable[0]})")


def _line(session: Session, old: dict[str, Any] | None, blobs: Blobs) -> dict[str, Any]:
    line = session_line(session)
    try:
        for turn, said in zip(session.turns, line["turns"], strict=True):
            for name, image in _references(turn):
                said[name] = blobs.put(_reference_png(turn, name, image))
        data = session.image.read()
        line["source"] = sha256(data)
        known = old["image"] if old is not None and old["source"] == line["source"] else None
        if known is None or blobs.find(known) is None:
            image = session.image
            known = blobs.put(source_png(ImageFile(image.path, data=data, file=image.file)))
        line["image"] = known
    except DataError as error:
        line["fault"] = one_line(error)
    return line


def _references(turn: Turn) -> Iterator[tuple[str, ImageFile]]:
    for name, image in (("target", turn.target_image), ("mask", turn.mask_image)):
        if image is not None and image.present:
            yield name, image


def _reference_png(turn: Turn, name: str, image: ImageFile) -> bytes:
    try:
        return source_png(image)
    except DataError as error:
        raise DataError(f"{name} of turn {turn.number}: {error}") from error


def _check_same(run: RunDir, old: dict[str, Any], line: dict[str, Any]) -> None:
    if old["id"] != line["id"]:
        raise _changed(run, f"session {old['id']!r} is now {line['id']!r}")
    if line["fault"] and old["image"] is not None:
        raise _changed(run, f"session {old['id']!r} cannot be read any more ({line['fault']})")
    if old["image"] is None:  # it was stored without some of its reference images
        old, line = _without_references(old), _without_references(line)
    if row_hash(old) != row_hash(line):
        raise _changed(run, f"session {old['id']!r} says something else")
    if old["image"] is not None and old["image"] != line["image"]:
        raise _changed(run, f"the source image of session {old['id']!r} is another one")


def _without_references(line: dict[str, Any]) -> dict[str, Any]:
    turns = [{name: said for name, said in turn.items() if name not in ("target", "mask")} for turn in line["turns"]]
    return {**line, "turns": turns}


def _changed(run: RunDir, what: str) -> RunError:
    return RunError(
        f"{run.path}: the task's data has changed since the run was started: {what}; "
        f"start a new run with another --out"
    )
