"""A small finished run, and ways to damage it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from micebench.engine.evaluate import evaluate
from tests.toy import Meter, Painter, toy_cards

Line = dict[str, Any]
Change = Callable[[Line], Any]


def finished(folder: Path) -> Path:
    """A run of 6 sessions with 17 edits and 51 verdicts."""
    cards = toy_cards(folder / "cards")
    evaluate("toy", Painter(), out=folder / "run", judge=Meter(), cards=[cards])
    return folder / "run"


def verdicts_of(run: Path) -> Path:
    (path,) = (run / "verdicts").glob("*.jsonl")
    return path


def with_fields(**fields: Any) -> Change:
    """A line with other values."""
    return lambda line: {**line, **fields}


def without(name: str) -> Change:
    return lambda line: {key: value for key, value in line.items() if key != name}


def change_line(path: Path, number: int, change: Change) -> None:
    """Put something else in the place of a line (from 1): an object, or bytes as they are."""
    lines = path.read_bytes().splitlines(keepends=True)
    made = change(json.loads(lines[number - 1]))
    lines[number - 1] = made if isinstance(made, bytes) else json.dumps(made).encode() + b"\n"
    path.write_bytes(b"".join(lines))
