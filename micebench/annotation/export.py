"""Labels as a table: a row per reviewer and question, with what the run's judge said beside it."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from micebench.annotation.human_labels import labels_of, reviewers
from micebench.annotation.queue import verdicts_by_judge
from micebench.engine.run_reader import Run
from micebench.errors import DataError
from micebench.judges.human import PREFIX
from micebench.store.manifest import write_atomically
from micebench.utils.csv_cells import inert

COLUMNS = (
    "session", "repeat", "turn", "metric", "label", "judge", "status", "blind", "seen", "note", "time",
    "track", "edit_type", "instruction", "model", "automatic_judge", "automatic_status", "automatic_value",
    "edit", "image", "key",
)  # fmt: skip
"""`label` is the value (empty where the reviewer gave none), so that the file is one `micebench calibrate` reads."""


def export(run: Run, path: Path, *, reviewer: str | None = None, metrics: Sequence[str] = ()) -> int:
    """Write the last label of each reviewer (or one) about each question (or some metrics); returns how many.

    Raises:
        DataError: a file name that ends in none of .csv, .jsonl, .parquet.
        RunError: a damaged label file, or the disk refuses.
    """
    write = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}.get(path.suffix)
    if write is None:
        raise DataError(f"--export {path}: give a name that ends in .csv, .jsonl or .parquet")
    rows = [row for row in label_rows(run, reviewer) if not metrics or row["metric"] in metrics]
    write_atomically(path, write(rows))
    return len(rows)


def label_rows(run: Run, reviewer: str | None = None) -> Iterator[dict[str, Any]]:
    """COLUMNS of each label, by reviewer, then in the order of the run."""
    edits = run.edit_index()
    position = edits.sessions.position
    sessions = {session.id: session for session in run.sessions()}
    automatic = verdicts_by_judge(run)
    for name in [reviewer] if reviewer else reviewers(run):
        labels = labels_of(run, name)
        for asked in sorted(labels.final, key=lambda one: (position[one.session], *one[1:])):
            label, session = labels.final[asked], sessions[asked.session]
            turn, verdict = session.turns[asked.turn - 1], automatic.get(asked)
            yield {
                **asked._asdict(),
                "label": label.record.value,
                "judge": PREFIX + name,
                "status": label.record.status.value,
                "blind": label.blind,
                "seen": asked in labels.seen,
                "note": label.record.reason,
                "time": label.time,
                "track": session.track,
                "edit_type": turn.edit_type,
                "instruction": turn.instruction,
                "model": run.manifest.model,
                "automatic_judge": run.manifest.judge,
                "automatic_status": verdict.status.value if verdict else None,
                "automatic_value": verdict.value if verdict else None,
                "edit": label.record.edit,
                "image": edits.image(position[asked.session] * edits.repeats + asked.repeat, asked.turn),
                "key": label.record.key,
            }


def _csv(rows: Sequence[dict[str, Any]]) -> bytes:
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if row[name] is None else inert(row[name]) for name in COLUMNS} for row in rows)
    return file.getvalue().encode("utf-8", "replace")


def _jsonl(rows: Sequence[dict[str, Any]]) -> bytes:
    lines = (json.dumps({name: row[name] for name in COLUMNS}, ensure_ascii=False) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def _parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    kinds = {"repeat": "int32", "turn": "int32", "label": "float64", "automatic_value": "float64"}
    kinds |= {"blind": "bool_", "seen": "bool_"}
    schema = pyarrow.schema([(name, getattr(pyarrow, kinds.get(name, "string"))()) for name in COLUMNS])
    clean = [{name: _printable(row[name]) for name in COLUMNS} for row in rows]
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(clean, schema), file, compression="zstd")
    return file.getvalue()


def _printable(value: Any) -> Any:
    """Text without lone surrogates, which no Arrow string can hold."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
