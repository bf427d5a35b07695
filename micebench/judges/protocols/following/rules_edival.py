"""EdiVal's instruction following, as detector/instruction_detector.py @ a7bbdec decides it (arXiv 2509.13399).

What differs on purpose: a component that fails, or an annotation its parser cannot read, is a status and no zero.
"""

import re

from micebench.instructions import ParsedEdit, unquote
from micebench.judges.models.boxes import centre, contains, huge
from micebench.judges.protocols.following.published_views import Pair
from micebench.judges.protocols.following.rules_shared import (
    add,
    answered,
    count,
    placed,
    read,
    remove,
    replace,
    same_counts,
)
from micebench.judges.protocols.following.steps import Step, failed
from micebench.verdicts import Status, Verdict

_KEEPING = re.compile(r"Change the background to (?P<background>[^,]+), remain the (?P<kept>.+) unchanged")
_CONFUSED = ("hat", "bird")
"""Their detector finds objects called so where there are none."""


def follow(pair: Pair, edit: ParsedEdit) -> Step:
    """The verdict on one turn."""
    match edit.edit_type:
        case "subject_add":
            gate = yield from pair.compared("newly_added", name=edit.target)
            if gate == 0:
                return failed(f"the VLM sees no new {edit.target}")
            return (yield from add(pair, edit, gate, lambda _, found: centre(found.box)))
        case "subject_remove":
            return (yield from remove(pair, edit, confused=_CONFUSED))
        case "subject_replace":
            gate = yield from pair.compared("replaced", name=edit.target, new=edit.value)
            if gate == 0:
                return failed(f"the VLM sees no {edit.target} replaced")
            return (yield from replace(pair, edit, gate))
        case "color_alter" | "material_alter":
            value = yield from pair.compared("altered", instruction=unquote(pair.question.current.formatted or ""))
            return answered(value, "the edit has succeeded")
        case "text_change":
            return (yield from _text(pair, edit))
        case "position_change":
            return (yield from _position(pair, edit))
        case "count_change":
            return (yield from count(pair, edit, none_allowed=False))
        case "background_change":
            return (yield from _background(pair))


def _text(pair: Pair, edit: ParsedEdit) -> Step:
    if edit.target and not edit.old_text:
        return _no_form("text added to an object")
    picture = pair.after.vlm
    if edit.old_text:
        source = yield from pair.before.single(edit.target, pair.rules.found)
        target = yield from pair.after.single(edit.target, pair.rules.found)
        if source is None or target is None:
            return failed(f"{edit.target} found before: {source is not None}, after: {target is not None}")
        picture = pair.after.part(source.box)
    replies = yield from pair.asker.texts("read_text", (picture,))
    return read(replies, edit.value)


def _position(pair: Pair, edit: ParsedEdit) -> Step:
    names: list[str] = []
    for name in (edit.target, edit.anchor):
        core = yield from pair.asker.text("core_name", (), name=name)
        names.append(re.sub(r"[\[\]\"']", "", core.strip().lower()) or name)
    changed = yield from same_counts(pair, *names)
    if changed:
        return failed(changed)
    anchor = yield from pair.after.single(edit.anchor, pair.rules.found)
    target = yield from pair.after.single(edit.target, pair.rules.found)
    if anchor is None or target is None:
        return failed(
            f"after the turn {edit.anchor} found: {anchor is not None}, {edit.target}: {target is not None}"
        )
    if contains(anchor.box, target.box) or contains(target.box, anchor.box):
        return failed(f"one of {edit.target} and {edit.anchor} contains the other")
    return placed(pair.after, edit, target, anchor)


def _background(pair: Pair) -> Step:
    """Reads the natural instruction, where alone the objects to be kept are named."""
    asked = _KEEPING.search(pair.question.current.instruction)
    if asked is None:
        return _no_form("a background change that keeps nothing")
    for name in filter(None, map(str.strip, asked["kept"].split(","))):
        found = yield from pair.after.single(name, pair.rules.found_kept)
        if found is None or huge(found.box, pair.rules.huge_kept):
            return failed(f"{name} is {'not found' if found is None else 'the whole image'}")
    value = yield from pair.asked("background", background=asked["background"])
    return answered(value, f"the background shows {asked['background']}")


def _no_form(what: str) -> Verdict:
    return Verdict.missing(Status.INVALID_ANNOTATION, f"EdiVal has no rule for {what}")
