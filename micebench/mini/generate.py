"""Sessions of the embedded world, endless and reproducible.

Splits are disjoint by source scene: a hash of the scene decides which split it belongs to. Training and
validation also never show (as source or as result) any of the looks in `HELD_OUT`, which the test split does.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from micebench.instructions import EDIT_TYPES, PLACE, RELATIONS, EditType, ParsedEdit
from micebench.mini.edits import ImpossibleEdit, apply_edit
from micebench.mini.language import join_rule, name_after, say, say_rule, shortest_name
from micebench.mini.render import every_kind
from micebench.mini.world import (
    BACKGROUNDS,
    COLORS,
    LETTERS,
    MATERIALS,
    MAX_COPIES,
    SHAPES,
    SLOTS,
    Kind,
    Scene,
    Thing,
    parse_name,
    related,
)
from micebench.sessions import Rule, Track

Split = Literal["train", "validation", "test"]

HELD_OUT: frozenset[Kind] = frozenset(kind for i, kind in enumerate(every_kind()) if (i * 7 + i // 32) % 11 == 3)
"""Attribute combinations (about one in eleven) that only the test split shows."""


@dataclass(frozen=True, slots=True)
class Step:
    """One turn of a generated session.

    Attributes:
        instruction, formatted: what the editor sees; the bracketed form the judge reads.
        edit: `formatted`, parsed.
        scene: the reference state after this turn (rule applied).
        unchanged, available, every: object pools after this turn, by name.
        same_background: whether no turn so far has changed the background.
    """

    instruction: str
    formatted: str
    edit: ParsedEdit
    scene: Scene
    unchanged: tuple[str, ...]
    available: tuple[str, ...]
    every: tuple[str, ...]
    same_background: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A generated session: source scene, rule, turns."""

    track: Track
    source: Scene
    rule: Rule | None
    steps: tuple[Step, ...]


def plans(split: Split, track: Track, turns: int, seed: int) -> Iterator[Plan]:
    """An endless stream of sessions; no source scene comes twice. Equal arguments give equal sessions."""
    seen: set[Scene] = set()
    index = 0
    while True:
        rng = random.Random(f"{split}/{track}/{turns}/{seed}/{index}")
        index += 1
        source = _random_scene(rng, allow_held_out=split == "test")
        if split_of(source) != split or source in seen:
            continue
        plan = _plan(source, track, turns, rng, allow_held_out=split == "test")
        if plan is not None:
            seen.add(source)
            yield plan


def split_of(scene: Scene) -> Split:
    """The split a source scene belongs to: 70 % train, 5 % validation, 25 % test, by hash."""
    things = sorted((thing.kind.name, thing.slots, thing.letter or "") for thing in scene.things)
    digest = hashlib.sha256(repr((scene.background, things)).encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 2**32
    return "train" if share < 0.70 else "validation" if share < 0.75 else "test"


def format_edit(edit: ParsedEdit) -> str:
    """The bracketed instruction (`instructions.parse_instruction` reads it back)."""
    match edit.edit_type:
        case "subject_add" if edit.relation == PLACE:
            return f"Add [{edit.target}] in the [{PLACE}] of [{edit.anchor}]"
        case "subject_add" if edit.relation:
            return f"Add [{edit.target}] on the [{edit.relation}] of [{edit.anchor}]"
        case "subject_add":
            return f"Add [{edit.target}]"
        case "subject_remove":
            return f"Remove [{edit.target}]"
        case "subject_replace":
            return f"Replace [{edit.target}] with [{edit.value}]"
        case "color_alter":
            return f"Change the color of [{edit.target}] to [{edit.value}]"
        case "material_alter":
            return f"Change the material of [{edit.target}] to [{edit.value}]"
        case "text_change" if edit.old_text:
            return f"Replace the text '[{edit.old_text}]' on [{edit.target}] with '[{edit.value}]'"
        case "text_change":
            return f"Add text '[{edit.value}]' on [{edit.target}]"
        case "position_change":
            return f"Change the position of [{edit.target}] to [{edit.relation}] of [{edit.anchor}]"
        case "count_change":
            return f"Change the count of [{edit.target}] to [{edit.count}]"
        case "background_change":
            return f"Change the background to [{edit.value}]"


def _random_kind(rng: random.Random, allow_held_out: bool) -> Kind:
    while True:
        kind = Kind(rng.choice(SHAPES), rng.choice(COLORS), rng.choice(MATERIALS))
        if allow_held_out or kind not in HELD_OUT:
            return kind


def _random_scene(rng: random.Random, allow_held_out: bool) -> Scene:
    kinds: list[Kind] = []
    wanted = rng.choice((2, 3, 3, 4, 4, 5))
    while len(kinds) < wanted:
        kind = _random_kind(rng, allow_held_out)
        if kind not in kinds:
            kinds.append(kind)
    slots = rng.sample(range(SLOTS), SLOTS)
    things: list[Thing] = []
    for kind in kinds:
        copies = rng.choice((2, 3)) if rng.random() < 0.15 and len(slots) - len(kinds) > 4 else 1
        taken, slots = slots[:copies], slots[copies:]
        letter = rng.choice(LETTERS) if rng.random() < 0.3 else None
        things.append(Thing(kind, tuple(sorted(taken)), letter))
    return Scene(rng.choice(BACKGROUNDS), tuple(things))


class _Writer:
    """Keeps the state of one session while its turns are chosen."""

    def __init__(self, source: Scene, rule: Rule | None, rng: random.Random, allow_held_out: bool) -> None:
        self.source = self.scene = source
        self.rule, self.rng, self.allow_held_out = rule, rng, allow_held_out
        self.names = {thing.kind: thing.kind.name for thing in source.things}  # look -> what it is called now
        self.unchanged = [thing.kind for thing in source.things]
        self.every = list(self.names.values())
        self.same_background = True
        self.places: dict[str, int] = {}
        self.focus: str | None = None

    def step(self, edit_type: EditType, pronoun: bool) -> Step | None:
        """Try one turn of this type; None if none is possible here."""
        edit = self._propose(edit_type, pronoun)
        if edit is None or _already(edit, self.source, self.rule):
            return None
        try:
            after = apply_edit(self.scene, edit, self.rule, self.places)
        except ImpossibleEdit:
            return None
        if not self._acceptable(after):
            return None
        return self._commit(edit, after, pronoun)

    def _propose(self, edit_type: EditType, pronoun: bool) -> ParsedEdit | None:
        rng, scene = self.rng, self.scene
        if edit_type == "background_change":
            return ParsedEdit(edit_type, value=rng.choice([b for b in BACKGROUNDS if b != scene.background]))
        if edit_type == "subject_add":
            edit = ParsedEdit(edit_type, target=self._new_name())
            if pronoun:
                return replace(edit, relation=PLACE, anchor=self.focus or "")
            singles = [thing for thing in scene.things if len(thing.slots) == 1]
            if singles and rng.random() < 0.8:
                anchor = rng.choice(singles)
                return replace(edit, relation=rng.choice(RELATIONS), anchor=self.names[anchor.kind])
            return edit
        single_only = edit_type in ("subject_replace", "text_change", "position_change")
        things = [
            thing
            for thing in scene.things
            if (not pronoun or self.names[thing.kind] == self.focus) and not (single_only and len(thing.slots) > 1)
        ]
        if not things or (edit_type == "subject_remove" and len(scene.things) < 2):
            return None
        thing = rng.choice(things)
        edit = ParsedEdit(edit_type, target=self.names[thing.kind])
        match edit_type:
            case "subject_replace":
                return replace(edit, value=self._new_name(other_than=thing.kind.shape))
            case "color_alter":
                return replace(edit, value=rng.choice([c for c in COLORS if c != thing.kind.color]))
            case "material_alter":
                return replace(edit, value=rng.choice([m for m in MATERIALS if m != thing.kind.material]))
            case "text_change":
                value = rng.choice([letter for letter in LETTERS if letter != thing.letter])
                return replace(edit, value=value, old_text=thing.letter or "")
            case "count_change":
                counts = [n for n in range(1, MAX_COPIES + 1) if n != len(thing.slots)]
                return replace(edit, count=rng.choice(counts))
            case "position_change":
                anchors = [t for t in scene.things if t is not thing and len(t.slots) == 1]
                if not anchors:
                    return None
                anchor = rng.choice(anchors)
                relations = [r for r in RELATIONS if not related(thing.slots[0], r, anchor.slots[0])]
                return replace(edit, relation=rng.choice(relations), anchor=self.names[anchor.kind])
        return edit

    def _new_name(self, other_than: str | None = None) -> str:
        kind = _random_kind(self.rng, self.allow_held_out)
        while kind.shape == other_than:
            kind = _random_kind(self.rng, self.allow_held_out)
        return (kind if self.rule is None else kind.with_(self.rule.attribute, None)).name

    def _acceptable(self, after: Scene) -> bool:
        """Names stay unambiguous (in cm: even with the rule's attribute unread), and a slot stays free."""
        kinds = [thing.kind for thing in after.things]
        if self.rule is not None:
            kinds = [kind.with_(self.rule.attribute, None) for kind in kinds]
        unambiguous = len(set(kinds)) == len(kinds)
        known = self.allow_held_out or not any(thing.kind in HELD_OUT for thing in after.things)
        return unambiguous and known and len(after.free_slots()) >= 1

    def _commit(self, edit: ParsedEdit, after: Scene, pronoun: bool) -> Step:
        before = self.scene
        gone = [thing for thing in before.things if thing not in after.things]
        came = [thing for thing in after.things if thing not in before.things]
        several = any(len(thing.slots) > 1 for thing in gone)
        kinds = [thing.kind for thing in before.things]
        short = {
            self.names[kind]: shortest_name(
                self._as_named(kind), [look for k in kinds if k != kind for look in (k, self._as_named(k))]
            )
            for kind in kinds
            if self.rng.random() < 0.25
        }
        keep = tuple(self.names[kind] for kind in kinds) if edit.edit_type == "background_change" else ()
        keep = keep if len(keep) <= 3 and self.rng.random() < 0.5 else ()
        words = say(edit, self.rng, pronoun=pronoun, several=several, short=short, keep=keep)

        for thing in gone:
            if edit.edit_type == "subject_remove":
                self.places[self.names[thing.kind]] = thing.slots[0]
            if thing.kind in self.unchanged:
                self.unchanged.remove(thing.kind)
            del self.names[thing.kind]
        for thing in came:
            kind = parse_name(name_after(edit) or "")
            if self.rule is not None:
                kind = kind.with_(self.rule.attribute, None)
            self.names[thing.kind] = kind.name
            if kind.name not in self.every:
                self.every.append(kind.name)
        self.focus = edit.target if edit.edit_type == "subject_remove" else None
        if came and edit.edit_type != "background_change":
            self.focus = self.names[came[0].kind]
        self.scene = after
        self.same_background &= edit.edit_type != "background_change"
        return Step(
            instruction=words,
            formatted=format_edit(edit),
            edit=edit,
            scene=after,
            unchanged=tuple(self.names[kind] for kind in self.unchanged),
            available=tuple(self.names[thing.kind] for thing in after.things),
            every=tuple(self.every),
            same_background=self.same_background,
        )

    def _as_named(self, kind: Kind) -> Kind:
        """What a name may say of this look: an edited object of a cm session is named without the rule."""
        return parse_name(self.names[kind])


def _already(edit: ParsedEdit, source: Scene, rule: Rule | None) -> bool:
    """Whether the source image satisfies the edit as it is: doing nothing must never be right."""
    if edit.edit_type == "background_change":
        return edit.value == source.background
    if edit.edit_type not in ("text_change", "count_change", "position_change"):
        return False

    def called(name: str) -> list[Thing]:
        kind = parse_name(name)
        return source.find(kind if rule is None else kind.with_(rule.attribute, None))

    for thing in called(edit.target):
        if edit.edit_type == "text_change" and thing.letter == edit.value:
            return True
        if edit.edit_type == "count_change" and len(thing.slots) == edit.count:
            return True
        if edit.edit_type == "position_change" and any(
            related(thing.slots[0], edit.relation, anchor.slots[0]) for anchor in called(edit.anchor)
        ):
            return True
    return False


def _plan(source: Scene, track: Track, turns: int, rng: random.Random, allow_held_out: bool) -> Plan | None:
    rule = _random_rule(rng) if track == "cm" else None
    writer = _Writer(source, rule, rng, allow_held_out)
    if not writer._acceptable(source):
        return None
    steps: list[Step] = []
    for number in range(1, turns + 1):
        step = _choose(writer, track, number, turns, [s.edit.edit_type for s in steps])
        if step is None:
            return None
        steps.append(step)
    if rule is not None:
        steps[0] = replace(steps[0], instruction=join_rule(rule.text, steps[0].instruction))
    return Plan(track, source, rule, tuple(steps))


def _choose(writer: _Writer, track: Track, number: int, turns: int, past: list[EditType]) -> Step | None:
    rng = writer.rng
    types: list[EditType] = rng.sample(EDIT_TYPES, len(EDIT_TYPES))
    if turns <= len(EDIT_TYPES) // 2 and track != "cu":
        types = [kind for kind in types if kind not in past]
    if track == "cm":
        assert writer.rule is not None
        clash = "color_alter" if writer.rule.attribute == "color" else "material_alter"
        types = [kind for kind in types if kind != clash]
        exempt = {"subject_remove", "background_change"}
        if sum(kind in exempt for kind in past) >= turns // 3:
            types = [kind for kind in types if kind not in exempt]
    pronoun = track == "cu" and number > 1 and writer.focus is not None
    if (track == "cu" and turns <= 3) or past.count("background_change") >= 2:
        types = [kind for kind in types if kind != "background_change"]
    if pronoun:
        if number > 2 and turns > 3 and rng.random() < 0.3:
            pronoun = False  # a long dialogue turns to another object now and then
        elif past[-1] == "subject_remove":
            types = ["subject_add"]
        else:
            types = [kind for kind in types if kind not in ("subject_add", "background_change")]
    for kind in types:
        for _ in range(4):
            step = writer.step(kind, pronoun)
            if step is not None:
                return step
    return None


def _random_rule(rng: random.Random) -> Rule:
    attribute = rng.choice(("color", "material"))
    value = rng.choice(COLORS if attribute == "color" else MATERIALS)
    return Rule(say_rule(attribute, value, rng), attribute, value)
