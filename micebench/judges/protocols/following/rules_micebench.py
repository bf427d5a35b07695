"""Our instruction following. The detector decides what it can see, the VLM is asked only where it has agreed.

Each rule is stated in docs/protocols.md, beside what the published protocols do and why that is not enough.
"""

from collections.abc import Generator
from typing import Any

from micebench.instructions import PLACE, ParsedEdit, by_pronoun, remain_names
from micebench.judges.models.base import Box, Request
from micebench.judges.models.boxes import centre, covered, iou, related
from micebench.judges.protocols.following.detections import Objects, Scene, Sought
from micebench.judges.protocols.following.steps import Step, failed
from micebench.judges.protocols.following.text_matching import occurrences
from micebench.verdicts import Verdict


def follow(scene: Scene, edit: ParsedEdit) -> Step:
    """The verdict on one turn."""
    match edit.edit_type:
        case "subject_add":
            return (yield from _add(scene, edit))
        case "background_change":
            return (yield from _background(scene, edit))
        case "text_change" if not edit.target:
            return (yield from _text(scene, edit, None))
        case _:
            target = yield from scene.sought(edit.target)
            if not target.objects:
                return (yield from scene.lost(edit.target))
            return (yield from _on_existing(scene, edit, target))


def _on_existing(scene: Scene, edit: ParsedEdit, target: Sought) -> Step:
    match edit.edit_type:
        case "subject_remove":
            return (yield from _remove(scene, edit, target))
        case "subject_replace":
            return (yield from _replace(scene, edit, target))
        case "color_alter":
            value = yield from scene.asker.yes("color", scene.close(target.box), name=edit.target, color=edit.value)
            return Verdict.ok(value, f"asked whether the {edit.target} is now {edit.value}: {value:.2f}")
        case "material_alter":
            images = scene.close(target.box)
            value = yield from scene.asker.yes("material", images, name=edit.target, material=edit.value)
            return Verdict.ok(value, f"asked whether the {edit.target} is now made of {edit.value}: {value:.2f}")
        case "text_change":
            return (yield from _text(scene, edit, target))
        case "position_change":
            return (yield from _position(scene, edit, target))
        case _:  # count_change
            now = yield from scene.objects(scene.after, target.query)
            return Verdict.ok(float(len(now) == edit.count), f"{len(now)} {edit.target}, {edit.count} wanted")


def _add(scene: Scene, edit: ParsedEdit) -> Step:
    """A new object, in the relation to the anchor; and the VLM sees it appear."""
    name = edit.target
    had = yield from scene.traces(name)
    now = yield from scene.objects(scene.after, name)
    new = scene.elsewhere(now, had)
    if not new:
        return failed(f"{len(now)} {name} found, none of them new")
    if edit.relation == PLACE:
        place = yield from _last_seen(scene, edit.anchor)
        if place is None or covered(new[0].box, place) < scene.rules.inside:
            return failed(f"the new {name} is not in the place of the {edit.anchor}")
    elif edit.relation:
        anchor = yield from scene.sought(edit.anchor)
        if not anchor.objects:
            return (yield from scene.lost(edit.anchor))
        anchors = yield from scene.objects(scene.after, anchor.query)
        new = scene.not_outscored(new, anchors)
        if not new:
            return failed(f"what was taken for a new {name} is the {edit.anchor}")
        # an anchor that the detector does not see again is taken to be where it was
        place = _stayed(scene, anchor.box, anchors) or anchor.box
        if not related(centre(new[0].box), edit.relation, centre(place), scene.rules.offset):
            return failed(f"the new {name} is not {edit.relation} of the {edit.anchor}")
    value = yield from scene.asker.yes("newly_added", (scene.before, scene.after), name=name)
    return Verdict.ok(value, f"a new {name}; asked whether it is one: {value:.2f}")


def _remove(scene: Scene, edit: ParsedEdit, target: Sought) -> Step:
    """What is left of that name are the others that were there before; and the VLM sees it gone."""
    now = yield from scene.objects(scene.after, target.query)
    left = yield from _left(scene, target, now)
    if left:
        return failed(left)
    value = yield from scene.asker.yes("removed", scene.close(target.box), name=edit.target)
    return Verdict.ok(value, f"no {edit.target} left there; asked whether it is gone: {value:.2f}")


def _replace(scene: Scene, edit: ParsedEdit, target: Sought) -> Step:
    """The old object is gone as if removed, a new one that was not there before is in its place; the VLM agrees."""
    old_now = yield from scene.objects(scene.after, target.query)
    new_now = yield from scene.objects(scene.after, edit.value)
    # where both names fit one box, the detector cannot tell them apart, and the VLM decides
    left = yield from _left(scene, target, scene.elsewhere(old_now, new_now))
    if left:
        return failed(left)
    had = yield from scene.traces(edit.value)
    new = scene.elsewhere(new_now, scene.elsewhere(had, target.objects[:1]))
    if not any(covered(one.box, target.box) >= scene.rules.inside for one in new):
        return failed(f"no new {edit.value} where the {edit.target} was")
    value = yield from scene.asker.yes("replaced", scene.close(target.box), name=edit.target, new=edit.value)
    return Verdict.ok(value, f"a {edit.value} where the {edit.target} was; asked whether it replaced it: {value:.2f}")


def _position(scene: Scene, edit: ParsedEdit, target: Sought) -> Step:
    """As many objects as before, the anchor where it was, and the one that moved in the relation to it."""
    anchor = yield from scene.sought(edit.anchor)
    if not anchor.objects:
        return (yield from scene.lost(edit.anchor))
    targets = yield from scene.objects(scene.after, target.query)
    anchors = yield from scene.objects(scene.after, anchor.query)
    for one, now in ((anchor, anchors), (target, targets)):
        if len(one.objects) != len(now):
            return failed(f"{len(one.objects)} {one.query} before, {len(now)} after")
    place = _stayed(scene, anchor.box, anchors)
    if place is None:
        return failed(f"the {edit.anchor} is not where it was")
    candidates = scene.not_outscored(targets, anchors)
    moved = scene.elsewhere(candidates, target.objects)
    stayed = _stayed(scene, target.box, candidates)
    if stayed is not None and related(centre(target.box), edit.relation, centre(anchor.box), scene.rules.offset):
        return failed(f"the {edit.target} was there already and has not moved")
    now_at = stayed or (moved[0].box if moved else None)
    if now_at is None or not related(centre(now_at), edit.relation, centre(place), scene.rules.offset):
        return failed(f"the {edit.target} is not {edit.relation} of the {edit.anchor}")
    return Verdict.ok(1.0, f"the {edit.target} is now {edit.relation} of the {edit.anchor}")


def _text(scene: Scene, edit: ParsedEdit, target: Sought | None) -> Step:
    """The text stands there as whole words once more than before; a replaced one stands there no longer."""
    was = now = None
    if target is not None:
        was = target.box
        now = _stayed(scene, was, (yield from scene.objects(scene.after, target.query, scene.rules.kept)))
        if now is None:
            return failed(f"the {edit.target} is not where it was")
    before = yield from scene.lines(scene.before, was)
    after = yield from scene.lines(scene.after, now)
    times = occurrences(edit.value, after)
    if times <= occurrences(edit.value, before):
        return failed(f"{edit.value!r} is not new among {after}"[:300])
    if edit.old_text and occurrences(edit.old_text, after) > times * occurrences(edit.old_text, [edit.value]):
        return failed(f"{edit.old_text!r} is still there")
    return Verdict.ok(1.0, f"{edit.value!r} among {after}"[:300])


def _background(scene: Scene, edit: ParsedEdit) -> Step:
    """Everything named in the remain clause is still there, and the VLM sees the new background."""
    turn = scene.question.current
    pool = turn.available_objects
    named = [name for name in remain_names(turn.instruction) if not by_pronoun(name)]
    kept = [name for name in named if pool is None or name in pool]
    ignored = [f"{name} (no longer in the pool)" for name in named if name not in kept]
    for name in kept:
        if (yield from scene.objects(scene.after, name, scene.rules.kept)):
            continue
        if (yield from scene.objects(scene.before, name)):
            return failed(f"the {name} did not stay")
        ignored.append(f"{name} (not seen before either)")
    value = yield from scene.asker.yes("background", (scene.before, scene.after), background=edit.value)
    said = f"asked whether the background is now {edit.value}: {value:.2f}"
    return Verdict.ok(value, f"{said}; not checked: {', '.join(ignored)}" if ignored else said)


def _left(scene: Scene, target: Sought, now: Objects) -> Generator[Request, Any, str]:
    """What speaks against the best of the objects being gone, or "": one at its place, or one more elsewhere."""
    traces = yield from scene.traces(target.query)
    others = [one for one in traces if not scene.same_place(one.box, target.box)]
    more = scene.elsewhere(now, others)
    if not more:
        return ""
    there = any(covered(one.box, target.box) >= scene.rules.inside for one in more)
    return f"the {target.query} is still there" if there else f"the {target.query} is only elsewhere"


def _stayed(scene: Scene, box: Box, now: Objects) -> Box | None:
    """Where the object that was at `box` is now, if it has stayed."""
    nearest = max(now, key=lambda one: iou(one.box, box), default=None)
    return nearest.box if nearest is not None and scene.same_place(nearest.box, box) else None


def _last_seen(scene: Scene, name: str) -> Generator[Request, Any, Box | None]:
    """Where an object that an earlier turn removed was last."""
    for image in reversed(scene.question.earlier):
        found = yield from scene.objects(image, name)
        if found:
            return found[0].box
    return None
