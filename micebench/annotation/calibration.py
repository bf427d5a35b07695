"""How far a judge can be trusted: its verdicts on a run held against another judge's, or against labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from micebench.annotation.human_labels import NothingShared, records_of
from micebench.annotation.label_files import Edit, read_labels
from micebench.cards import JudgeCard, TaskCard, judge_command, load_card
from micebench.engine.run_reader import Run, open_run, recorded_card
from micebench.errors import DataError, RunError
from micebench.judges.human import PREFIX
from micebench.registry.sources import judge_source
from micebench.store.records import VerdictRecord
from micebench.store.run_dir import RunDir
from micebench.store.run_index import VerdictIndex
from micebench.verdicts import MEASURES, METRICS, Status

_LABELS = {".csv", ".jsonl"}


def calibrate(
    run: Run | Path | str,
    judge: str,
    against: str | Path,
    *,
    metric: str = "IF",
    seed: int = 0,
    cards: Sequence[Path] = (),
    seen: bool = False,
) -> dict[str, Any]:
    """Agreement of `judge` with `against`, edit by edit.

    Args:
        judge: judge card whose verdicts the run has; or a reviewer, ``human:<name>``, all of them: ``human:*``.
        against: another one, or a file of labels (.csv, .jsonl; see `labels`); taken as the reference.
        metric: what both were asked.
        seed: of the intervals.
        seen: count what reviewers said after they had been shown the automatic verdict, too.

    Returns:
        ``{"run", "task", "model", "judge", "against", "metric", "edits", "unscored_judge", "unscored_against",
        "votes": {"items", "votes", "kappa"} | None}`` and what `metrics.agreement.agree` returns. `unscored_*`:
        edits of the run without a value; they are left out of everything else. `votes`: Fleiss' kappa of the
        votes behind the judge's own verdicts (an ensemble's members), where each has the same number.

    Raises:
        RunError: the run has no such verdicts (with the remedy), or nothing that both scored.
        DataError: a file of labels that does not fit the run.
    """
    import numpy as np

    from micebench.metrics import Resampling
    from micebench.metrics.agreement import Pairs, agree

    opened = run if isinstance(run, Run) else open_run(run)
    if metric not in (*METRICS, *MEASURES):
        raise RunError(f"unknown metric {metric!r}; known: {', '.join((*METRICS, *MEASURES))}")
    kinds = _edit_types(opened)
    records = _verdicts(opened, judge, metric, cards, seen)
    first = {edit: record.value for edit, record in records.items() if record.value is not None}
    if Path(against).suffix in _LABELS and not str(against).startswith(PREFIX):
        second = _labels(Path(against), metric, kinds, opened)
    else:
        other = _verdicts(opened, str(against), metric, cards, seen)
        second = {edit: record.value for edit, record in other.items() if record.value is not None}
    both = [edit for edit in kinds if edit in first and edit in second]
    if not both:
        raise NothingShared(f"{opened.path}: {judge!r} and {against} have scored no common edit for {metric}")
    pairs = Pairs(
        np.array([first[edit] for edit in both]),
        np.array([second[edit] for edit in both]),
        np.array([edit.session for edit in both], dtype=np.str_),
        np.array([kinds[edit] for edit in both], dtype=np.str_),
    )
    return {
        "run": str(opened.path),
        "task": opened.manifest.task,
        "model": opened.manifest.model,
        "judge": judge,
        "against": str(against),
        "metric": metric,
        "edits": len(kinds),
        "unscored_judge": sum(edit not in first for edit in kinds),
        "unscored_against": sum(edit not in second for edit in kinds),
        "votes": _votes([records[edit] for edit in first]),
        **agree(pairs, Resampling(seed=seed)),
    }


def _edit_types(run: Run) -> dict[Edit, str]:
    """Every edit of the run that has an image -> its edit type, "" where unknown."""
    index = run.edit_index()
    found: dict[Edit, str] = {}
    for number, line in enumerate(index.sessions.lines(range(len(index.sessions)))):
        for repeat in range(index.repeats):
            for turn, said in enumerate(line["turns"], start=1):
                if index.image(number * index.repeats + repeat, turn) is not None:
                    found[Edit(line["id"], repeat, turn)] = said["edit_type"] or ""
    return found


def _verdicts(run: Run, judge: str, metric: str, cards: Sequence[Path], seen: bool) -> dict[Edit, VerdictRecord]:
    """The run's verdicts of one judge card, or reviewer, about one metric."""
    if judge.startswith(PREFIX):
        return {Edit(*asked[:3]): record for asked, record in records_of(run, judge, metric, seen=seen).items()}
    manifest = run.manifest
    if manifest.judge == judge and manifest.judge_hash is not None:
        identity, metrics = manifest.judge_hash, tuple(manifest.metrics)
    else:
        task = recorded_card(run.path, TaskCard, manifest.task_card)
        source = judge_source(load_card(JudgeCard, judge, cards), task, cards)
        assert source is not None
        identity, metrics = source.identity, source.metrics
    if metric not in metrics:
        raise RunError(f"judge {judge!r} is not asked about {metric}; it answers {', '.join(metrics)}")
    path = RunDir(run.path).verdicts(judge, identity)
    if not path.exists():
        raise RunError(
            f"{run.path} has no verdicts of {judge!r} as its card is today; "
            f"run `{judge_command(run.path, judge, cards=cards)}`"
        )
    index = VerdictIndex(run.edit_index(), identity, (metric,), path)
    index.load()
    return {Edit(record.session, record.repeat, record.turn): record for record in index.records()}


def _labels(path: Path, metric: str, edits: dict[Edit, str], run: Run) -> dict[Edit, float]:
    labels = read_labels(path, metric)
    foreign = [edit for edit in labels if edit not in edits]
    if foreign:
        one = foreign[0]
        raise DataError(
            f"{path}: {len(foreign)} labels of edits that {run.path} does not have, first turn {one.turn} of session "
            f"{one.session!r}, repeat {one.repeat}"
        )
    return labels


def _votes(records: Sequence[VerdictRecord]) -> dict[str, Any] | None:
    import numpy as np

    from micebench.metrics.agreement import vote_kappa

    most = max((len(record.votes) for record in records), default=0)
    complete = [record.votes for record in records if record.status == Status.OK and len(record.votes) == most]
    if most < 2:
        return None
    return {"items": len(complete), "votes": most, "kappa": vote_kappa(np.array(complete))}
