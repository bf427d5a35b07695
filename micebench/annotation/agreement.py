"""What a run's labels say about its judge, and about one another."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from micebench.annotation.calibration import calibrate
from micebench.annotation.human_labels import Labels, NothingShared, labels_of, records_of, reviewers
from micebench.cards import command
from micebench.engine.run_reader import Run
from micebench.judges.human import EVERYONE, PREFIX, QUESTIONS
from micebench.store.records import VerdictRecord


def agreement(
    run: Run, metrics: Sequence[str] = (), *, reviewer: str | None = None, seed: int = 0, seen: bool = False
) -> dict[str, Any]:
    """Agreement of the run's judge with each reviewer and with all of them, and of the reviewers with each other.

    Args:
        metrics: what was asked; empty: everything that has labels.
        reviewer: only this one; None: all.
        seed: of the intervals.
        seen: count labels given after the automatic verdict was shown, too.

    Returns:
        ``{"run", "task", "model", "judge", "labels_seen": seen,
        "reviewers": {NAME: {"labels", "blind", "undecided", "stale"}},
        "metrics": {METRIC: {"judge": [CALIBRATION], "reviewers": [CALIBRATION], "together": TOGETHER | None}}}``
        with CALIBRATION as `engine.calibrate.calibrate` returns it (pairs with nothing in common are left out) and
        TOGETHER = ``{"reviewers", "edits", "split", "kappa"}``: Fleiss' kappa of as many reviewers on the edits
        that all of them decided, and on how many edits reviewers split evenly, so that `human:*` has no answer.

    Raises:
        NothingShared: nobody has labelled the run (with the remedy).
        RunError: a label file is damaged.
    """
    names = [reviewer] if reviewer is not None else reviewers(run)
    given = {name: labels_of(run, name) for name in names}
    labelled = {asked.metric for labels in given.values() for asked in labels.final}
    if not labelled:
        who = f" of {reviewer}" if reviewer is not None else ""
        raise NothingShared(f"{run.path} has no labels{who}; give some with `{command('review', run.path)}`")
    wanted = [name for name in QUESTIONS if name in (metrics or labelled)]
    return {
        "run": str(run.path),
        "task": run.manifest.task,
        "model": run.manifest.model,
        "judge": run.manifest.judge,
        "labels_seen": seen,
        "reviewers": {name: _counts(labels) for name, labels in given.items()},
        "metrics": {metric: _of_metric(run, metric, names, seed, seen) for metric in wanted},
    }


def _counts(labels: Labels) -> dict[str, int]:
    return {
        "labels": len(labels.final),
        "blind": len(labels.blind),
        "undecided": sum(label.record.value is None for label in labels.final.values()),
        "stale": labels.stale,
    }


def _of_metric(run: Run, metric: str, names: Sequence[str], seed: int, seen: bool) -> dict[str, Any]:
    people = [PREFIX + name for name in names]
    several = len(people) > 1
    judge = run.manifest.judge if metric in run.manifest.metrics else None
    judged = [(judge, other) for other in (*people, *([EVERYONE] if several else []))] if judge is not None else []
    return {
        "judge": _pairs(run, judged, metric, seed, seen),
        "reviewers": _pairs(run, list(combinations(people, 2)), metric, seed, seen),
        "together": _together(run, metric, seen) if several else None,
    }


def _pairs(run: Run, pairs: Sequence[tuple[str, str]], metric: str, seed: int, seen: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for one, other in pairs:
        try:
            found.append(calibrate(run, one, other, metric=metric, seed=seed, seen=seen))
        except NothingShared:
            continue
    return found


def _together(run: Run, metric: str, seen: bool) -> dict[str, Any] | None:
    import numpy as np

    from micebench.metrics.agreement import vote_kappa

    try:
        records = list(records_of(run, EVERYONE, metric, seen=seen).values())
    except NothingShared:
        return None
    most = max(len(record.votes) for record in records)
    if most < 2:
        return None
    complete = [record.votes for record in records if len(record.votes) == most]
    return {
        "reviewers": most,
        "edits": len(complete),
        "split": sum(_split(record) for record in records),
        "kappa": vote_kappa(np.array(complete)),
    }


def _split(record: VerdictRecord) -> bool:
    return bool(record.votes) and record.value is None
