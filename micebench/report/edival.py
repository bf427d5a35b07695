"""EdiVal-Bench's tables, for runs on sessions in its format: as its notebook has them, from unrounded verdicts."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from micebench.cards.kinds import kind_of
from micebench.instructions import EDIT_TYPES
from micebench.report.formatting import visible
from micebench.report.tables import Cell, Row, Table

if TYPE_CHECKING:
    from micebench.engine.run_reader import Run
    from micebench.metrics.edival import Rates

_ROWS = {
    "image_success": "Image success",
    "task_success": "Task success",
    "marginal_success": "Marginal success",
    "objects": "Object consistency",
    "background": "Background consistency",
    "consistency": "Content consistency",
    "overall": "Overall",
}


def edival_tables(run: "Run") -> list[Table]:
    """The rates, and task success by edit type, by turn; none unless the run's sessions are in EdiVal's format."""
    if not _in_edivals_format(run.manifest.task_card):
        return []
    from micebench.metrics.edival import edival_rates

    table = run.table()
    rates = edival_rates(table)
    passes = "singlepass" if rates.singlepass else "multipass"
    columns = tuple(f"turn {turn}" for turn in range(1, table.width + 1))
    rows = tuple(_row(label, getattr(rates, name)) for name, label in _ROWS.items())
    ranked = [kind for kind in EDIT_TYPES if kind in rates.edit_types]
    ranked += [kind for kind in rates.edit_types if kind not in ranked]
    kinds = tuple(_row(visible(kind, 40), rates.edit_types[kind]) for kind in ranked)
    return [
        Table("edival", f"EdiVal's rates, {passes}", "rate", columns, rows),
        Table("edival-types", f"EdiVal's task success, {passes}", "edit type", columns, kinds),
    ]


def _in_edivals_format(task_card: Mapping[str, Any]) -> bool:
    return kind_of(str(task_card.get("loader", task_card.get("adapter")))) == "edival"


def _row(label: str, rates: "Rates") -> Row:
    return Row(label, tuple(Cell(value=rate.value, n=rate.n, of=rate.of) for rate in rates))
