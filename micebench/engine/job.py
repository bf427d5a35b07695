"""What is asked for, checked before anything slow starts; and the manifest that follows from it."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micebench.cards import EditorCard, JudgeCard, TaskCard, card_hash, judge_command, load_card
from micebench.editors.base import Editor
from micebench.errors import CardError, RunError
from micebench.execution.session_loop import Protocol
from micebench.judges.base import Judge
from micebench.registry.model_files import NO_FILES, ModelFiles
from micebench.registry.sources import EditorSource, JudgeSource, default_out, editor_source, judge_source
from micebench.store.manifest import Manifest, now, versions
from micebench.store.run_dir import RunDir
from micebench.utils.text_files import check_name
from micebench.verdicts import earlier_following

if TYPE_CHECKING:
    import datasets


NO_JUDGE = "none"
"""Named as the judge: edit only."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to run; the first five are part of the run's identity.

    Attributes:
        context: what the editor is shown; None: what its card says.
        seed: base seed of all edits.
        repeats: how often each session is run, with different seeds.
        limit: the first so many sessions only.
        cards: further card folders.
        data: the release's folder, for tasks that need one.
        workers: editor processes.
        batch: requests per editor call; None: what the editor's card says.
        retry_refused: ask again for edits that the editor has refused.
        files: weights and adapter of the model given by hand.
        golden: score the judge's golden items before and after (see `micebench.engine.drift`).
    """

    context: str | None = None
    seed: int = 0
    repeats: int = 1
    limit: int | None = None
    cards: Sequence[Path] = ()
    data: Path | None = None
    workers: int = 1
    batch: int | None = None
    retry_refused: bool = False
    files: ModelFiles = NO_FILES
    golden: bool = True

    def check(self) -> None:
        """Raises CardError for a number that makes no sense."""
        for name in ("repeats", "limit", "workers", "batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise CardError(f"{name} is {value}; give a whole number of at least 1")


@dataclass(frozen=True, slots=True)
class Job:
    """A checked request: task, editor, judge and options that fit together."""

    task: TaskCard
    editor: EditorSource
    judge: JudgeSource | None
    options: Options
    out: Path

    @property
    def batch(self) -> int:
        return self.options.batch or self.editor.batch

    @property
    def protocol(self) -> Protocol:
        return Protocol(self.task.id, self.editor.context, self.options.seed, self.task.same_size)

    def sessions(self) -> "datasets.Dataset":
        """The task's sessions (slow the first time)."""
        from micebench.tasks.load import load_task

        options = self.options
        return load_task(self.task, data=options.data, limit=options.limit)

    def manifest(self, n_sessions: int) -> Manifest:
        """The manifest of a run of this job, made now."""
        editor, task = self.editor, self.task
        return Manifest(
            task=task.id,
            task_version=task.version,
            task_hash=card_hash(task),
            task_card=task.model_dump(mode="json"),
            fingerprint=task.fingerprint,
            model=editor.id,
            editor_hash=editor.identity,
            editor_card=editor.card.model_dump(mode="json") if editor.card else None,
            **judge_fields(self.judge, editor.context, task.turns),
            context=editor.context,
            seed=self.options.seed,
            repeats=self.options.repeats,
            limit=self.options.limit,
            n_sessions=n_sessions,
            turns=task.turns,
            content_consistency=task.content_consistency,
            batch=self.batch,
            versions=versions(),
            platform=platform.platform(),
            created=now(),
        )


def asked_metrics(judge: JudgeSource | None, context: str, turns: int) -> list[str]:
    """What the judge is asked about every edit of a run with this context and so many turns at most."""
    if judge is None:
        return []
    each = context == "composed" and "IF" in judge.metrics and judge.card is not None and judge.card.each_instruction
    return [*judge.metrics, *(earlier_following(number) for number in range(1, turns if each else 1))]


def judge_fields(judge: JudgeSource | None, context: str, turns: int) -> dict[str, Any]:
    """What the manifest of such a run says about the judge."""
    return {
        "judge": judge.id if judge else None,
        "judge_hash": judge.identity if judge else None,
        "judge_card": judge.card.model_dump(mode="json") if judge and judge.card else None,
        "metrics": asked_metrics(judge, context, turns),
    }


def make_job(
    task: str | TaskCard,
    editor: str | EditorCard | Editor,
    judge: str | JudgeCard | Judge | None,
    options: Options,
    out: Path | str | None,
) -> Job:
    """Find the cards and check that they fit.

    Raises:
        CardError: unknown names (with the nearest), a model of another domain, numbers that make no sense.
    """
    options.check()
    card = task if isinstance(task, TaskCard) else load_card(TaskCard, task, options.cards)
    chosen = editor_source(editor, card, options.cards, options.context, options.files)
    scorer = None if judge == NO_JUDGE else judge_source(judge, card, options.cards)
    folder = Path(out) if out else _default_out(card, chosen, options)
    check_name(folder, "--out", CardError)
    return Job(card, chosen, scorer, options, folder)


def _default_out(task: TaskCard, editor: EditorSource, options: Options) -> Path:
    declared = editor.card.context if editor.card else editor.context
    return default_out(
        task,
        editor,
        {
            "limit": options.limit,
            "seed": options.seed or None,
            "repeats": options.repeats if options.repeats > 1 else None,
            "context": editor.context if editor.context != declared else None,
        },
    )


def check_resumable(job: Job, n_sessions: int | None = None) -> Manifest | None:
    """The manifest of the run in `job.out` if the job may go on with it, None if there is no run yet.

    Raises:
        RunError: the folder holds something else, or a run of another identity (named, with the remedy).
    """
    run = RunDir(job.out)
    if not run.manifest.exists():
        if job.out.is_dir() and any(not path.name.startswith(".") for path in job.out.iterdir()):
            raise RunError(f"{job.out} is not empty and not a run; give another --out")
        if job.out.exists() and not job.out.is_dir():
            raise RunError(f"{job.out} is a file; give a folder with --out")
        return None
    there = Manifest.load(run.manifest)
    differences = there.differences(job.manifest(there.n_sessions if n_sessions is None else n_sessions))
    if differences:
        raise RunError(f"{job.out} holds another run: {'; '.join(differences)}; start a new one with another --out")
    _check_judge(job, run, there)
    return there


def _check_judge(job: Job, run: RunDir, there: Manifest) -> None:
    """A run may be shown by another judge, once `micebench judge` has been asked to add it; any may be edited on."""
    if job.judge is None:
        return
    asked, identity = job.judge.id, job.judge.identity
    if (there.judge, there.judge_hash) == (asked, identity) or run.verdicts(asked, identity).exists():
        return
    what = "the judge card has changed since" if there.judge == asked else f"its judge is {there.judge!r}"
    remedy = judge_command(job.out, job.judge.card or asked, cards=job.options.cards)
    raise RunError(
        f"{job.out} holds another run: {what}; to judge the same edits by {asked!r}, run "
        f"`{remedy}`, or start a new run with another --out"
    )
