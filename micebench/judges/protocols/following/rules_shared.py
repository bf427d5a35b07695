"""The rules EdiVal and MICE-Bench share, as their code applies them."""

from collections.abc import Callable, Generator, Sequence
from typing import Any

from micebench.instructions import ParsedEdit
from micebench.judges.models.base import Detection, Request
from micebench.judges.models.boxes import iou, related, without_duplicates
from micebench.judges.protocols.following.published_views import Pair, View
from micebench.judges.protocols.following.steps import Step, failed
from micebench.verdicts import Verdict

Centre = Callable[[View, Detection], tuple[float, float]]


def answered(value: float, what: str) -> Verdict:
    """The VLM's answer as the verdict."""
    return Verdict.ok(value, f"asked whether {what}: {value:.2f}")


def add(pair: Pair, edit: ParsedEdit, gate: float, where: Centre) -> Step:
    """After the VLM's `gate`: the object is there, and some pair of it and its anchor stands in the relation.

    The anchor is looked for in the image before the turn, the object in the one after; `where` says how a centre
    is measured. The value is the gate's.
    """
    found = pair.rules.found
    # "in the place of" is no form of theirs: their parser reads the first bracket only
    if edit.relation not in {"left", "right", "above", "below"}:
        now = yield from pair.after.all(edit.target, found)
        return Verdict.ok(gate, f"{len(now)} {edit.target} found") if now else failed(f"no {edit.target} found")
    anchors = yield from pair.before.all(edit.anchor, found)
    now = yield from pair.after.all(edit.target, found)
    if not anchors or not now:
        return failed(f"{len(anchors)} {edit.anchor} found before, {len(now)} {edit.target} after")
    fits = any(
        related(where(pair.after, new), edit.relation, where(pair.before, anchor), pair.rules.offset)
        for anchor in anchors
        for new in now
    )
    words = f"{edit.relation} of a {edit.anchor}"
    return Verdict.ok(gate, f"a {edit.target} is {words}") if fits else failed(f"no {edit.target} is {words}")


def remove(pair: Pair, edit: ParsedEdit, *, confused: tuple[str, ...] = ()) -> Step:
    """The best box after the turn is elsewhere, or there is none; no VLM.

    A name that contains one of the `confused` words is looked for once more by that bare word.
    """
    rules, name = pair.rules, edit.target
    source = yield from pair.before.single(name, rules.found_removed, ignore_huge=rules.huge_removed)
    if source is None:
        return failed(f"no {name} found before")
    target = yield from pair.after.single(name, rules.found_removed, ignore_huge=rules.huge_removed)
    if target is None:
        return Verdict.ok(1.0, f"no {name} found after")
    if iou(source.box, target.box) < rules.still_there:
        return Verdict.ok(1.0, f"the best {name} is in another place")
    for word in confused:
        if word in name.lower():
            left = yield from pair.after.single(word, rules.found_removed)
            if left is None:
                return Verdict.ok(1.0, f"no {word} found after")
    return failed(f"the {name} is still there")


def replace(pair: Pair, edit: ParsedEdit, gate: float) -> Step:
    """After the VLM's `gate`: any box of the new object touches any of the old one. The old one may remain."""
    old, new = singular(edit.target), singular(edit.value)
    source = yield from pair.before.all(old, pair.rules.found)
    target = yield from pair.after.all(new, pair.rules.found)
    if not source or not target:
        return failed(f"{len(source)} {old} found before, {len(target)} {new} after")
    if any(iou(a.box, b.box) > 0 for a in source for b in target):
        return Verdict.ok(gate, f"a {new} where a {old} was")
    return failed(f"no {new} where a {old} was")


def same_counts(pair: Pair, target: str, anchor: str) -> Generator[Request, Any, str]:
    """The first name whose number of objects the turn has changed, with both numbers; "" if none."""
    above, duplicate = pair.rules.found_moved, pair.rules.duplicate
    for name in (anchor, target):
        before = yield from pair.before.all(name, above)
        after = yield from pair.after.all(name, above)
        numbers = len(without_duplicates(before, duplicate)), len(without_duplicates(after, duplicate))
        if numbers[0] != numbers[1]:
            return f"{numbers[0]} {name} before, {numbers[1]} after"
    return ""


def placed(view: View, edit: ParsedEdit, target: Detection, anchor: Detection) -> Verdict:
    """The relation of two centres in whole pixels, on its axis alone, without a margin."""
    fits = related(view.pixel(target), edit.relation, view.pixel(anchor))
    words = f"{edit.relation} of the {edit.anchor}"
    return Verdict.ok(1.0, f"the {edit.target} is {words}") if fits else failed(f"the {edit.target} is not {words}")


def count(pair: Pair, edit: ParsedEdit, *, none_allowed: bool) -> Step:
    """The object was there, and its boxes after the turn, without later duplicates, are as many as asked for."""
    source = yield from pair.before.single(edit.target, pair.rules.found)
    target = yield from pair.after.all(edit.target, pair.rules.found)
    number = len(without_duplicates(target, pair.rules.duplicate))
    if source is None or not (target or none_allowed):
        return failed(f"no {edit.target} found {'before' if source is None else 'after'}")
    return Verdict.ok(float(number == edit.count), f"{number} {edit.target}, {edit.count} wanted")


def read(replies: Sequence[str], wanted: str) -> Verdict:
    """Share of the VLM's replies that have the wanted text somewhere in them, letters of either case."""
    votes = tuple(float(wanted.lower() in reply.lower()) for reply in replies)
    return Verdict.ok(sum(votes) / len(votes), f"{wanted!r} in {replies[0][:200]!r}")


def singular(name: str) -> str:
    """Their way: a last "es" goes, else a last "s" ("shoes" becomes "sho")."""
    return name.removesuffix("es") if name.endswith("es") else name.removesuffix("s")
