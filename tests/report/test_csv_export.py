"""No CSV file holds a formula; numbers are numbers, and `calibrate` reads back what `review` wrote."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from micebench.annotation import export
from micebench.annotation.label_files import Edit, read_labels
from micebench.report import csv_export
from micebench.report.tables import Cell, Row, Table

FORMULA = '=HYPERLINK("http://x","y")'


def test_tables_hold_no_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row("@SUM(A1)", (Cell(-1.5, -2.0, 3.0, 4, 5),), group=FORMULA)
    table = Table("edit_types", "", "", (f"+{FORMULA}",), (row,))
    monkeypatch.setattr(csv_export, "_tables", lambda run: [table])
    file = io.StringIO()
    csv_export.write_csv(None, file)  # type: ignore[arg-type]
    _, said = csv.reader(io.StringIO(file.getvalue()))
    assert said[:4] == ["edit_types", f"'{FORMULA}", "'@SUM(A1)", f"'+{FORMULA}"]
    assert said[4:7] == ["-1.5", "-2.0", "3.0"]


def test_labels_hold_no_formula_and_are_read_back(tmp_path: Path) -> None:
    row: dict[str, Any] = dict.fromkeys(export.COLUMNS)
    row |= {"session": FORMULA, "turn": 2, "repeat": 0, "metric": "IF", "label": 1.0, "note": "-1+1", "judge": "\t=1"}
    path = tmp_path / "labels.csv"
    path.write_bytes(export._csv([row]))
    (found,) = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
    assert (found["session"], found["note"], found["judge"]) == (f"'{FORMULA}", "'-1+1", "'\t=1")
    assert (found["turn"], found["label"]) == ("2", "1.0")
    assert read_labels(path, "IF") == {Edit(FORMULA, 0, 2): 1.0}
