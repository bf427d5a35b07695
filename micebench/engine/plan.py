"""What a job would do: counted, not done. Writes nothing."""

from collections.abc import Iterable
from dataclasses import dataclass

from micebench.engine.drift import DriftCheck
from micebench.engine.edit_stage import open_edits
from micebench.engine.job import Job, asked_metrics, check_resumable
from micebench.engine.judge_stage import missing_units
from micebench.engine.run_reader import Run
from micebench.errors import DataError
from micebench.execution.images import source_png
from micebench.sessions import Session
from micebench.store.run_dir import RunDir
from micebench.tasks.dataset import iter_sessions

_SAMPLE = 8
_VERDICT_BYTES = 450  # one journal line and its share of the parquet file


@dataclass(frozen=True, slots=True)
class Plan:
    """Units of a job.

    Attributes:
        exists: there is a run to go on with.
        sessions: rows of the task; each is run `repeats` times.
        absent: sessions whose source image is not there; `first_absent` is the path of one.
        edits, edits_done, edits_failed: in all; finished; to be tried again.
        verdicts, verdicts_done: in all (if no edit fails), and given.
        golden: golden items to be scored before and after the verdicts.
        disk_bytes: rough size of what is still to be written.
    """

    exists: bool
    sessions: int
    absent: int
    first_absent: str
    edits: int
    edits_done: int
    edits_failed: int
    verdicts: int
    verdicts_done: int
    golden: int
    disk_bytes: int


def make_plan(job: Job) -> Plan:
    """Count what is missing.

    Raises:
        MicebenchError: everything that would stop the run before its first edit.
    """
    check_resumable(job)
    dataset = job.sessions()
    there = check_resumable(job, len(dataset))
    turns, absent, first_absent, image_bytes = _survey(iter_sessions(dataset))
    repeats = job.options.repeats
    metrics = len(asked_metrics(job.judge, job.editor.context, job.task.turns))
    edits = turns * repeats
    edits_done = edits_failed = verdicts_done = 0
    if there is not None:
        index = Run(job.out, there).edit_index()
        planned = sum(index.sessions.turns) * repeats
        edits_done = planned - sum(open_edits(index, row) for row in range(index.rows))
        edits_failed = len(index.reasons)
        if job.judge is not None:
            verdicts = Run(job.out, there).verdict_index()
            open_verdicts = sum(len(missing_units(verdicts, row, retry_failed=False)) for row in range(index.rows))
            verdicts_done = edits_done * metrics - open_verdicts
    images = edits - edits_done + (0 if there else len(dataset))
    return Plan(
        exists=there is not None,
        sessions=len(dataset),
        absent=absent,
        first_absent=first_absent,
        edits=edits,
        edits_done=edits_done,
        edits_failed=edits_failed,
        verdicts=edits * metrics,
        verdicts_done=verdicts_done,
        golden=_golden_calls(job, judging=verdicts_done < edits * metrics),
        disk_bytes=round(images * image_bytes) + (edits * metrics - verdicts_done) * _VERDICT_BYTES,
    )


def _golden_calls(job: Job, *, judging: bool) -> int:
    if job.judge is None:
        return 0
    return DriftCheck(RunDir(job.out), job.judge, wanted=job.options.golden).calls(judging=judging)


def _survey(sessions: Iterable[Session]) -> tuple[int, int, str, float]:
    """(turns, absent images, path of the first absent one, mean bytes of a source as PNG)."""
    turns = absent = 0
    first_absent = ""
    sizes: list[int] = []
    for session in sessions:
        turns += len(session.turns)
        if not session.image.present:
            absent += 1
            first_absent = first_absent or session.image.path
        elif len(sizes) < _SAMPLE:
            try:
                sizes.append(len(source_png(session.image)))
            except DataError:
                continue  # the run itself names it
    return turns, absent, first_absent, sum(sizes) / len(sizes) if sizes else 0.0
