"""JSON as it was meant: no key twice, no NaN or Infinity, no endless nesting, and UTF-8."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from micebench.report.submission.refusal import BundleError
from micebench.report.text import visible

MAX_DEPTH = 32
MAX_LINE_BYTES = 4 << 20
# a string, also one without an end: possessive, so that no text takes longer than its length
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+["\\]?|[\[\]{}]', re.DOTALL)


def parse(data: bytes, where: str) -> dict[str, Any]:
    """One JSON object. Raises BundleError (check "form") with `where` and what is wrong."""
    if _too_deep(data):
        raise BundleError("form", f"{where}: nested deeper than {MAX_DEPTH} levels")
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
    except RecursionError as error:
        raise BundleError("form", f"{where}: nested deeper than {MAX_DEPTH} levels") from error
    except ValueError as error:
        raise BundleError("form", f"{where}: {visible(error, 200)}") from error
    if not isinstance(value, dict):
        raise BundleError("form", f"{where}: expected an object, got {type(value).__name__}")
    return value


def lines(data: bytes, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(``where:number``, object) of each line of a JSONL file. Raises BundleError as `parse` does."""
    if data and not data.endswith(b"\n"):
        raise BundleError("form", f"{where}: the last line is cut off")
    start, number = 0, 0
    while start < len(data):
        number += 1
        end = data.index(b"\n", start)
        if end - start > MAX_LINE_BYTES:
            raise BundleError("form", f"{where}:{number}: a line of more than {MAX_LINE_BYTES >> 20} MiB")
        place = f"{where}:{number}"
        yield place, parse(data[start:end], place)
        start = end + 1


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


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:40]} is no finite number")
    return value
