"""Several tests at once: p values of several comparisons, adjusted by Holm's method."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

CellKey = tuple[str, ...]
"""``("metrics", NAME, TURN)``, ``("tracks", track, NAME, TURN)`` or ``("edit_types", type)``."""


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Adjusted p values, in the order given; None (not tested) stays None and does not count.

    Holm (1979), "A simple sequentially rejective multiple test procedure": rejecting where the adjusted p is at
    most alpha keeps the chance of any false rejection at alpha or less, however the tests depend on each other.
    """
    tested = sorted((one, place) for place, one in enumerate(p) if one is not None)
    adjusted: list[float | None] = [None] * len(p)
    largest = 0.0
    for rank, (one, place) in enumerate(tested):
        largest = max(largest, (len(tested) - rank) * one)
        adjusted[place] = min(largest, 1.0)
    return adjusted


def all_cells(numbers: Mapping[str, Any]) -> dict[CellKey, dict[str, Any]]:
    """The cells of what `micebench.metrics.paired` returns, by where they stand."""
    found: dict[CellKey, dict[str, Any]] = {
        ("edit_types", kind): cell for kind, cell in numbers["edit_types"].items()
    }
    tables = {("metrics",): numbers["metrics"]}
    tables |= {("tracks", track): metrics for track, metrics in numbers["tracks"].items()}
    for where, metrics in tables.items():
        for name, turns in metrics.items():
            found |= {(*where, name, turn): cell for turn, cell in turns.items()}
    return found


def adjust(comparisons: Sequence[Mapping[str, Any]], together: Collection[CellKey] = ()) -> None:
    """Set ``"p_holm"`` in every cell of several comparisons with one base.

    Each number is a family of its own, with one test per comparison; those named in `together`, which decide
    something jointly, are one family.
    """
    cells = [all_cells(numbers) for numbers in comparisons]
    families: dict[CellKey, list[dict[str, Any]]] = {}
    for found in cells:
        for key, cell in found.items():
            families.setdefault(() if key in together else key, []).append(cell)
    for family in families.values():
        for cell, adjusted in zip(family, holm([cell["p"] for cell in family]), strict=True):
            cell["p_holm"] = adjusted
