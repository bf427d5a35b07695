"""What is wrong inside a session, and which metric it takes away.

A fault never removes a session and never becomes a score: the metric concerned is `invalid_annotation` for
that turn, everything else of the session is judged as usual.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from micebench.errors import one_line
from micebench.instructions import EDIT_TYPES, PLACE, ParsedEdit, UnparseableInstruction, parse_instruction
from micebench.sessions import Session, Turn

KINDS: dict[str, str] = {
    "bad field": "a field is missing, of the wrong type or of the wrong length",
    "unparseable": "the bracketed instruction does not follow the form of its edit type",
    "residue": "leaked model output stands where an object's name belongs",
    "empty order": "the instruction asks for an empty text",
    "not in pool": "the object is not in the pool of the turn before",
    "removed before": "the object was removed by an earlier turn, and the judge looks for it in that output",
    "still unchanged": "an edited object is still listed as unchanged",
    "pool": "the object pools contradict each other or grow and shrink the wrong way",
    "flag": "bg_consistency contradicts the edit types",
    "no rule": "the standing rule cannot be read from turn 1",
}
FIELDS = {
    "instruction": "instruction",
    "edit_type": "task_type",
    "formatted": "formatted_instruction",
    "unchanged_objects": "unchanged_objects",
    "available_objects": "available_objects",
    "all_objects": "all_objects",
    "bg_consistency": "bg_consistency",
}
"""Our name of a field -> MICE-Bench's. Other formats pass their own."""

LONGEST_NAME = 60
"""Characters; the longest real object name in the published sets has 41."""
_RESIDUE = re.compile(
    r"[\n\r\t\[\]{}`<>]|\.\s+\w|respond with|object name|\bthe user\b|\bas an ai\b|\bi cannot\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Fault:
    """One problem of one turn.

    Attributes:
        turn: 1-based.
        field: the format's own field name.
        kind: a key of `KINDS`.
        metrics: metrics that cannot be judged at this turn because of it.
        text: what was found.
    """

    turn: int
    field: str
    kind: str
    metrics: tuple[str, ...]
    text: str

    def reason(self, where: str) -> str:
        """``"file:line field[turn]: kind: text"``, the form of `Turn.invalid`."""
        return f"{where} {self.field}[{self.turn}]: {self.kind}: {self.text}"


def is_residue(name: str) -> bool:
    """Whether an object name is leaked model output rather than a name."""
    return len(name) > LONGEST_NAME or bool(_RESIDUE.search(name))


def same_object(name: str, pool: Sequence[str]) -> list[str]:
    """The pool names that `name` means: itself, else all that add or drop words ("sheep", "white sheep")."""
    if name in pool:
        return [name]
    words = _words(name)
    return [other for other in pool if words and (words <= _words(other) or _words(other) <= words)]


def parse_turn(turn: Turn) -> ParsedEdit | str | None:
    """The typed instruction; the reason as a text if it cannot be parsed; None where there is none."""
    if turn.formatted is None or turn.edit_type is None:
        return None
    try:
        return parse_instruction(turn.edit_type, turn.formatted)
    except UnparseableInstruction as error:
        return one_line(error)


def named_objects(edit: ParsedEdit) -> list[str]:
    """The object names an instruction contains (texts, colours, materials and backgrounds are not names)."""
    names = [edit.target, edit.anchor, edit.value if edit.edit_type == "subject_replace" else ""]
    return [name for name in names if name]


def session_faults(
    session: Session, fields: Mapping[str, str] = FIELDS, *, anchors_move: bool = False
) -> list[Fault]:
    """Every fault that the annotations of a session show, turn by turn.

    `anchors_move`: a position change edits its anchor too (MICE-Bench and EdiVal take both objects out of the
    unchanged ones, without exception).
    """
    edits = [parse_turn(turn) for turn in session.turns]
    faults = [*_instruction_faults(session, edits, fields), *_flag_faults(session, fields)]
    faults += _pool_faults(session, edits, fields, anchors_move)
    if session.track == "cm" and session.rule is None:
        text = "no rule of the form '... X color|material ...' before the hinge phrase"
        faults += [Fault(turn.number, fields["instruction"], "no rule", ("GA",), text) for turn in session.turns]
    return sorted(faults, key=lambda fault: fault.turn)


def mark(
    session: Session,
    *,
    where: Sequence[str] | None = None,
    fields: Mapping[str, str] = FIELDS,
    anchors_move: bool = False,
) -> Session:
    """The session with its faults entered in `Turn.invalid`; entries that are already there stay.

    `where` gives one "file:line" per turn (default: the session's provenance for all); the rest is
    `session_faults`'s.
    """
    places = where or [session.provenance] * len(session.turns)
    invalid: list[dict[str, str]] = [dict(turn.invalid) for turn in session.turns]
    for fault in session_faults(session, fields, anchors_move=anchors_move):
        for metric in fault.metrics:
            invalid[fault.turn - 1].setdefault(metric, fault.reason(places[fault.turn - 1]))
    if not any(invalid):
        return session
    turns = tuple(replace(turn, invalid=found) for turn, found in zip(session.turns, invalid, strict=True))
    return replace(session, turns=turns)


def _words(name: str) -> set[str]:
    return set(_WORD.findall(name.lower()))


def _instruction_faults(
    session: Session, edits: Sequence[ParsedEdit | str | None], fields: Mapping[str, str]
) -> Iterator[Fault]:
    field, last = fields["formatted"], len(session.turns)
    removed: set[str] = set()
    for turn, edit in zip(session.turns, edits, strict=True):
        number = turn.number
        if isinstance(edit, str):
            yield Fault(number, field, "unparseable", ("IF",), edit)
        senseless = _senseless(turn, edit)
        if senseless:
            kind, text = senseless
            yield Fault(number, field, kind, ("IF",), text)
            # the order itself cannot be carried out, so no longer prefix can comply with everything either
            yield from (
                Fault(later, fields["instruction"], kind, ("GA",), f"turn {number}: {text}")
                for later in range(number, last + 1)
            )
        if not isinstance(edit, ParsedEdit):
            continue
        known = _known_before(session, number)
        if known is not None:
            yield from _unknown_names(turn, edit, (known, removed), field)
        if edit.edit_type in {"subject_remove", "subject_replace"}:
            removed.add(edit.target)


def _senseless(turn: Turn, edit: ParsedEdit | str | None) -> tuple[str, str] | None:
    """(kind, text) if no editor could carry the order out."""
    if isinstance(edit, ParsedEdit):
        leaked = [name for name in named_objects(edit) if is_residue(name)]
        return ("residue", f"object name {_short(leaked[0])}") if leaked else None
    if isinstance(edit, str):
        if turn.edit_type == "text_change" and re.match(r"add text\b", turn.formatted or "", re.IGNORECASE):
            return "empty order", _short(turn.instruction)
        if turn.edit_type != "text_change" and _RESIDUE.search(turn.instruction):
            return "residue", f"instruction {_short(turn.instruction)}"
    return None


def _known_before(session: Session, number: int) -> tuple[str, ...] | None:
    """Names an instruction of turn `number` may use; the first pool known is the one *after* turn 1."""
    return session.turns[0].all_objects if number == 1 else session.turns[number - 2].available_objects


def _unknown_names(
    turn: Turn, edit: ParsedEdit, known_removed: tuple[tuple[str, ...], set[str]], field: str
) -> Iterator[Fault]:
    known, removed = known_removed
    for role, name in (("target", edit.target), ("anchor", edit.anchor)):
        made_here = role == "target" and edit.edit_type == "subject_add"
        place_of_removed = role == "anchor" and edit.relation == PLACE and name in removed
        if not name or made_here or place_of_removed or is_residue(name) or same_object(name, known):
            continue
        if name in removed:
            text = f"{role} {name!r} is no longer in the image that it is looked for in"
            yield Fault(turn.number, field, "removed before", ("IF",), text)
        else:
            yield Fault(turn.number, field, "not in pool", ("IF",), f"{role} {name!r} is in no pool")


def _flag_faults(session: Session, fields: Mapping[str, str]) -> Iterator[Fault]:
    changed = False
    for turn in session.turns:
        if turn.edit_type not in EDIT_TYPES:
            return  # from here on nobody knows whether the background was changed
        changed = changed or turn.edit_type == "background_change"
        if turn.bg_consistency is not None and turn.bg_consistency == changed:
            text = f"is {turn.bg_consistency}, but {'a' if changed else 'no'} turn so far changes the background"
            yield Fault(turn.number, fields["bg_consistency"], "flag", ("CC.background",), text)


def _pool_faults(
    session: Session,
    edits: Sequence[ParsedEdit | str | None],
    fields: Mapping[str, str],
    anchors_move: bool,
) -> Iterator[Fault]:
    edited: set[str] = set()
    texts: set[str] = set()
    for index, (turn, edit) in enumerate(zip(session.turns, edits, strict=True)):
        unchanged, everything = turn.unchanged_objects, turn.all_objects
        before = session.turns[index - 1] if index else None
        known = _known_before(session, turn.number)
        if isinstance(edit, ParsedEdit) and known is not None:
            touched = [] if edit.edit_type == "subject_add" else [edit.target]
            touched += [edit.anchor] if anchors_move and edit.edit_type == "position_change" else []
            edited.update(pool for name in touched for pool in same_object(name, known))
        if isinstance(edit, ParsedEdit) and edit.edit_type == "text_change":
            texts.add(edit.value)  # the generators list a written text among the objects
        yield from _residue_in_pools(turn, texts, fields)
        if unchanged is not None:
            still = sorted(edited & set(unchanged))
            if still:
                text = f"{', '.join(map(repr, still))} was edited, so a correct edit would be punished"
                yield Fault(turn.number, fields["unchanged_objects"], "still unchanged", ("CC.object",), text)
            grown = before and before.unchanged_objects is not None and set(unchanged) - set(before.unchanged_objects)
            if grown:
                text = f"{', '.join(map(repr, sorted(grown)))} was not unchanged a turn before"
                yield Fault(turn.number, fields["unchanged_objects"], "pool", ("CC.object",), text)
        if everything is None:
            continue
        for name, metric in (("unchanged_objects", "CC.object"), ("available_objects", "CC.background")):
            beyond = set(getattr(turn, name) or ()) - set(everything)
            if beyond:
                text = f"{', '.join(map(repr, sorted(beyond)))} is not in {fields['all_objects']}"
                yield Fault(turn.number, fields[name], "pool", (metric,), text)
        lost = set(before.all_objects or ()) - set(everything) if before else set[str]()
        if lost:
            text = f"{', '.join(map(repr, sorted(lost)))} was in it a turn before"
            yield Fault(turn.number, fields["all_objects"], "pool", ("CC.background",), text)


def _residue_in_pools(turn: Turn, texts: set[str], fields: Mapping[str, str]) -> Iterator[Fault]:
    for name, metric in (("unchanged_objects", "CC.object"), ("all_objects", "CC.background")):
        leaked = [entry for entry in getattr(turn, name) or () if is_residue(entry) and entry not in texts]
        if leaked:
            yield Fault(turn.number, fields[name], "residue", (metric,), f"object name {_short(leaked[0])}")


def _short(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= 120 else f"{shown[:117]}..."
