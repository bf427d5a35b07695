"""`evaluate`: sources, then edits, then verdicts, then the summary; every stage resumes where it was."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from micebench.cards import EditorCard, JudgeCard, TaskCard, judge_command
from micebench.editors.base import Editor
from micebench.engine.background_judging import Alongside
from micebench.engine.edit_stage import anything_to_edit, edit_missing
from micebench.engine.golden import golden_of
from micebench.engine.ingest import ingest
from micebench.engine.job import Job, Options, check_resumable, judge_fields, make_job
from micebench.engine.judge_stage import Judging
from micebench.engine.progress import Progress, silent
from micebench.engine.run_reader import Run, recorded_card
from micebench.engine.summary import derive
from micebench.errors import CardError, RunError
from micebench.judges.base import Judge
from micebench.registry.sources import JudgeSource, judge_source
from micebench.store.manifest import Manifest, versions
from micebench.store.run_dir import Log, RunDir, write_manifest
from micebench.tasks.dataset import iter_sessions
from micebench.utils.text_files import check_writable


def evaluate(
    task: str | TaskCard,
    editor: str | EditorCard | Editor,
    *,
    out: Path | str | None = None,
    judge: str | JudgeCard | Judge | None = None,
    data: Path | str | None = None,
    limit: int | None = None,
    seed: int = 0,
    repeats: int = 1,
    context: str | None = None,
    workers: int = 1,
    batch: int | None = None,
    retry_refused: bool = False,
    golden: bool = True,
    cards: Sequence[Path] = (),
    progress: Progress | None = None,
) -> Run:
    """Run an editor over a task and judge every edit. The same call again resumes, and retries what failed.

    Args:
        task: card id, path of a card, or card.
        editor: card id, ``module:Class``, card, or any object with a method ``edit`` (see `Editor`).
        out: run directory; None: ``runs/<task>--<model>`` in the current directory.
        judge: card id, card, or any object with a method ``judge``; None: the task's own; ``"none"``: edit only.
        data: the release's folder, for tasks that need one.
        limit: only the first so many sessions.
        seed: base seed; each edit has its own, derived from it.
        repeats: how often each session is run.
        context: last | history | composed; None: what the editor declares.
        workers: editor processes (each with its own editor).
        batch: requests per editor call; None: what the editor declares.
        retry_refused: ask again for edits that the editor has refused (failed ones are asked again anyway).
        golden: score the judge's golden items, if it carries any, before and after the verdicts.
        cards: further card folders.
        progress: told how far each stage is.

    Raises:
        MicebenchError: one line that says what is wrong and what to do. A failing edit or judge call is not
            an error but a record: see `Run.failures` and `Run.unanswered`.
        HopelessEndpoint: the judge's server gives the same error to all of the first questions. Edits are kept, and
            the same call asks again.
    """
    options = Options(
        context=context,
        seed=seed,
        repeats=repeats,
        limit=limit,
        cards=tuple(cards),
        data=Path(data) if data is not None else None,
        workers=workers,
        batch=batch,
        retry_refused=retry_refused,
        golden=golden,
    )
    return execute(make_job(task, editor, judge, options, out), progress)


def execute(job: Job, progress: Progress | None = None, *, retry_failed: bool = False) -> Run:
    """Do all of a job that is not done yet. `retry_failed` as in `judge`, errors as in `evaluate`."""
    report = progress or silent
    check_resumable(job)
    check_writable(job.out, "--out", RunError)
    sessions = job.sessions()
    run = RunDir(job.out)
    with run.lock():
        manifest = _settle_manifest(job, run, len(sessions))
        with Log(run) as log:
            log.event("start", versions=versions(), workers=job.options.workers, batch=job.batch)
            with log.timed("sources"):
                total = len(sessions)
                ingest(run, iter_sessions(sessions), job.task.turns, partial(_tick, report, "sources", total))
            del sessions
            opened = Run(job.out, manifest)
            edits, edit_tick = opened.edit_index(), partial(report, "edits")
            if anything_to_edit(edits, retry_refused=job.options.retry_refused):
                job.editor.probe()
                if job.judge is not None:  # without edits the judging comes next, and finds out by itself
                    _look_for(job.judge, golden=job.options.golden)
            if job.judge is None:
                with log.timed("edits"):
                    edit_missing(job, run, edits, edit_tick)
            elif job.judge.concurrent and job.options.workers == 1:
                beside = Alongside(_judging(job, job.judge, opened, report, retry_failed), opened.verdict_index())
                with log.timed("edits"):
                    edit_missing(job, run, edits, edit_tick, beside)
                with log.timed("verdicts"):
                    beside.finish()
            else:
                with log.timed("edits"):
                    edit_missing(job, run, edits, edit_tick)
                with log.timed("verdicts"):
                    _judging(job, job.judge, opened, report, retry_failed).finish()
            if job.judge is not None:
                with log.timed("summary"):
                    derive(run, manifest, opened.verdict_index())
            log.event("end")
    return opened


def _judging(job: Job, judge: JudgeSource, opened: Run, report: Progress, retry_failed: bool) -> Judging:
    tick, verdicts = partial(report, "verdicts"), opened.verdict_index()
    golden = job.options.golden
    return Judging(judge, RunDir(opened.path), verdicts, tick, retry_failed=retry_failed, golden=golden)


def _look_for(judge: JudgeSource, *, golden: bool) -> None:
    """Raises CardError for what would otherwise be found out after hours of editing."""
    if golden:
        golden_of(judge)
    try:
        judge.probe()
    except CardError as error:
        raise CardError(f"{error}; to edit now and judge later, give --judge none") from error


def judge(
    run: Run | Path | str,
    judge: str | JudgeCard | Judge | None = None,
    *,
    retry_failed: bool = False,
    golden: bool = True,
    cards: Sequence[Path] = (),
    progress: Progress | None = None,
) -> Run:
    """Judge the edits of a run; none is made again, and verdicts that are there are kept.

    Each judge has its own journal. The run's table, summary and report are then those of this judge.

    Args:
        judge: card id, card, or any object with a method ``judge``; None: the run's own.
        retry_failed: ask again where there is a verdict without a value (unparsed, refused, error).
        golden, cards, progress: as in `evaluate`.

    Raises:
        MicebenchError: no run there, unknown judge, or one of another domain; `HopelessEndpoint` as in `evaluate`.
    """
    path = run.path if isinstance(run, Run) else Path(run)
    folder = RunDir(path)
    manifest = Manifest.load(folder.manifest)
    source = _judge_of(manifest, path, judge, cards)
    with folder.lock():
        manifest = Manifest.load(folder.manifest)
        shown = manifest.model_copy(update=judge_fields(source, manifest.context, manifest.turns))
        if shown != manifest:
            write_manifest(folder, shown)
        opened = Run(path, shown)
        with Log(folder) as log:
            log.event("judge", judge=source.id, retry_failed=retry_failed)
            tick, verdicts = partial(progress or silent, "verdicts"), opened.verdict_index()
            with log.timed("verdicts"):
                Judging(source, folder, verdicts, tick, retry_failed=retry_failed, golden=golden).finish()
            with log.timed("summary"):
                derive(folder, shown, verdicts)
            log.event("end")
    return opened


def _judge_of(
    manifest: Manifest, path: Path, judge: str | JudgeCard | Judge | None, cards: Sequence[Path]
) -> JudgeSource:
    task = recorded_card(path, TaskCard, manifest.task_card)
    if judge is not None:
        source = judge_source(judge, task, cards)
    else:
        source = recorded_judge(manifest, task, path, cards)
    if source is None:
        raise RunError(f"{path}: the run has no judge card of its own; name one with --judge")
    return source


def recorded_judge(manifest: Manifest, task: TaskCard, path: Path, cards: Sequence[Path]) -> JudgeSource | None:
    """The judge the run was judged by: by its name or, if that means another one today, from the card it recorded."""
    if manifest.judge_card is None or manifest.judge is None:
        return None
    for card in (manifest.judge, recorded_card(path, JudgeCard, manifest.judge_card)):
        with suppress(CardError):
            source = judge_source(card, task, cards)
            if source is not None and source.identity == manifest.judge_hash:
                return source
    raise RunError(
        f"{path}: judge {manifest.judge!r}, or a prompt of it, has changed since, or is not among the cards; "
        f"to judge by today's, run `{judge_command(path, manifest.judge, cards=cards)}`"
    )


def _settle_manifest(job: Job, run: RunDir, n_sessions: int) -> Manifest:
    """Write the manifest of a new run; of an old one, keep it and note the judge to be shown, if there is one."""
    there, wanted = check_resumable(job, n_sessions), job.manifest(n_sessions)
    if there is not None:
        asked = judge_fields(job.judge, there.context, there.turns) if job.judge is not None else {}
        wanted = there.model_copy(update=asked)
    if wanted != there:
        write_manifest(run, wanted)
    return wanted


def _tick(report: Progress, stage: str, total: int, done: int) -> None:
    report(stage, done, total)
