"""Replies of vision-language models, read strictly: a reply that does not clearly say one thing says nothing.

Every function here takes one reply and returns what it says, or raises `Unreadable`.
"""

import re
from collections.abc import Callable, Mapping
from math import exp
from typing import TypeVar

_LABELLED = re.compile(r"(?:final\s+)?(?:answer|decision|verdict)\s*[:：]\s*(.*)", re.IGNORECASE)
_SCORED = re.compile(r"(?:final\s+)?(?:score|rating)\s*[:：]\s*(.*)", re.IGNORECASE)
_NUMBER = re.compile(r"(\d{1,3}(?:\.\d+)?)(?:\s*/\s*10)?")
Said = TypeVar("Said")
_MARKUP = " \t*_`\"'“”‘’"


class Unreadable(ValueError):
    """The reply is not in the agreed form; the message says how."""


def after_thinking(reply: str) -> str:
    """The reply without the reasoning a thinking model wrote before it."""
    head, closed, answer = reply.rpartition("</think>")
    if not closed and "<think>" in reply:
        raise Unreadable("the reasoning has no end")
    if "<think>" in answer:
        raise Unreadable("reasoning begins again after its end")
    return (answer if closed else head + answer).strip()


def yes_no(reply: str) -> bool:
    """The whole reply is yes or no, or its last line is ``Verdict: yes`` (or Answer, Decision) and none disagrees."""
    lines = _lines(reply)
    if len(lines) == 1 and (said := _decision(lines[0])) is not None:
        return said
    return _last_agreed(lines, _LABELLED, _decision, "decision")


def reasoned(reply: str) -> bool:
    """Written reasoning, then a last line ``Verdict: yes`` or ``Verdict: no``; a bare yes is not enough."""
    lines = _lines(reply)
    verdict = _last_agreed(lines, _LABELLED, _decision, "verdict")
    if len(lines) < 2:
        raise Unreadable("a verdict without reasoning")
    return verdict


def contains_yes(reply: str) -> bool:
    """The published scripts' test: "yes" stands somewhere in the reply (so it does in "eyes")."""
    return "yes" in after_thinking(reply).lower()


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
    chances = {name: exp(logprobs[name]) if name in logprobs else 0.0 for name in values}
    mass = sum(chances.values())
    if not mass >= least_mass:
        raise Unreadable(f"the choices {', '.join(values)} have only {mass:.3f} of the probability")
    return min(1.0, max(0.0, sum(chances[name] * values[name] for name in values) / mass))


def _lines(reply: str) -> list[str]:
    lines = [line.strip(_MARKUP) for line in after_thinking(reply).splitlines()]
    lines = [line for line in lines if line]
    if not lines:
        raise Unreadable("an empty reply")
    return lines


def _decision(text: str) -> bool | None:
    return {"yes": True, "no": False}.get(text.strip(_MARKUP).rstrip(".!。").strip(_MARKUP).casefold())


def _number(text: str) -> float | None:
    match = _NUMBER.fullmatch(text.strip(_MARKUP).removesuffix(".").strip(_MARKUP))
    return float(match[1]) if match else None


def _last_agreed(lines: list[str], label: re.Pattern[str], read: Callable[[str], Said | None], noun: str) -> Said:
    """What the last, labelled line says; lines like it further up, or bare ones, must not say otherwise."""
    last = label.fullmatch(lines[-1])
    said = read(last[1]) if last else None
    if said is None:
        raise Unreadable(f"no {noun} on the last line")
    for line in lines[:-1]:
        labelled = label.fullmatch(line)
        other = read(labelled[1] if labelled else line)
        if other != said and (labelled or other is not None):
            raise Unreadable(f"two {noun}s that contradict each other")
    return said
