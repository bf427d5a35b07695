"""What a training changed: one model compared with another, session by session, as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from micebench.instructions import EDIT_TYPES
from micebench.report.formatting import label, p_value
from micebench.report.markdown import table
from micebench.sessions import TRACKS

Cells = Mapping[str, Mapping[str, Any]]
"""TURN -> {"a", "b", "difference", "low", "high", "p", "n", ...}, in percent and percentage points."""

SHOWN = ("overall", "turn_success", "marginal_success", "content_consistency", "global_awareness", "collapse")


def by_metric(metrics: Mapping[str, Cells], heads: Sequence[str] = ("before", "after")) -> str:
    """A row per metric and turn."""
    rows = [
        [label(name) if place == 0 else "", turn, *_numbers(cell)]
        for name in SHOWN
        for place, (turn, cell) in enumerate(_few(metrics.get(name, {})))
    ]
    return table(["", "turn *k*", *heads, "difference", "p", "n"], rows)


def by_kind(numbers: Mapping[str, Any], heads: Sequence[str] = ("before", "after")) -> str:
    """Overall at the last turn per track, then success per edit type over all turns."""
    rows: list[list[str]] = []
    tracks: Mapping[str, Any] = numbers["tracks"]
    for track in (name for name in TRACKS if name in tracks):
        turn, cell = list(tracks[track]["overall"].items())[-1]
        rows.append([f"{track}: overall, turn {turn}", *_numbers(cell)])
    kinds: Mapping[str, Any] = numbers["edit_types"]
    rows += [[f"{kind}: success", *_numbers(kinds[kind])] for kind in EDIT_TYPES if kind in kinds]
    return table(["", *heads, "difference", "p", "n"], rows)


def difference(cell: Mapping[str, Any]) -> str:
    """Signed, with its interval; "" where it is undefined."""
    if cell.get("difference") is None:
        return ""
    if cell.get("low") is None:
        return f"{cell['difference']:+.1f}"
    return f"{cell['difference']:+.1f} ({cell['low']:+.1f} to {cell['high']:+.1f})"


def _few(cells: Cells) -> list[tuple[str, Mapping[str, Any]]]:
    """Up to three turns each; of more the first, the middle and the last."""
    turns = list(cells.items())
    return turns if len(turns) <= 3 else [turns[0], turns[(len(turns) - 1) // 2], turns[-1]]


def _numbers(cell: Mapping[str, Any]) -> list[str]:
    before, after = ("–" if cell[side] is None else f"{cell[side]:.1f}" for side in ("a", "b"))
    return [before, after, difference(cell), p_value(cell["p"], "–"), str(cell["n"])]
