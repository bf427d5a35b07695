"""`load_task`: a task's sessions as a `datasets.Dataset`, checked against its card."""

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micebench.cards import CardFolders, TaskCard, failure_of, load_card, made, resolve_kind
from micebench.errors import CardError, DataError
from micebench.sessions import ImageFile, Session
from micebench.tasks.dataset import build_dataset, iter_sessions
from micebench.tasks.rows import BadRow
from micebench.tasks.source import locate

if TYPE_CHECKING:
    from datasets import Dataset

LONGEST_ID = 1000
"""Characters of a session's id, which stands in every line about the session."""

__all__ = ["Fingerprint", "fingerprint", "iter_sessions", "load_task", "load_task_card", "open_sessions"]


def load_task_card(name: str, cards: CardFolders = ()) -> TaskCard:
    """The card of a task, by id or by the path of its YAML file."""
    return load_card(TaskCard, name, cards)


def load_task(
    name: str | TaskCard, *, data: Path | str | None = None, cards: CardFolders = (), limit: int | None = None
) -> "Dataset":
    """A task's sessions as a `datasets.Dataset` of the `micebench.sessions.features` schema.

    Images are not decoded, and may be absent: ``image`` is then None and ``image_path`` says what was named.
    `iter_sessions` turns the rows into `Session` objects again.

    Args:
        name: id of a task card, the path of one, or a card.
        data: folder with the task's files; None for built-in tasks and pinned hub repositories.
        cards: further card folders.
        limit: the first `limit` sessions only; then number and fingerprint are not held against the card.

    Raises:
        CardError, DataError: one line that names file, row, field and the remedy.
    """
    if limit is not None and limit < 1:
        raise DataError(f"limit {limit}: give at least one session")
    card = name if isinstance(name, TaskCard) else load_task_card(name, cards)
    sessions = _checked(card, open_sessions(card, locate(card, data)))
    if limit is not None:
        return build_dataset(islice(sessions, limit))
    seal = Fingerprint()
    dataset = build_dataset(_sealed(sessions, seal) if card.fingerprint else sessions)
    if card.sessions is not None and len(dataset) != card.sessions:
        raise DataError(
            f"task {card.id!r}: {len(dataset)} sessions found, the card promises {card.sessions}; "
            "complete the data folder, or load a part of it with limit"
        )
    if card.fingerprint and seal.hexdigest() != card.fingerprint:
        raise DataError(
            f"task {card.id!r}: fingerprint {seal.hexdigest()}, but the card says {card.fingerprint}; "
            "this is another release: get the one meant, or raise the card's version and fingerprint"
        )
    return dataset


def open_sessions(
    card: TaskCard, folder: Path | None, *, on_bad_row: Callable[[BadRow], None] | None = None
) -> Iterator[Session]:
    """The sessions a card's loader yields. Bad rows stop it, unless `on_bad_row` takes them (and it can)."""
    where = f"task {card.id!r}: loader"
    loader = resolve_kind("loader", card.loader, where=where)
    options: dict[str, Any] = dict(card.options)
    try:
        signature = inspect.signature(loader)
        signature.bind(card, folder, **options)
    except (TypeError, ValueError) as error:
        raise CardError(f"{where} {card.loader} does not take the card's options ({error})") from error
    if on_bad_row is not None and "on_bad_row" in signature.parameters:
        options["on_bad_row"] = on_bad_row
    sessions = made(card.loader, partial(loader, card, folder, **options), where=where)
    return _iterated(sessions, card.loader, where)


def _iterated(sessions: Any, loader: str, where: str) -> Iterator[Session]:
    """What a loader yields. Raises CardError for what it raises, and for what is not a Session."""
    doing, module = f"{where} {loader}", loader.partition(":")[0]
    with failure_of(doing, module):
        remaining = iter(sessions)
    while True:
        with failure_of(doing, module):
            session = next(remaining, None)
        if session is None:
            return
        if not isinstance(session, Session):
            raise CardError(f"{doing} yields a {type(session).__name__}, expected micebench.sessions.Session")
        yield session


def fingerprint(sessions: Iterable[Session]) -> str:
    """sha256 (hex) over everything the sessions say, source, target and mask images by their content.

    Left out: where a row or an image was found (provenance, path on disk), and the wording of faults.
    """
    seal = Fingerprint()
    for session in sessions:
        seal.add(session)
    return seal.hexdigest()


class Fingerprint:
    """`fingerprint`, session by session."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, session: Session) -> None:
        """Take one more session in; order counts."""
        line = json.dumps(_said(session), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        self._hash.update(line.encode("utf-8", "surrogatepass") + b"\n")

    def hexdigest(self) -> str:
        """sha256 of everything added so far."""
        return self._hash.hexdigest()


def _said(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "task": session.task,
        "track": session.track,
        "rule": asdict(session.rule) if session.rule else None,
        "category": session.category,
        "image": _image(session.image),
        "turns": [
            {
                "number": turn.number,
                "instruction": turn.instruction,
                "edit_type": turn.edit_type,
                "formatted": turn.formatted,
                "unchanged_objects": turn.unchanged_objects,
                "available_objects": turn.available_objects,
                "all_objects": turn.all_objects,
                "bg_consistency": turn.bg_consistency,
                "label": turn.label,
                "target_image": _image(turn.target_image),
                "mask_image": _image(turn.mask_image),
                "target_description": turn.target_description,
                "invalid": sorted(turn.invalid),
            }
            for turn in session.turns
        ],
    }


def _image(image: ImageFile | None) -> dict[str, str | None] | None:
    if image is None:
        return None
    return {"path": image.path, "sha256": _content(image) if image.present else None}


def _content(image: ImageFile) -> str:
    """A PNG by its size and pixels, because encoders differ in bytes; anything else by its bytes."""
    data = image.read()
    if data.startswith(b"\x89PNG"):
        pixels = image.open()
        data = repr(pixels.size).encode() + pixels.tobytes()
    return hashlib.sha256(data).hexdigest()


def _sealed(sessions: Iterable[Session], seal: Fingerprint) -> Iterator[Session]:
    for session in sessions:
        seal.add(session)
        yield session


def _checked(card: TaskCard, sessions: Iterable[Session]) -> Iterator[Session]:
    """Hold every adapter to the contract the rest of the suite relies on."""
    seen: dict[str, str] = {}
    for session in sessions:
        where = session.provenance or f"session {session.id!r}"
        if not isinstance(session.id, str) or not session.id.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DataError(f"{where}: the session's id is {session.id!r}; give a text that names it")
        if len(session.id) > LONGEST_ID:
            raise DataError(
                f"{where}: the session's id has {len(session.id)} characters, at most {LONGEST_ID} are read"
            )
        if session.id in seen:
            raise DataError(f"{where}: id {session.id!r} is already used at {seen[session.id]}; ids name one session")
        seen[session.id] = where
        numbers = [turn.number for turn in session.turns]
        if not numbers or numbers != list(range(1, len(numbers) + 1)):
            raise DataError(f"{where}: turns are numbered {numbers}, expected 1, 2, ... without a gap")
        if len(numbers) > card.turns:
            raise DataError(f"{where}: {len(numbers)} turns, but task {card.id!r} says at most {card.turns}")
        yield session
    if not seen:
        raise DataError(f"task {card.id!r}: no session found")
