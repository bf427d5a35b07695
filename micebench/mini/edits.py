"""What each of the nine edit types does to a scene.

Where an instruction leaves a choice (which free slot, which copies go), the reference edit takes the first in
reading order, so that a learner meets one answer per question; judges accept every answer that complies.
"""

from collections.abc import Mapping
from dataclasses import replace

from micebench.instructions import PLACE, ParsedEdit
from micebench.mini.world import COLORS, MATERIALS, MAX_COPIES, Kind, Scene, Thing, parse_name, related, step
from micebench.sessions import Rule


class ImpossibleEdit(ValueError):
    """The edit does not apply to this scene; the message says why."""


NO_PLACES: Mapping[str, int] = {}


def apply_edit(
    scene: Scene, edit: ParsedEdit, rule: Rule | None = None, places: Mapping[str, int] = NO_PLACES
) -> Scene:
    """The scene after one edit; `rule` also binds the object edited (removals and backgrounds have none).

    Args:
        places: name -> slot of objects removed earlier, for "in the place of".

    Raises:
        ImpossibleEdit: an object is not there, or fits several; no room; nothing to change.
    """
    match edit.edit_type:
        case "background_change":
            return replace(scene, background=edit.value)
        case "subject_add":
            thing = Thing(_complete(parse_name(edit.target)), (_slot_for_new(scene, edit, places),))
            return _put(scene, None, _bound(thing, rule))
    old = the_thing(scene, edit.target)
    match edit.edit_type:
        case "subject_remove":
            return _put(scene, old, None)
        case "subject_replace":
            new = Thing(_complete(parse_name(edit.value)), old.slots)
        case "color_alter":
            new = replace(old, kind=old.kind.with_("color", edit.value))
        case "material_alter":
            new = replace(old, kind=old.kind.with_("material", edit.value))
        case "text_change":
            new = replace(old, letter=edit.value)
        case "position_change":
            anchor = the_thing(scene, edit.anchor)
            new = replace(old, slots=(_beside(scene, edit.relation, anchor.slots[0]),))
        case "count_change":
            new = replace(old, slots=_copies(scene, old, edit.count or 0))
    return _put(scene, old, _bound(new, rule))


def the_thing(scene: Scene, name: str) -> Thing:
    """The one object a name fits. Raises ImpossibleEdit if there is none, or more than one."""
    try:
        found = scene.find(parse_name(name))
    except ValueError as error:
        raise ImpossibleEdit(str(error)) from None
    if len(found) != 1:
        raise ImpossibleEdit(f"{len(found)} objects are called {name!r}")
    return found[0]


def _bound(thing: Thing, rule: Rule | None) -> Thing:
    return thing if rule is None else replace(thing, kind=thing.kind.with_(rule.attribute, rule.value))


def _complete(kind: Kind) -> Kind:
    """Fill what a name leaves open; under a rule the open attribute is the one the rule then sets."""
    if kind.shape is None:
        raise ImpossibleEdit(f"{kind.name!r} says no shape")
    return Kind(kind.shape, kind.color or COLORS[0], kind.material or MATERIALS[0])


def _put(scene: Scene, old: Thing | None, new: Thing | None) -> Scene:
    things = [thing for thing in scene.things if thing is not old]
    if new is not None:
        if any(thing.kind == new.kind for thing in things):
            raise ImpossibleEdit(f"there already is a {new.kind.name}")
        things.append(new)
    return replace(scene, things=tuple(things))


def _slot_for_new(scene: Scene, edit: ParsedEdit, places: Mapping[str, int]) -> int:
    if edit.relation == PLACE:
        if places.get(edit.anchor) not in scene.free_slots():
            raise ImpossibleEdit(f"the place of {edit.anchor!r} is not known, or not free")
        return places[edit.anchor]
    if edit.relation:
        return _beside(scene, edit.relation, the_thing(scene, edit.anchor).slots[0])
    free = scene.free_slots()
    if not free:
        raise ImpossibleEdit("no free slot")
    return free[0]


def _beside(scene: Scene, relation: str, anchor: int) -> int:
    """The slot right beside the anchor if it is free, else the first free slot on that side."""
    free = scene.free_slots()
    near = step(anchor, relation)
    choices = [slot for slot in free if slot == near] or [slot for slot in free if related(slot, relation, anchor)]
    if not choices:
        raise ImpossibleEdit(f"no free slot {relation} of slot {anchor}")
    return choices[0]


def _copies(scene: Scene, thing: Thing, count: int) -> tuple[int, ...]:
    free = scene.free_slots()
    if not 1 <= count <= MAX_COPIES or count - len(thing.slots) > len(free):
        raise ImpossibleEdit(f"no room for {count} copies")
    kept = thing.slots[:count]
    return tuple(sorted(kept + tuple(free[: count - len(kept)])))
