"""`micebench check`: everything about a release that a number may depend on, without running an editor."""

import hashlib
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from micebench.cards import TaskCard, resolve_kind
from micebench.errors import DataError
from micebench.instructions import ParsedEdit, by_pronoun, remain_names
from micebench.sessions import ImageFile, Session
from micebench.tasks.audit.checks import FIELDS, KINDS, named_objects, parse_turn, same_object, session_faults
from micebench.tasks.audit.statistics import Tally
from micebench.tasks.images import named_images
from micebench.tasks.load import open_sessions
from micebench.tasks.rows import BadRow

Severity = Literal["error", "warning", "note"]
"""error: unusable as it is; warning: a metric cannot be judged; note: odd, but nothing is lost."""

_REASON = re.compile(r"(?P<where>.+?) (?P<field>\S+)\[\d+\]: (?P<kind>[^:]+): (?P<text>.*)", re.DOTALL)
_ON_PRONOUN = re.compile(r"on (?:it|them)\.?$", re.IGNORECASE)
NOTES: dict[str, str] = {
    "other name": "the instruction names an object by another name than its pool does",
    "added again": "the added object's name is in a pool already",
    "reference lost": "the instruction points at an object, its bracketed form does not",
    "kept object gone": "the instruction asks to keep an object that the pool no longer has",
    "colour as before": "the new colour is already in the object's name",
    "vanished": "an object leaves the pool although no instruction touched it",
}
IMAGES: dict[str, str] = {
    "missing image": "an image is named and not there",
    "undecodable image": "an image is there and cannot be decoded",
    "duplicate image": "two sessions have the same source image, byte for byte",
    "converted image": "an image is not plain upright 8-bit RGB; it is used as stated",
}
ROWS: dict[str, str] = {
    "unreadable row": "no session can be made of a row",
    "duplicate id": "two sessions have the same id",
    "turns": "turns are not numbered 1, 2, ... or are more than the card allows",
    "sessions": "the number of sessions is not the card's",
}
EXPLAINED = {**ROWS, **KINDS, **IMAGES, **NOTES}


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. `metrics` are those that become invalid_annotation at this turn."""

    severity: Severity
    kind: str
    where: str
    field: str
    session: str
    turn: int
    metrics: tuple[str, ...]
    text: str


def audit(card: TaskCard, folder: Path | None, *, on_session: Callable[[], None] | None = None) -> dict[str, Any]:
    """Read every session of a task and report what is in it and what is wrong.

    Bad rows are listed and the reading goes on. Images are decoded and hashed where they are present. Memory
    grows with the number of problems and sessions, not with the images.

    Returns:
        ``{"task", "version", "folder", "sessions", "turns", "errors", "warnings", "notes", "kinds",
        "sets": [...], "images": {...}, "problems": [...]}``; the shape does not depend on what was found.
    """
    problems: list[Problem] = []
    fields = _field_names(card)

    def unreadable(error: BadRow) -> None:
        problems.append(Problem("error", "unreadable row", error.where, error.field, "", 0, (), error.fault))

    tallies: dict[tuple[str, str], Tally] = {}
    images = _Images()
    seen: dict[str, str] = {}
    for session in open_sessions(card, folder, on_bad_row=unreadable):
        file = session.provenance.rsplit(":", 1)[0]
        tally = tallies.setdefault((file, session.track), Tally(file, session.track))
        tally.add(session)
        problems += _row_problems(card, session, seen)
        problems += _annotation_problems(session, fields)
        problems += _notes(session, fields)
        problems += images.problems(session)
        if on_session is not None:
            on_session()
    found = sum(tally.sessions for tally in tallies.values())
    if card.sessions is not None and found != card.sessions:
        text = f"{found} sessions found, the card promises {card.sessions}"
        problems.append(Problem("error", "sessions", str(folder or card.id), "", "", 0, (), text))
    severities = Counter(problem.severity for problem in problems)
    kinds = Counter(problem.kind for problem in problems)
    return {
        "task": card.id,
        "version": card.version,
        "folder": str(folder) if folder else None,
        "sessions": found,
        "turns": sum(tally.turns for tally in tallies.values()),
        "errors": severities["error"],
        "warnings": severities["warning"],
        "notes": severities["note"],
        "kinds": {kind: kinds[kind] for kind in EXPLAINED if kinds[kind]},
        "sets": [tally.report() for tally in tallies.values()],
        "images": images.report(),
        "problems": [asdict(problem) for problem in problems],
    }


def _row_problems(card: TaskCard, session: Session, seen: dict[str, str]) -> Iterator[Problem]:
    where = session.provenance
    if session.id in seen:
        text = f"id {session.id!r} is already used at {seen[session.id]}"
        yield Problem("error", "duplicate id", where, "id", session.id, 0, (), text)
    seen.setdefault(session.id, where)
    numbers = [turn.number for turn in session.turns]
    if not numbers or numbers != list(range(1, len(numbers) + 1)) or len(numbers) > card.turns:
        text = f"numbered {numbers}; the card allows 1 to {card.turns}"
        yield Problem("error", "turns", where, "turns", session.id, 0, (), text)


def _annotation_problems(session: Session, fields: Mapping[str, str]) -> Iterator[Problem]:
    """One problem per turn, field and kind, from the faults that the adapter entered in `Turn.invalid`."""
    listed: set[tuple[int, str]] = set()
    for turn in session.turns:
        merged: dict[tuple[str, str, str, str], list[str]] = {}
        for metric, reason in turn.invalid.items():
            found = _REASON.fullmatch(reason)
            parts = found.group("where", "field", "kind", "text") if found else (session.provenance, "", "", reason)
            kind = parts[2] if parts[2] in KINDS else "bad field"
            merged.setdefault((kind, parts[0], parts[1], parts[3]), []).append(metric)
        for (kind, where, field, text), metrics in merged.items():
            listed.add((turn.number, kind))
            yield Problem("warning", kind, where, field, session.id, turn.number, tuple(sorted(metrics)), text)
    # sessions of a loader that marks nothing are checked all the same
    for fault in session_faults(session, fields):
        if (fault.turn, fault.kind) not in listed:
            place = (session.provenance, fault.field, session.id, fault.turn)
            yield Problem("warning", fault.kind, *place, fault.metrics, fault.text)


def _field_names(card: TaskCard) -> Mapping[str, str]:
    """What the loader's format calls our fields (its module's FIELDS), for messages."""
    module = sys.modules[resolve_kind("loader", card.loader, where=f"task {card.id!r}: loader").__module__]
    return {**FIELDS, **getattr(module, "FIELDS", {})}


def _notes(session: Session, fields: Mapping[str, str]) -> Iterator[Problem]:
    seen_names: set[str] = set()
    for index, turn in enumerate(session.turns):
        before = session.turns[index - 1] if index else None
        known = turn.all_objects if before is None else before.available_objects
        edit = parse_turn(turn)

        def note(kind: str, field: str, text: str, number: int = turn.number) -> Problem:
            return Problem("note", kind, session.provenance, fields[field], session.id, number, (), text)

        if isinstance(edit, ParsedEdit):
            for name in named_objects(edit):
                new = name == (edit.target if edit.edit_type == "subject_add" else edit.value)
                if known is not None and not new and name not in known:
                    other = same_object(name, known)
                    if other:
                        yield note(
                            "other name",
                            "formatted",
                            f"{name!r} is {', '.join(map(repr, other))} in the pool",
                        )
            added = {"subject_add": edit.target, "subject_replace": edit.value}.get(edit.edit_type)
            if added in (seen_names if before else set(turn.unchanged_objects or ())):
                yield note("added again", "formatted", repr(added))
            if edit.edit_type == "color_alter" and edit.value.lower() in edit.target.lower().split():
                yield note("colour as before", "formatted", f"{edit.target!r} to {edit.value!r}")
            if edit.edit_type == "text_change" and not edit.target and _ON_PRONOUN.search(turn.instruction):
                yield note("reference lost", "formatted", f"{turn.instruction!r} became {turn.formatted!r}")
            if before and before.available_objects is not None and turn.available_objects is not None:
                gone = set(before.available_objects) - set(turn.available_objects) - {edit.target, edit.anchor}
                if gone and edit.edit_type != "background_change":
                    yield note("vanished", "available_objects", ", ".join(map(repr, sorted(gone))))
        if turn.edit_type == "background_change" and turn.available_objects is not None:
            kept = [name for name in remain_names(turn.instruction) if not by_pronoun(name)]
            gone = [name for name in kept if name not in turn.available_objects]
            if gone:
                yield note("kept object gone", "instruction", ", ".join(map(repr, gone)))
        seen_names.update(turn.all_objects or ())


class _Images:
    """Decode and hash what is there; count what is not."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.sizes: Counter[str] = Counter()
        self.hashes: dict[str, str] = {}

    def problems(self, session: Session) -> Iterator[Problem]:
        for turn, role, image in named_images(session):
            place = (session.provenance, f"{role}_image", session.id, turn)
            if not image.present:
                self.counts["missing"] += 1
                yield Problem("warning", "missing image", *place, (), image.path or "(no path given)")
                continue
            self.counts["present"] += 1
            try:
                data = image.read()
                decoded = ImageFile(image.path, data=data, file=image.file).decode()
            except DataError as error:
                self.counts["undecodable"] += 1
                yield Problem("error", "undecodable image", *place, (), str(error))
                continue
            if decoded.notes:
                text = f"{image.path}: {', '.join(decoded.notes)}"
                yield Problem("note", "converted image", *place, (), text)
            if role != "source":
                continue
            self.sizes["x".join(map(str, decoded.image.size))] += 1
            digest = hashlib.sha256(data).hexdigest()
            if digest in self.hashes:
                self.counts["duplicate"] += 1
                text = f"{image.path} is also the source image of {self.hashes[digest]}"
                yield Problem("warning", "duplicate image", *place, (), text)
            self.hashes.setdefault(digest, session.id)

    def report(self) -> dict[str, Any]:
        counts = {name: self.counts[name] for name in ("present", "missing", "undecodable", "duplicate")}
        return {**counts, "source_sizes": {size: self.sizes[size] for size in sorted(self.sizes)}}
