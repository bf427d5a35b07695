"""Did one turn happen? Instruction following on perceived scenes, per edit type.

The criteria are those of EdiVal-Bench and MICE-Bench (existence, place, count, attribute of the named object,
always against the previous image), decided exactly: the removed object is really gone, the replaced one too,
the relation is that of the right pair, a recoloured object is otherwise the same. Names in a cm session leave
the rule's attribute open here: the rule is not part of instruction following.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from micebench.instructions import PLACE, ParsedEdit
from micebench.mini.perceive import EMPTY, UNREADABLE, Reading
from micebench.mini.world import BACKGROUNDS, LETTERS, Kind, parse_name, related
from micebench.sessions import Rule


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one turn did.

    Attributes:
        followed: whether the bracketed instruction was carried out.
        reason: one line.
        edited: slots that hold the edited object after the turn.
        touched: slots the turn was free to change: the object's before and after.
    """

    followed: bool
    reason: str
    edited: tuple[int, ...] = ()
    touched: tuple[int, ...] = ()


class View(NamedTuple):
    """One image of a reading, addressed by slot."""

    reading: Reading
    row: int

    def slots_of(self, name: Kind) -> list[int]:
        return self.reading.slots_of(self.row, name)

    def look(self, slot: int) -> Kind | None:
        return self.reading.look(self.row, slot)

    def letter(self, slot: int) -> str | None:
        index = int(self.reading.letter[self.row, slot])
        return LETTERS[index] if index >= 0 else None

    def empty(self, slot: int) -> bool:
        return bool(self.reading.kind[self.row, slot] == EMPTY)

    @property
    def background(self) -> str | None:
        index = int(self.reading.background[self.row])
        return None if index == UNREADABLE else BACKGROUNDS[index]

    def describe(self, slot: int) -> str:
        look = self.look(slot)
        if look is not None:
            return f"a {look.name}"
        return "nothing" if self.empty(slot) else "something unreadable"


def follow(edit: ParsedEdit, views: Sequence[View], rule: Rule | None, keep: Sequence[str]) -> Outcome:
    """Judge the turn that led to the last of `views` (source image first).

    Args:
        edit: the parsed bracketed instruction.
        rule: the session's rule, whose attribute is left open.
        keep: names a background change has to leave standing.

    Raises:
        ValueError: the annotation names something that cannot exist in this world.
    """
    before, after = views[-2], views[-1]
    match edit.edit_type:
        case "background_change":
            return _background(edit, after, [_opened(name, rule) for name in keep])
        case "subject_add":
            return _add(edit, views, _opened(edit.target, rule))
        case _:
            return _on_existing(edit, before, after, rule)


def _on_existing(edit: ParsedEdit, before: View, after: View, rule: Rule | None) -> Outcome:
    old = before.slots_of(parse_name(edit.target))
    if not old:
        return Outcome(False, f"there was no {edit.target} to begin with")
    match edit.edit_type:
        case "subject_remove":
            return _remove(edit, old, after)
        case "subject_replace":
            return _replace(edit, old, after, _opened(edit.value, rule))
        case "color_alter" | "material_alter" | "text_change":
            return _alter(edit, old, before, after, rule)
        case "position_change":
            return _move(edit, old, before, after, _opened(edit.target, rule))
        case _:
            return _count(edit, old, before, after, _opened(edit.target, rule))


def _opened(name: str, rule: Rule | None) -> Kind:
    kind = parse_name(name)
    return kind if rule is None else kind.with_(rule.attribute, None)


def _background(edit: ParsedEdit, after: View, keep: list[Kind]) -> Outcome:
    if edit.value not in BACKGROUNDS:
        raise ValueError(f"{edit.value!r} is not a background")
    if after.background != edit.value:
        return Outcome(False, f"the background is {after.background or 'unreadable'}, not {edit.value}")
    gone = [name.name for name in keep if not after.slots_of(name)]
    if gone:
        return Outcome(False, f"the {gone[0]} did not stay")
    return Outcome(True, f"the background is {edit.value}")


def _add(edit: ParsedEdit, views: Sequence[View], name: Kind) -> Outcome:
    before, after = views[-2], views[-1]
    had = before.slots_of(name)
    new = [slot for slot in after.slots_of(name) if slot not in had]
    if len(new) != 1 or any(slot not in after.slots_of(name) for slot in had):
        return Outcome(False, f"{len(new)} new {name.name} found, 1 wanted", tuple(new), tuple(new))
    slot = new[0]
    if edit.relation == PLACE:
        anchor = parse_name(edit.anchor)
        sightings = [found for view in views[:-1] if (found := view.slots_of(anchor))]
        spots = sightings[-1] if sightings else []
        fits = slot in spots
    elif edit.relation:
        spots = before.slots_of(parse_name(edit.anchor))
        fits = any(related(slot, edit.relation, spot) for spot in spots)
    else:
        return Outcome(True, f"a new {name.name}", (slot,), (slot,))
    where = "in" if edit.relation == PLACE else ""
    words = f"{where} {edit.relation} of the {edit.anchor}".strip()
    if not spots:
        return Outcome(False, f"there was no {edit.anchor} to place it by", (slot,), (slot,))
    return Outcome(fits, f"the new {name.name} is {'' if fits else 'not '}{words}", (slot,), (slot,))


def _remove(edit: ParsedEdit, old: list[int], after: View) -> Outcome:
    left = after.slots_of(parse_name(edit.target))
    if left:
        return Outcome(False, f"the {edit.target} is still there", tuple(left), (*old, *left))
    filled = [slot for slot in old if not after.empty(slot)]
    if filled:
        return Outcome(False, f"where it was, there is {after.describe(filled[0])}", (), tuple(old))
    return Outcome(True, f"the {edit.target} is gone", (), tuple(old))


def _replace(edit: ParsedEdit, old: list[int], after: View, new: Kind) -> Outcome:
    wrong = [slot for slot in old if (look := after.look(slot)) is None or not new.fits(look)]
    if wrong:
        return Outcome(False, f"in its place is {after.describe(wrong[0])}, not a {new.name}", tuple(old), tuple(old))
    left = [slot for slot in after.slots_of(parse_name(edit.target)) if slot not in old]
    if left:
        return Outcome(False, f"the {edit.target} is still there", tuple(old), (*old, *left))
    return Outcome(True, f"a {new.name} in its place", tuple(old), tuple(old))


def _alter(edit: ParsedEdit, old: list[int], before: View, after: View, rule: Rule | None) -> Outcome:
    for slot in old:
        wanted, letter = before.look(slot), before.letter(slot)
        assert wanted is not None  # slots_of only returns readable ones
        if edit.edit_type == "text_change":
            letter = edit.value
        else:
            wanted = wanted.with_("color" if edit.edit_type == "color_alter" else "material", edit.value)
        if rule is not None:
            wanted = wanted.with_(rule.attribute, None)
        look = after.look(slot)
        if look is None or not wanted.fits(look):
            return Outcome(False, f"there is {after.describe(slot)}, not a {wanted.name}", tuple(old), tuple(old))
        if after.letter(slot) != letter:
            said = f"the letter is {after.letter(slot) or 'none'}, not {letter or 'none'}"
            return Outcome(False, said, tuple(old), tuple(old))
    return Outcome(True, f"the {edit.target} is now {edit.value}", tuple(old), tuple(old))


def _move(edit: ParsedEdit, old: list[int], before: View, after: View, name: Kind) -> Outcome:
    now = after.slots_of(name)
    touched = (*old, *now)
    if len(now) != len(old):
        return Outcome(False, f"{len(now)} {name.name} after the move, {len(old)} before", tuple(now), touched)
    if after.letter(now[0]) != before.letter(old[0]):
        return Outcome(False, f"the letter on the {name.name} changed", tuple(now), touched)
    anchors = after.slots_of(parse_name(edit.anchor))
    if not anchors:
        return Outcome(False, f"there is no {edit.anchor} to place it by", tuple(now), touched)
    fits = all(related(slot, edit.relation, anchor) for slot in now for anchor in anchors)
    words = f"the {name.name} is {'' if fits else 'not '}{edit.relation} of the {edit.anchor}"
    return Outcome(fits, words, tuple(now), touched)


def _count(edit: ParsedEdit, old: list[int], before: View, after: View, name: Kind) -> Outcome:
    now = after.slots_of(name)
    touched = (*old, *now)
    if len(now) != edit.count:
        return Outcome(False, f"{len(now)} {name.name}, not {edit.count}", tuple(now), touched)
    if {after.letter(slot) for slot in now} != {before.letter(old[0])}:
        return Outcome(False, f"the copies of the {name.name} bear different letters", tuple(now), touched)
    return Outcome(True, f"{edit.count} {name.name}", tuple(now), touched)
