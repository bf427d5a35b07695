"""Every table of a run as one CSV: a line per number, unrounded."""

import csv
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from micebench.report import tables
from micebench.report.edival import edival_tables
from micebench.report.tables import Table
from micebench.utils.csv_cells import inert

if TYPE_CHECKING:
    from micebench.engine.run_reader import Run

NUMBERS = ("value", "low", "high", "n", "of", "at_least", "at_most")
COLUMNS = ("table", "group", "row", "column", *NUMBERS)


def write_csv(run: "Run", file: TextIO) -> None:
    """Write COLUMNS for every cell of the report's tables; percent with all digits, empty where there is no number.

    `group` is the metric in the table of tracks, else empty. Bounds stand beside the value they belong to.
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for table in _tables(run):
        for row in table.rows:
            for column, cell in zip(table.columns, row.cells, strict=True):
                numbers = (getattr(cell, name) for name in NUMBERS)
                names = map(inert, (table.key, row.group, row.label, column))
                writer.writerow((*names, *map(_written, numbers)))


def _tables(run: "Run") -> Iterator[Table]:
    summary = run.summary()
    yield tables.overall_table(summary)
    for table in (tables.track_table(summary), tables.edit_type_table(summary)):
        if table is not None:
            yield table
    yield from edival_tables(run)


def _written(number: float | None) -> str:
    return "" if number is None else repr(number)
