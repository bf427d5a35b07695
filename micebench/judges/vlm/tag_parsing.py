"""The tags of a reply that walks through the turns of a dialogue.

<turn_1>yes</turn_1> why
<turn_2>no</turn_2> why
<final>no</final>
"""

import re
from typing import NamedTuple

from micebench.errors import one_line
from micebench.judges.vlm.parsing import decision
from micebench.judges.vlm.reasoning import Unreadable, after_reasoning, refuse_markup, unformatted

_TAG = re.compile(r"<\s?(turn_\d+|final)\s?>([^<]*)<\s?/\s?\1\s?>", re.IGNORECASE)
_ANY = re.compile(r"<\s?/?\s?(?:turn|final)\b[^>]*>?|<\s?/?\s?turn_?\s?\d+[^>]*>?", re.IGNORECASE)
_OWN = re.compile(r"turn[\d_]*|final|instruction|reference")
"""The names of tags in the prompts, which a reply may repeat."""

_AROUND = " \t\n\r*_`~"


class Failed(NamedTuple):
    """The first turn that does not comply, and why (one line)."""

    turn: int
    reason: str


def first_final(reply: str) -> bool:
    """The first final tag of the reply, contradictions or not: what the published script takes."""
    for name, said in _TAG.findall(_answer(reply)):
        if name.casefold() == "final" and (complies := decision(said)) is not None:
            return complies
    raise Unreadable("no final tag")


def strict(reply: str, turns: int) -> Failed | None:
    """The turn that failed, or None if all comply.

    Tags must be well formed and unique: turns 1, 2, ... in order, up to the first no or to the last turn, then the
    final tag, at the very end, which agrees with them.
    """
    text = _answer(reply)
    found = list(_TAG.finditer(text))
    if not found:
        raise Unreadable("no tags")
    if len(_ANY.findall(text)) != 2 * len(found):
        raise Unreadable("a tag that is not well formed")
    said = [decision(match[2]) for match in found]
    if None in said:
        raise Unreadable("a tag that says neither yes nor no")
    names = [match[1].casefold() for match in found]
    if names.count("final") != 1 or names[-1] != "final" or text[found[-1].end() :].strip(_AROUND):
        raise Unreadable("not exactly one final tag, at the end")
    walked = names[:-1]
    if walked != [f"turn_{number}" for number in range(1, len(walked) + 1)] or not 0 < len(walked) <= turns:
        raise Unreadable("turn tags that are not 1, 2, ... in order")
    if False in said[:-2]:
        raise Unreadable("the walk goes on after a no")
    failed = said[-2] is False
    if failed != (said[-1] is False):
        raise Unreadable("the final tag contradicts the turns")
    if not failed:
        if len(walked) < turns:
            raise Unreadable(f"turn {len(walked) + 1} was not looked at")
        return None
    reason = text[found[-2].end() : found[-1].start()]
    return Failed(len(walked), one_line(reason).lstrip("-–—:* ").rstrip("-*` ")[:300])


def _answer(reply: str) -> str:
    """The reply after its reasoning. Raises Unreadable for markup that is neither formatting nor in the prompts."""
    text = unformatted(after_reasoning(reply))
    refuse_markup(text, _OWN)
    return text
