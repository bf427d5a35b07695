"""Instructions in words, and back.

`say` words an edit in one of several ways; `Listener` understands a dialogue from its words alone: standing
rules, pronouns ("it", "its", "them", "there") and shortened names. Both use the same table of templates.
"""

import random
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from micebench.instructions import PLACE, EditType, ParsedEdit
from micebench.mini.wordings import BESIDE, HINGE, NUMBERS, PRONOUNS, RULES, WORDINGS
from micebench.mini.world import (
    BACKGROUNDS,
    COLORS,
    LETTERS,
    MATERIALS,
    SHAPES,
    Kind,
    Scene,
    parse_name,
    plural,
)
from micebench.sessions import Rule


def say(
    edit: ParsedEdit,
    rng: random.Random,
    *,
    pronoun: bool = False,
    several: bool = False,
    short: Mapping[str, str] | None = None,
    keep: tuple[str, ...] = (),
) -> str:
    """Word an edit.

    Args:
        pronoun: refer to the target by pronoun (or to a place by "there").
        several: the target has more than one copy (plural noun or pronoun).
        short: full name -> a shorter name that still fits one object only.
        keep: objects to be named in a background change's "remain" clause.
    """
    short = short or {}
    target, anchor = short.get(edit.target, edit.target), short.get(edit.anchor, edit.anchor)
    fields = {
        "a_target": _with_article(edit.target),
        "target": plural(target) if several else target,
        "targets": plural(target),
        "anchor": anchor,
        "beside": rng.choice(BESIDE[edit.relation]) if edit.relation in BESIDE else None,
        "a_value": _with_article(edit.value),
        "color": edit.value,
        "material": edit.value,
        "letter": edit.value,
        "background": edit.value,
        "old": edit.old_text or None,
        "count": rng.choice((str(edit.count), NUMBERS[edit.count])) if edit.count else None,
        "keep": f", remain the {', '.join(keep)} unchanged" if keep else "",
        **PRONOUNS[several],
    }
    forms = [
        wordings
        for kind, by_pronoun, wordings in WORDINGS
        if kind == edit.edit_type
        and by_pronoun == pronoun
        and ("{beside}" in wordings[0]) == (fields["beside"] is not None)
        and ("{old}" in wordings[0]) == (fields["old"] is not None)
    ]
    return rng.choice(forms[0]).format(**fields)


def say_rule(attribute: str, value: str, rng: random.Random) -> str:
    """Word a standing rule."""
    return rng.choice(RULES[attribute]).format(value=value)


def join_rule(rule_text: str, first_edit: str) -> str:
    """A cm session's first instruction: the rule, the hinge, the edit."""
    return f"{rule_text} {HINGE}{first_edit[0].lower()}{first_edit[1:]}"


class Listener:
    """Understands a dialogue turn by turn, from its words alone.

    Attributes:
        rule: the standing rule heard so far, or None.
        focus: name of the object the previous edit left behind (or removed), for pronouns.
    """

    def __init__(self) -> None:
        self.rule: Rule | None = None
        self.focus: str | None = None

    def hear(self, instruction: str, scene: Scene | None = None) -> ParsedEdit | None:
        """The edit meant by the next instruction; None if it cannot be understood (e.g. "it" without a past).

        With the scene in view, shortened names are understood as the full name of the one object they fit.
        """
        rule_text, hinge, sentence = instruction.rpartition(HINGE)
        if hinge:
            self.rule = _understand_rule(rule_text.strip())
        edit = _understand(sentence, self.focus)
        if edit is not None and scene is not None:
            edit = replace(edit, target=_in_full(edit, scene))
        self.focus = edit and name_after(edit, self.rule)
        return edit


def name_after(edit: ParsedEdit, rule: Rule | None = None) -> str | None:
    """What the edited object is called after the edit; the old name if removed, None for backgrounds."""
    match edit.edit_type:
        case "background_change":
            return None
        case "subject_remove":
            return edit.target
        case "subject_replace":
            kind = parse_name(edit.value)
        case "color_alter":
            kind = parse_name(edit.target).with_("color", edit.value)
        case "material_alter":
            kind = parse_name(edit.target).with_("material", edit.value)
        case _:
            kind = parse_name(edit.target)
    return (kind if rule is None else kind.with_(rule.attribute, rule.value)).name


def _in_full(edit: ParsedEdit, scene: Scene) -> str:
    if not edit.target or edit.edit_type == "subject_add":
        return edit.target
    found = scene.find(parse_name(edit.target))
    return found[0].kind.name if len(found) == 1 else edit.target


def _with_article(name: str) -> str:
    return ("an " if name[:1] in "aeiou" else "a ") + name


def _understand_rule(text: str) -> Rule | None:
    for attribute, value_words in (("color", COLORS), ("material", MATERIALS)):
        for wording in RULES[attribute]:
            before, after = wording.split("{value}")
            value = text.removeprefix(before).removesuffix(after)
            if text == f"{before}{value}{after}" and value in value_words:
                return Rule(text, attribute, value)  # type: ignore[arg-type]
    return None


def _understand(sentence: str, focus: str | None) -> ParsedEdit | None:
    for kind, by_pronoun, pattern in _patterns():
        match = pattern.fullmatch(sentence.strip().rstrip("."))
        if match is None:
            continue
        heard = {name: text for name, text in match.groupdict().items() if text is not None}
        if by_pronoun and focus is None:
            return None
        edit = ParsedEdit(kind, target=_singular_name(heard.get("target") or heard.get("targets") or focus or ""))
        if kind == "subject_add":
            edit = replace(edit, target=heard["a_target"])
            if by_pronoun:
                edit = replace(edit, relation=PLACE, anchor=focus or "")
        elif kind == "background_change":
            edit = replace(edit, target="")
        if "beside" in heard:
            relation = next(name for name, words in BESIDE.items() if heard["beside"] in words)
            edit = replace(edit, relation=relation, anchor=_singular_name(heard["anchor"]))
        if "count" in heard:
            said = heard["count"]
            edit = replace(edit, count=NUMBERS.index(said) if said in NUMBERS else int(said))
        value = next((heard[k] for k in ("a_value", "color", "material", "letter", "background") if k in heard), "")
        return replace(edit, value=value, old_text=heard.get("old", ""))
    return None


def _singular_name(name: str) -> str:
    return parse_name(name).name if name else ""


@cache
def _patterns() -> tuple[tuple[EditType, bool, re.Pattern[str]], ...]:
    def one_of(words: tuple[str, ...]) -> str:
        return "(?:" + "|".join(sorted(map(re.escape, words), key=len, reverse=True)) + ")"

    name = rf"(?:{one_of(MATERIALS)} )?(?:{one_of(COLORS)} )?{one_of(tuple(map(plural, SHAPES)) + SHAPES)}"
    parts = {
        "a_target": rf"an? (?P<a_target>{name})",
        "target": rf"(?P<target>{name})",
        "targets": rf"(?P<targets>{name})",
        "anchor": rf"(?P<anchor>{name})",
        "beside": rf"(?P<beside>{one_of(tuple(phrase for group in BESIDE.values() for phrase in group))})",
        "a_value": rf"an? (?P<a_value>{name})",
        "color": rf"(?P<color>{one_of(COLORS)})",
        "material": rf"(?P<material>{one_of(MATERIALS)})",
        "letter": rf"(?P<letter>{one_of(LETTERS)})",
        "old": rf"(?P<old>{one_of(LETTERS)})",
        "background": rf"(?P<background>{one_of(BACKGROUNDS)})",
        "count": rf"(?P<count>\d|{one_of(NUMBERS)})",
        "keep": "(?:, remain .* unchanged)?",
        "it": "(?:it|them)",
        "its": "(?:its|their)",
    }
    compiled: list[tuple[EditType, bool, re.Pattern[str]]] = []
    for kind, by_pronoun, wordings in WORDINGS:
        for wording in wordings:
            first = f"[{wording[0].upper()}{wording[0].lower()}]" if wording[0].isalpha() else wording[0]
            compiled.append((kind, by_pronoun, re.compile(first + wording[1:].format(**parts))))
    return tuple(compiled)


def shortest_name(kind: Kind, others: list[Kind]) -> str:
    """The shortest name (shape always said) that fits `kind` and none of the others."""
    for name in (
        Kind(kind.shape, None, None),
        Kind(kind.shape, kind.color, None),
        Kind(kind.shape, None, kind.material),
    ):
        if not any(name.fits(other) for other in others):
            return name.name
    return kind.name
