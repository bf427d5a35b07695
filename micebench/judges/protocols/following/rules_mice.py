"""MICE-Bench's instruction following, as edival_reward_server.py of Edit-R2 @ 2dd266f decides it (arXiv 2606.05950).

EdiVal's rules with its own gates and shortcuts. What differs on purpose: a component that fails, or an annotation
its parser cannot read, is a status and no zero.
"""

from micebench.instructions import ParsedEdit, unquote
from micebench.judges.protocols.following.published_views import Pair, View
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


def follow(pair: Pair, edit: ParsedEdit) -> Step:
    """The verdict on one turn."""
    match edit.edit_type:
        case "subject_add" | "subject_replace":
            added = edit.edit_type == "subject_add"
            instruction = unquote(pair.question.current.formatted or "")
            gate = yield from pair.compared("added" if added else "replaced", instruction=instruction)
            if gate == 0:
                return failed("the VLM does not see the instruction applied")
            rule = add(pair, edit, gate, View.rounded) if added else replace(pair, edit, gate)
            return (yield from rule)
        case "subject_remove":
            return (yield from remove(pair, edit))
        case "color_alter":
            value = yield from pair.compared("color", name=edit.target, color=edit.value)
            return answered(value, f"the {edit.target} is now {edit.value}")
        case "material_alter":
            value = yield from pair.compared("material", name=edit.target, material=edit.value)
            return answered(value, f"the {edit.target} is now made of {edit.value}")
        case "text_change":
            return (yield from _text(pair, edit))
        case "position_change":
            return (yield from _position(pair, edit))
        case "count_change":
            return (yield from count(pair, edit, none_allowed=True))
        case "background_change":
            # reads the bracketed instruction, which never says what to keep: nothing is checked but the background
            value = yield from pair.asked("background", background=edit.value)
            return answered(value, f"the background shows {edit.value}")


def _text(pair: Pair, edit: ParsedEdit) -> Step:
    if edit.target and not edit.old_text:
        return Verdict.missing(Status.INVALID_ANNOTATION, "MICE-Bench has no rule for text added to an object")
    if edit.old_text:
        source = yield from pair.before.single(edit.target, pair.rules.found)
        if source is None:
            return failed(f"no {edit.target} found before")
    replies = yield from pair.asker.texts("read_text", (pair.after.vlm,))
    return read(replies, edit.value)


def _position(pair: Pair, edit: ParsedEdit) -> Step:
    changed = yield from same_counts(pair, edit.target, edit.anchor)
    if changed:
        return failed(changed)
    anchors = yield from pair.after.all(edit.anchor, pair.rules.found_moved)
    targets = yield from pair.after.all(edit.target, pair.rules.found_moved)
    if not anchors or not targets:
        return failed(f"after the turn {len(anchors)} {edit.anchor} found, {len(targets)} {edit.target}")
    return placed(pair.after, edit, targets[0], anchors[0])  # the first of the detector's, not the best
