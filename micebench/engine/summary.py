"""Journals -> verdict table -> ``summary.json`` and ``verdicts.parquet``."""

from typing import TYPE_CHECKING, Any

from micebench.store.manifest import Manifest
from micebench.store.parquet import write_parquet
from micebench.store.run_dir import RunDir, write_json
from micebench.store.run_index import STATUSES, EditIndex, VerdictIndex
from micebench.verdicts import Status

if TYPE_CHECKING:
    from micebench.metrics.verdict_table import VerdictTable


def verdict_table(edits: EditIndex, verdicts: VerdictIndex) -> "VerdictTable":
    """All verdicts as arrays; rows are sessions x repeats in session order."""
    import numpy as np

    from micebench.metrics.verdict_table import MISSING, STATUS_CODES, VerdictTable

    sessions, repeats = edits.sessions, edits.repeats
    width = max(sessions.turns, default=1)
    tracks: list[str] = []
    kinds: list[list[str]] = []
    for line in sessions.lines(range(len(sessions))):
        named = [turn["edit_type"] or "" for turn in line["turns"]]
        tracks.append(line["track"])
        kinds.append(named + [""] * (width - len(named)))
    codes = np.array([MISSING, *(STATUS_CODES.index(status.value) for status in STATUSES)], dtype=np.int8)
    ok = 1 + STATUSES.index(Status.OK)
    status, values = {}, {}
    raw_status, raw_values = verdicts.arrays()
    for column, metric in enumerate(verdicts.metrics):
        answered = raw_status[:, :width, column]
        status[metric] = codes[answered]
        values[metric] = np.where(answered == ok, raw_values[:, :width, column], 0.0)
    return VerdictTable(
        sessions=np.repeat(np.array(sessions.ids, dtype=np.str_), repeats),
        tracks=np.repeat(np.array(tracks, dtype=np.str_), repeats),
        edit_types=np.repeat(np.array(kinds, dtype=np.str_).reshape(len(sessions), width), repeats, axis=0),
        turns=np.repeat(np.array(sessions.turns, dtype=np.int64), repeats),
        values=values,
        status=status,
    )


def summarize_run(manifest: Manifest, edits: EditIndex, table: "VerdictTable") -> dict[str, Any]:
    """The content of ``summary.json``."""
    from micebench.metrics.summary import summarize

    head = {
        "task": manifest.task,
        "model": manifest.model,
        "judge": manifest.judge,
        "n_sessions": manifest.n_sessions,
        "edits": edits.counts(),
    }
    return head | summarize(table, consistency=manifest.content_consistency, seed=manifest.seed)


def derive(run: RunDir, manifest: Manifest, verdicts: VerdictIndex) -> None:
    """Write ``verdicts.parquet`` and ``summary.json`` anew."""
    write_parquet(run.parquet, verdicts.lines())
    write_json(run.summary, summarize_run(manifest, verdicts.edits, verdict_table(verdicts.edits, verdicts)))
