"""Replies of vision-language models, read strictly: a reply that does not clearly say one thing says nothing.

Every function here takes one reply and returns what it says, or raises `Unreadable`.
"""

import re
from collections.abc import Callable, Mapping
from math import exp
from typing import TypeVar

from micebench.judges.vlm.reasoning import Unreadable, after_reasoning, refuse_markup, unformatted

_OWNER = r"(?:(?:my|the|our|overall|final)\s+)*"
_DECISIONS, _SCORES = "answer|decision|verdict|judge?ment|conclusion", "score|rating"
_LABELLED = re.compile(rf"{_OWNER}(?:{_DECISIONS})(?:\s*[:：﹕=]|\s+[-–—]\s)\s*(.*)", re.IGNORECASE)
_SCORED = re.compile(rf"{_OWNER}(?:{_SCORES})\s*[:：﹕=]\s*(.*)", re.IGNORECASE)  # a dash could be a minus
_LABEL_ALONE = re.compile(rf"{_OWNER}(?:{_DECISIONS}|{_SCORES})\s*[:：﹕]?", re.IGNORECASE)
_NUMBER = re.compile(r"(\d{1,3}(?:\.\d{1,9})?)(?:\s*(?:/|out of)\s*10)?", re.ASCII)
_WIDE = {0xFF10 + digit: str(digit) for digit in range(10)} | {0xFF0E: ".", 0xFF0F: "/"}
_BOXED = re.compile(r"\$*\\boxed\{(?:\\text\{([^{}]*)\}|([^{}]*))\}\$*")
_EMPHASIS = re.compile(r"(?<![\w*_`])[*_`]{1,6}|[*_`]{1,6}(?![\w*_`])")
_LISTED = re.compile(r"(?:>\s*|[-+•–—]\s+|\d{1,2}[.)]\s+)+")
_NO_WORDS = re.compile(r"(?:`{3}|~{3})\s*(?!(?:yes|no)\b)\w*|[-*_=#>\s]*", re.IGNORECASE)
_ROUNDING = 1e-3
_QUOTES = " \t\"'“”„‘’"
_MARKUP = _QUOTES + "*_`«»「」『』()[]"
Said = TypeVar("Said")


def written(reply: str) -> str:
    """A free answer, such as what is written in an image. Raises Unreadable: nothing, or markup nobody knows."""
    return _not_empty(after_reasoning(reply), quoted=True)


def yes_no(reply: str) -> bool:
    """The whole reply is yes or no, or its last line is ``Verdict: yes`` (or Answer, Decision) and none disagrees."""
    lines = _lines(reply)
    if len(lines) == 1 and (said := decision(lines[0])) is not None:
        return said
    return _last_agreed(lines, _LABELLED, decision, "decision")


def reasoned(reply: str) -> bool:
    """Written reasoning, then a last line ``Verdict: yes`` or ``Verdict: no``; a bare yes is not enough."""
    lines = _lines(reply)
    verdict = _last_agreed(lines, _LABELLED, decision, "verdict")
    if len(lines) < 2:
        raise Unreadable("a verdict without reasoning")
    return verdict


def contains_yes(reply: str) -> bool:
    """The published scripts' test: "yes" stands somewhere in the reply (so it does in "eyes")."""
    return "yes" in _plain(reply).lower()


def score(reply: str) -> float:
    """0-10, as the whole reply or on a last line ``Score: 7``; returned as a share of 10."""
    lines = _lines(reply)
    if len(lines) == 1 and (said := _number(lines[0])) is not None:
        number = said
    else:
        number = _last_agreed(lines, _SCORED, _number, "score")
    if not 0.0 <= number <= 10.0:
        raise Unreadable(f"the score {number:g} lies outside 0 to 10")
    return number / 10.0


def expected(logprobs: Mapping[str, float], values: Mapping[str, float], least_mass: float) -> float:
    """Mean of the choices' values, weighted by the probabilities the model gave them.

    Args:
        logprobs: choice -> log-probability; a choice that is absent was too improbable to be reported.
        values: choice -> value in [0, 1].
        least_mass: what the choices must have together; below it the model would rather have said something else.
    """
    known = {name: logprobs[name] for name in values if name in logprobs}
    if not all(value <= _ROUNDING for value in known.values()):  # also for NaN
        raise Unreadable("a log-probability above 0")
    chances = {name: exp(known[name]) if name in known else 0.0 for name in values}
    mass = sum(chances.values())
    if mass > 1.0 + _ROUNDING:
        raise Unreadable(f"the choices {', '.join(values)} have more than all of the probability")
    if not mass >= least_mass:
        raise Unreadable(f"the choices {', '.join(values)} have only {mass:.3f} of the probability")
    return min(1.0, max(0.0, sum(chances[name] * values[name] for name in values) / mass))


def _plain(reply: str) -> str:
    return _not_empty(unformatted(after_reasoning(reply)), quoted=False)


def _not_empty(answer: str, *, quoted: bool) -> str:
    refuse_markup(answer, quoted=quoted)
    if not answer.strip():
        raise Unreadable("an empty reply")
    return answer


def _lines(reply: str) -> list[str]:
    """The lines that say something, without emphasis and headings; a label alone is joined to the line below it."""
    lines: list[str] = []
    for line in _plain(reply).splitlines():
        if _NO_WORDS.fullmatch(line.strip()):
            continue
        plain = _EMPHASIS.sub("", line.strip().lstrip("#")).strip(_QUOTES)
        if lines and _LABEL_ALONE.fullmatch(_unlisted(lines[-1])):
            plain = f"{lines.pop().rstrip(':：﹕ ')}: {plain}"
        if plain:
            lines.append(plain)
    if not lines:
        raise Unreadable("an empty reply")
    return lines


def _unlisted(line: str) -> str:
    """Without the signs of a list or a quotation, which before a bare number could be a part of it."""
    listed = _LISTED.match(line)
    return line[listed.end() :].lstrip("#").strip(_QUOTES) if listed else line


def decision(text: str) -> bool | None:
    """Yes or no, and nothing else but markup; None for any other text."""
    plain = _inside(_unlisted(text)).rstrip(".!。！").strip(_MARKUP).casefold()
    return {"yes": True, "no": False}.get(plain)


def _number(text: str) -> float | None:
    match = _NUMBER.fullmatch(_inside(text).translate(_WIDE).removesuffix(".").strip(_MARKUP))
    return float(match[1]) if match else None


def _inside(text: str) -> str:
    """Without quotes and brackets around it, or the frame that mathematics puts around a result."""
    plain = text.strip(_MARKUP)
    boxed = _BOXED.fullmatch(plain)
    return (boxed[1] or boxed[2] or "").strip(_MARKUP) if boxed else plain


def _last_agreed(lines: list[str], label: re.Pattern[str], read: Callable[[str], Said | None], noun: str) -> Said:
    """What the last, labelled line says; lines like it further up, or bare ones, must not say otherwise."""
    last = label.fullmatch(_unlisted(lines[-1]))
    said = read(last[1]) if last else None
    if said is None:
        raise Unreadable(f"no {noun} on the last line")
    for line in lines[:-1]:
        labelled = label.fullmatch(_unlisted(line))
        other = read(labelled[1] if labelled else line)
        if other != said and (labelled or other is not None):
            raise Unreadable(f"two {noun}s that contradict each other")
    return said
