"""Judge drift in one line."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from micebench.engine.drift import read_drift
from micebench.report.formatting import plural, visible

if TYPE_CHECKING:
    from micebench.engine.run_reader import Run


@dataclass(frozen=True, slots=True)
class DriftLine:
    """What the reports say.

    Attributes:
        grave: the judge does not answer as it did, or nobody knows.
    """

    words: str
    grave: bool


def drift_line(run: "Run") -> DriftLine | None:
    """None where the judge carries no golden items, or they were not asked about."""
    found = read_drift(run)
    if found is None:
        return None
    items = plural(found["items"], "golden item")
    if found["shift"] is None:
        return DriftLine(f"judge drift unknown: none of {items} could be scored ({_first_fault(found)})", True)
    moved = ", ".join(f"{name} {_largest(by_metric)}" for name, by_metric in found["changes"].items() if by_metric)
    said = f"judge drift on {items}, in points of a metric's mean: {moved} (limit {100 * found['limit']:g})"
    if found["drifted"]:
        said += "; the judge does not answer as it did: compare no numbers across this"
    if found["end"] is None:
        return DriftLine(f"{said}; not scored again at the end, the same command does it", True)
    if found["coverage"] < 1:
        said += f"; {100 * found['coverage']:.0f} % scored both times ({_first_fault(found)})"
    return DriftLine(said, found["drifted"] or found["coverage"] < 1)


def _largest(changes: dict[str, float]) -> str:
    metric = max(changes, key=lambda name: abs(changes[name]))
    points = 100 * changes[metric]
    return "0.0" if abs(points) < 0.05 else f"{points:+.1f} ({visible(metric, 40)})"


def _first_fault(found: dict) -> str:
    missing = {**found["start"]["missing"], **((found["end"] or {}).get("missing") or {})}
    return visible(next(iter(missing.values()), "no reason given"), 120)
