"""The JSON object with scores in a reply."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from micebench.errors import one_line
from micebench.judges.vlm.reasoning import Unreadable, after_reasoning, refuse_markup

_BRACES = 1000  # places in a reply where an object may begin
_DIGITS = 15
_TRAILING_COMMA = re.compile(r",(?=\s{0,100}[}\]])")
_CURLY_QUOTES = str.maketrans("“”„‟＂", '"""""')


def read_scores(reply: str, names: Sequence[str], top: int) -> dict[str, float]:
    """The named numbers of the one JSON object in a reply; prose and code fences around it do not matter.

    A trailing comma and typographic quotes around names are read as what they stand for.

    Raises Unreadable: no such object, two that disagree, a name missing or given twice, a number outside 0 to `top`,
    markup around the object that nobody knows.
    """
    text = after_reasoning(reply)
    found = list(_objects(text)) or list(_objects(_TRAILING_COMMA.sub("", text)))
    found = found or list(_objects(_TRAILING_COMMA.sub("", text.translate(_CURLY_QUOTES))))
    if not found:
        raise Unreadable("no JSON object in the reply")
    read = [{name: _number(one, name, top) for name in names} for one in found]
    if any(one != read[0] for one in read):
        raise Unreadable("two JSON objects that contradict each other")
    return read[0]


def _objects(text: str) -> Iterator[Mapping[str, Any]]:
    """The outermost objects, in order. Raises Unreadable for unknown markup outside of them, if there are any."""
    decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_whole, strict=False)
    found: list[Mapping[str, Any]] = []
    outside: list[str] = []
    start, place = 0, text.find("{")
    for _ in range(_BRACES):
        if place < 0:
            break
        try:
            value, end = decoder.raw_decode(text, place)
        except json.JSONDecodeError:
            place = text.find("{", place + 1)
            continue
        except RecursionError:
            raise Unreadable("a JSON object that is nested too deeply") from None
        found.append(cast(Mapping[str, Any], value))
        outside.append(text[start:place])
        start, place = end, text.find("{", end)
    else:
        raise Unreadable("too many braces in the reply")
    if found:
        refuse_markup("\n…\n".join([*outside, text[start:]]))
    yield from found


def _whole(digits: str) -> float:
    return int(digits) if len(digits) <= _DIGITS else float(digits)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Unreadable("a JSON object gives a name twice")
    return found


def _number(values: Mapping[str, Any], name: str, top: int) -> float:
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        said = one_line(repr(value)[:200], 60)
        raise Unreadable(f"{name} is {said}, not a number" if name in values else f"no {name} in the reply")
    if not 0 <= value <= top:  # also for NaN
        raise Unreadable(f"{name} is {value:g}, outside 0 to {top}")
    return float(value)
