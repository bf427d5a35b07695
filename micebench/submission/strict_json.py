"""Strict JSON in bounded memory: no key twice, no NaN or Infinity, no deep nesting, no endless lists, UTF-8 only."""

import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

from micebench.report.formatting import visible
from micebench.submission.errors import BundleError

MAX_DEPTH = 32
MAX_LINE_BYTES = 4 << 20
MAX_ITEMS = 500_000
"""Commas and brackets of one document; each may become an object of 100 bytes from a single byte."""
MAX_DIGITS = 20  # of a whole number; the largest is a seed of 63 bits
# a string, also one without an end: possessive, so that no text takes longer than its length
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+["\\]?|[\[\]{}]', re.DOTALL)


def parse(data: bytes, where: str) -> dict[str, Any]:
    """One JSON object. Raises BundleError (check "form") with `where` and what is wrong."""
    if data.count(b",") + data.count(b"[") + data.count(b"{") > MAX_ITEMS:
        raise BundleError("form", f"{where}: more than {MAX_ITEMS:,} items")
    if _too_deep(data):
        raise BundleError("form", f"{where}: nested deeper than {MAX_DEPTH} levels")
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
    except RecursionError as error:
        raise BundleError("form", f"{where}: nested deeper than {MAX_DEPTH} levels") from error
    except ValueError as error:
        raise BundleError("form", f"{where}: {visible(error, 200)}") from error
    if not isinstance(value, dict):
        raise BundleError("form", f"{where}: expected an object, got {type(value).__name__}")
    return value


def lines(chunks: Iterable[bytes], where: str, most: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """(``where:number``, object) of each line of a JSONL file, parsed as its bytes arrive.

    Raises BundleError (check "form") as `parse` does, and for more than `most` lines.
    """
    number, rest = 0, b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in [*whole, rest]:
            if len(line) > MAX_LINE_BYTES:
                raise BundleError("form", f"{where}:{number + 1}: a line of more than {MAX_LINE_BYTES >> 20} MiB")
        for line in whole:
            number += 1
            if number > most:
                raise BundleError("form", f"{where}: more than {most:,} lines, the most that this run can have")
            place = f"{where}:{number}"
            yield place, parse(line, place)
    if rest:
        raise BundleError("form", f"{where}: the last line is cut off")


def _too_deep(data: bytes) -> bool:
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for token in _TOKENS.finditer(data):
        first = data[token.start()]
        depth += (first in b"[{") - (first in b"]}")
        if depth > MAX_DEPTH:
            return True
    return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"key {visible(name, 60)!r} is there twice")
            seen.add(name)
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a whole number of {len(digits):,} digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:40]} is no finite number")
    return value
