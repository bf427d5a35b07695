"""``curve.jsonl``: what a training run logged, one JSON object per line with its ``step``."""

import json
from pathlib import Path

from micebench.errors import DataError

Curve = dict[str, list[tuple[int, float]]]
"""Name (``flow/loss``, ``validation/IF``, ...) -> (step, value), ascending in steps."""


def read_curve(path: Path) -> Curve:
    """Read a curve. A run that was resumed logged some steps again: the last word counts.

    Raises:
        DataError: a line of another form, named.
    """
    found: dict[str, dict[int, float]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            fields = json.loads(line)
            step = int(fields.pop("step"))
            numbers = {str(name): float(value) for name, value in fields.items()}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"{path}:{number}: no JSON object of numbers with a step ({error})") from error
        for name, value in numbers.items():
            found.setdefault(name, {})[step] = value
    return {name: sorted(points.items()) for name, points in found.items()}
