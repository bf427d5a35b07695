"""The bracketed instruction of EdiVal-Bench and MICE-Bench, as typed data.

Both benchmarks annotate each turn with one pronoun-free, rule-free sentence whose variable parts stand in
brackets, e.g. ``Add [bicycle] on the [left] of [red tree]``. Judges read only this sentence for instruction
following. The patterns here are anchored: a sentence that merely *contains* a valid one (a leaked model
"thought") is refused, where the published parsers accept it.

mice-mini adds two forms of its own: text added to a named object, and ``in the place of`` an object that an
earlier turn removed.
"""

import re
from dataclasses import dataclass
from typing import Literal, get_args

EditType = Literal[
    "subject_add",
    "subject_remove",
    "subject_replace",
    "color_alter",
    "material_alter",
    "text_change",
    "position_change",
    "count_change",
    "background_change",
]
EDIT_TYPES: tuple[EditType, ...] = get_args(EditType)
RELATIONS = ("left", "right", "above", "below")
"""Spatial relations both benchmarks use; `PLACE` is mice-mini's own."""
PLACE = "place"


@dataclass(frozen=True, slots=True)
class ParsedEdit:
    """One bracketed instruction.

    Attributes:
        edit_type: one of the nine.
        target: the object acted on (the *new* object for `subject_add`); "" for a background change and for
            text added to the image as a whole.
        value: what it becomes: new object (replace), colour, material, new text, background; "" otherwise.
        relation: "left" | "right" | "above" | "below" | "place" | "".
        anchor: the object the relation refers to, or "".
        old_text: the text to be replaced, or "" where text is added.
        count: the requested number of objects (count_change), else None.
    """

    edit_type: EditType
    target: str = ""
    value: str = ""
    relation: str = ""
    anchor: str = ""
    old_text: str = ""
    count: int | None = None


class UnparseableInstruction(ValueError):
    """The bracketed instruction does not follow the form of its edit type; the message says how."""


_B = r"\[\s*([^\[\]]*?)\s*\]"
_Q = r"['\"‘’“”]?"  # the text forms put quotes around the brackets
_FORMS: dict[EditType, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "subject_add": (
        (rf"Add {_B} on the {_B} of {_B}", ("target", "relation", "anchor")),
        (rf"Add {_B} in the \[?(place)\]? of {_B}", ("target", "relation", "anchor")),
        (rf"Add {_B}", ("target",)),
    ),
    "subject_remove": ((rf"Remove {_B}", ("target",)),),
    "subject_replace": ((rf"Replace {_B} with {_B}", ("target", "value")),),
    "color_alter": ((rf"Change the color of {_B} to {_B}", ("target", "value")),),
    "material_alter": ((rf"Change the material of {_B} to {_B}", ("target", "value")),),
    "text_change": (
        (rf"Replace the text {_Q}{_B}{_Q} on {_B} with {_Q}{_B}{_Q}", ("old_text", "target", "value")),
        (rf"Add text {_Q}{_B}{_Q} on the image", ("value",)),
        (rf"Add text {_Q}{_B}{_Q} on {_B}", ("value", "target")),
    ),
    "position_change": ((rf"Change the position of {_B} to {_B} of {_B}", ("target", "relation", "anchor")),),
    "count_change": ((rf"Change the count of {_B} to {_B}", ("target", "count")),),
    "background_change": ((rf"Change the background to {_B}", ("value",)),),
}
_COMPILED = {
    kind: tuple((re.compile(rf"{pattern}\.?", re.IGNORECASE), fields) for pattern, fields in forms)
    for kind, forms in _FORMS.items()
}


def unquote(text: str) -> str:
    """Strip white space and the one pair of stray double quotes that EdiVal's CSV wraps around some rows."""
    text = text.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == '"' else text


def parse_instruction(edit_type: str, formatted: str) -> ParsedEdit:
    """Parse one bracketed instruction of the given edit type.

    Raises:
        UnparseableInstruction: unknown edit type, a sentence of another form, or an empty bracket.
    """
    if edit_type not in EDIT_TYPES:
        raise UnparseableInstruction(f"unknown edit type {edit_type!r}")
    sentence = unquote(formatted)
    for pattern, fields in _COMPILED[edit_type]:
        match = pattern.fullmatch(sentence)
        if match is None:
            continue
        parts = dict(zip(fields, match.groups(), strict=True))
        empty = [name for name, text in parts.items() if not text]
        if empty:
            raise UnparseableInstruction(f"empty {empty[0]} in {sentence!r}")
        count = None
        if "count" in parts:
            digits = parts.pop("count")
            if not digits.isdecimal():
                raise UnparseableInstruction(f"count {digits!r} is not a whole number in {sentence!r}")
            count = int(digits)
        if "relation" in parts:
            parts["relation"] = parts["relation"].lower()
            if parts["relation"] not in (*RELATIONS, PLACE):
                raise UnparseableInstruction(f"unknown relation {parts['relation']!r} in {sentence!r}")
        return ParsedEdit(
            edit_type=edit_type,
            target=parts.get("target", ""),
            value=parts.get("value", ""),
            relation=parts.get("relation", ""),
            anchor=parts.get("anchor", ""),
            old_text=parts.get("old_text", ""),
            count=count,
        )
    raise UnparseableInstruction(f"{sentence!r} is not a bracketed {edit_type} instruction")


_REMAIN = re.compile(r",\s*remain (?:the )?(?P<names>.+?) unchanged", re.IGNORECASE | re.DOTALL)
_KEPT_PRONOUN = re.compile(r"(?:(?:leave|keep) )?(?:it|them)", re.IGNORECASE)


def remain_names(instruction: str) -> list[str]:
    """What a natural background instruction asks to keep ("..., remain the A, B unchanged"); [] without the clause.

    The bracketed instruction never carries it. cu sessions may name it by a pronoun only; see `by_pronoun`.
    """
    found = _REMAIN.search(instruction)
    return [name.strip() for name in found["names"].split(", ")] if found else []


def by_pronoun(kept: str) -> bool:
    """Whether an entry of `remain_names` is a pronoun ("them", "leave it") instead of a name."""
    return bool(_KEPT_PRONOUN.fullmatch(kept))
