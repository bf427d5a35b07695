"""Counts over the sessions of one annotation file and track: the statistics half of `micebench check`."""

import re
from collections import Counter
from typing import Any

from micebench.instructions import EDIT_TYPES, ParsedEdit, by_pronoun, remain_names
from micebench.sessions import Session, Turn
from micebench.tasks.audit.checks import parse_turn

PRONOUNS = ("its", "it", "their", "them", "there")
"""What later turns of a cu session refer with; the first of these that a turn contains is counted."""
_PRONOUN = re.compile(rf"\b({'|'.join(PRONOUNS)})\b", re.IGNORECASE)


def pronoun(instruction: str) -> str:
    """The first pronoun of `PRONOUNS` in an instruction, "none" without one."""
    found = _PRONOUN.search(instruction)
    return found[1].lower() if found else "none"


class Tally:
    """Counts of one set, fed session by session."""

    def __init__(self, file: str, track: str) -> None:
        self.file, self.track = file, track
        self.sessions = self.turns = 0
        self.lengths: Counter[str] = Counter()
        self.types: dict[str, Counter[str]] = {name: Counter() for name in EDIT_TYPES}
        self.invalid: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()
        self.measure: Counter[str] = Counter()
        self.forms: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.sequences: Counter[tuple[str | None, ...]] = Counter()
        self.pronouns: Counter[str] = Counter()
        self.without_pronoun = 0
        self.remain: Counter[str] = Counter()
        self.rules: Counter[str] = Counter()
        self.rule_values: dict[str, set[str]] = {"color": set(), "material": set()}
        self.rule_texts: set[str] = set()
        self.rule_templates: Counter[str] = Counter()
        self.text: Counter[str] = Counter()
        self.longest_caption = 0

    def add(self, session: Session) -> None:
        """Count one session."""
        self.sessions += 1
        self.lengths[str(len(session.turns))] += 1
        types = tuple(turn.edit_type for turn in session.turns)
        if all(types):
            self.sequences[types] += 1
            self.text["sessions with a repeated edit type"] += len(set(types)) < len(types)
        flags = [turn.bg_consistency for turn in session.turns]
        if None not in flags:
            self.flags["".join("T" if flag else "F" for flag in flags)] += 1
        self.text["sessions with non-ASCII text"] += not _ascii(session)
        for turn in session.turns:
            self._turn(turn)
        self._references(session)
        if session.rule is not None:
            rule = session.rule
            self.rules[rule.attribute] += 1
            self.rule_values[rule.attribute].add(rule.value)
            self.rule_texts.add(rule.text)
            self.rule_templates[rule.text.replace(f"{rule.value} {rule.attribute}", f"... {rule.attribute}", 1)] += 1

    def _turn(self, turn: Turn) -> None:
        self.turns += 1
        if turn.edit_type is not None:
            self.types.setdefault(turn.edit_type, Counter())[str(turn.number)] += 1
        self.invalid.update(turn.invalid.keys())
        if turn.unchanged_objects is not None and turn.bg_consistency is not None:
            no_object, no_background = not turn.unchanged_objects, not turn.bg_consistency
            self.measure["no unchanged object"] += no_object
            self.measure["background changed"] += no_background
            self.measure["neither"] += no_object and no_background
        edit = parse_turn(turn)
        if isinstance(edit, ParsedEdit):
            self._form(edit)
        if turn.edit_type == "background_change":
            kept = remain_names(turn.instruction)
            named = [name for name in kept if not by_pronoun(name)]
            self.remain["background turns"] += 1
            self.remain["without a remain clause"] += not kept
            self.remain["by pronoun only"] += bool(kept) and not named
            self.remain["keeping an object that is not in the pool"] += any(
                name not in (turn.available_objects or ()) for name in named
            )
        self.text["turns with a line break in the instruction"] += "\n" in turn.instruction
        self.text["turns with the instruction in stray double quotes"] += turn.instruction.strip().startswith('"')
        self.text["turns with bracketed text ending in a full stop"] += (turn.formatted or "").endswith(".")
        self.text["turns with non-ASCII bracketed text"] += not (turn.formatted or "").isascii()
        pool = turn.all_objects or ()
        # one detector caption names the whole pool, a full stop as a word of its own between names
        caption = sum(len(name.split()) + 1 for name in pool) - 1
        self.longest_caption = max(self.longest_caption, caption)

    def _form(self, edit: ParsedEdit) -> None:
        if edit.edit_type == "text_change":
            self.forms["text replaced" if edit.old_text else "text added"] += 1
        elif edit.edit_type == "subject_add":
            self.forms["add with relation" if edit.relation else "add without relation"] += 1
        elif edit.count is not None:
            self.counts[str(edit.count)] += 1

    def _references(self, session: Session) -> None:
        if session.track != "cu":
            return
        found = [pronoun(turn.instruction) for turn in session.turns[1:]]
        self.pronouns.update(found)
        self.without_pronoun += all(word == "none" for word in found)

    def report(self) -> dict[str, Any]:
        """All counts as plain JSON values with stable keys."""
        return {
            "file": self.file,
            "track": self.track,
            "sessions": self.sessions,
            "turns": self.turns,
            "turns_per_session": _sorted(self.lengths),
            "edit_types": {
                name: {"total": sum(by_turn.values()), "by_turn": _sorted(by_turn)}
                for name, by_turn in self.types.items()
            },
            "edit_type_sequences": len(self.sequences),
            "invalid_annotation": _sorted(self.invalid),
            "background_flags": _sorted(self.flags),
            "not_measurable": {
                name: self.measure[name] for name in ("no unchanged object", "background changed", "neither")
            },
            "forms": _sorted(self.forms),
            "requested_counts": _sorted(self.counts),
            "rules": {
                "attributes": _sorted(self.rules),
                "distinct": len(self.rule_texts),
                "values": {name: len(values) for name, values in self.rule_values.items()},
                "templates": _sorted(self.rule_templates),
            },
            "references": {"by_pronoun": _sorted(self.pronouns), "sessions_without": self.without_pronoun},
            "remain_clauses": _sorted(self.remain),
            "text": _sorted(self.text),
            "longest_caption_words": self.longest_caption,
        }


def _ascii(session: Session) -> bool:
    return all(
        part.isascii()
        for turn in session.turns
        for part in (turn.instruction, turn.formatted or "", *(turn.all_objects or ()))
    )


def _sorted(counter: Counter[str]) -> dict[str, int]:
    return {name: counter[name] for name in sorted(counter)}
