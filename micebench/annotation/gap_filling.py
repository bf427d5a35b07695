"""What a run's numbers would be if people's labels stood where its judge has left a gap. Never stored."""

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from micebench.annotation.human_labels import Asked, NothingShared, labels_of, records_of, reviewers
from micebench.cards import command
from micebench.engine.run_reader import Run
from micebench.engine.summary import verdict_table
from micebench.judges.human import EVERYONE, QUESTIONS
from micebench.metrics.summary import summarize
from micebench.store.run_dir import RunDir
from micebench.store.run_index import VerdictIndex

if TYPE_CHECKING:
    from micebench.metrics.verdict_table import VerdictTable


def filled(run: Run) -> dict[str, Any]:
    """The run's numbers as its judge gave them, and beside them those with its gaps filled by people.

    A gap is a verdict that is missing, unparsed, refused or failed. It is filled with the mean of the reviewers' last
    labels, blind or not; where they split evenly, or none could tell, it stays a gap. A value that the judge gave is
    never replaced. A run without a judge is filled altogether.

    Returns:
        ``{"run", "task", "model", "judge", "reviewers": [NAME ...], "filled": {METRIC: {"gaps", "filled"}},
        "automatic": SUMMARY | None, "with_people": SUMMARY}``, SUMMARY as `metrics.summary.summarize` returns it.

    Raises:
        NothingShared: no label about this run.
    """
    names = reviewers(run)
    given = {metric: _labels(run, metric) for metric in QUESTIONS}
    if not any(labels_of(run, name).final for name in names):
        raise NothingShared(f"{run.path} has no labels; give some with `{command('review', run.path, '--pending')}`")
    judged = run.manifest.judge is not None
    metrics = [*run.manifest.metrics, *(name for name in given if given[name] and name not in run.manifest.metrics)]
    table = run.table() if judged else _empty_table(run, [name for name in metrics if name in given])
    with_people, counts = _fill(run, table, given)
    how = {"consistency": run.manifest.content_consistency, "seed": run.manifest.seed}
    return {
        "run": str(run.path),
        "task": run.manifest.task,
        "model": run.manifest.model,
        "judge": run.manifest.judge,
        "reviewers": names,
        "filled": counts,
        "automatic": run.summary() if judged else None,
        "with_people": summarize(with_people, **how),
    }


def _labels(run: Run, metric: str) -> dict[Asked, float]:
    try:
        records = records_of(run, EVERYONE, metric, seen=True)
    except NothingShared:
        return {}
    return {asked: record.value for asked, record in records.items() if record.value is not None}


def _empty_table(run: Run, metrics: list[str]) -> "VerdictTable":
    """The table of a run that no judge has seen."""
    index = VerdictIndex(run.edit_index(), "", metrics, RunDir(run.path).verdicts("none", ""))
    return verdict_table(run.edit_index(), index)


def _fill(
    run: Run, table: "VerdictTable", given: dict[str, dict[Asked, float]]
) -> "tuple[VerdictTable, dict[str, dict[str, int]]]":
    """The table with its gaps filled, and how many there were and were filled, by metric."""
    import numpy as np

    from micebench.metrics.verdict_table import OK, UNKNOWN

    edits = run.edit_index()
    values = {metric: array.copy() for metric, array in table.values.items()}
    status = {metric: array.copy() for metric, array in table.status.items()}
    for metric in (name for name in given if given[name] and name not in values):  # the judge was never asked
        values[metric] = np.zeros(table.edit_types.shape)
        status[metric] = np.full(table.edit_types.shape, UNKNOWN[-1], dtype=np.int8)
    counts: dict[str, dict[str, int]] = {}
    for metric in values:
        gaps = np.isin(status[metric], UNKNOWN) & table.exists
        done: Counter[str] = Counter()
        for asked, value in given.get(metric, {}).items():
            row = edits.sessions.position[asked.session] * edits.repeats + asked.repeat
            if gaps[row, asked.turn - 1]:
                values[metric][row, asked.turn - 1] = value
                status[metric][row, asked.turn - 1] = OK
                done[metric] += 1
        counts[metric] = {"gaps": int(gaps.sum()), "filled": done[metric]}
    return replace(table, values=values, status=status), counts
