"""Which runs may be published as a model's results: whole ones, of the model and the cards as they are today."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from micebench.cards import (
    CardFolders,
    EditorCard,
    JudgeCard,
    TaskCard,
    card_hash,
    find_cards,
    judge_command,
    load_card,
)
from micebench.engine.run_reader import Run, open_run
from micebench.errors import RunError, nearest
from micebench.metrics.exposure import turn_id
from micebench.registry.earlier_identities import same_identity
from micebench.registry.sources import editor_source
from micebench.report.formatting import plural
from micebench.report.summary_header import missing

JUDGE = "exact"


@dataclass(frozen=True)
class Evidence:
    """The runs that a model's published numbers come from.

    Attributes:
        card: the model.
        runs: in the order given; no task twice.
        reference: single turns from the reference state, and `whole`: the run that has the same turns in full.
        against: runs of other models, each on the task of one of these.
    """

    card: EditorCard
    runs: tuple[Run, ...]
    reference: Run | None = None
    whole: Run | None = None
    against: tuple[Run, ...] = ()

    def of_task(self, task: str) -> Run:
        return next(run for run in self.runs if run.manifest.task == task)

    @property
    def all_runs(self) -> tuple[Run, ...]:
        return (*self.runs, self.reference) if self.reference is not None else self.runs


def admit(
    model: str,
    runs: Sequence[Path],
    reference: Path | None = None,
    against: Sequence[Path] = (),
    cards: CardFolders = (),
) -> Evidence:
    """Check the runs of a model card.

    Raises:
        CardError: no such model.
        RunError: a run that is partial, unfinished, of another model, judge or version of a card, one task
            twice, or a reference run that belongs to none of the others; with the remedy.
    """
    card = load_card(EditorCard, model, cards)
    opened = [open_run(path) for path in runs]
    single = open_run(reference) if reference is not None else None
    by_task: dict[str, Run] = {}
    for run in [*opened, *([single] if single else [])]:
        _check(run, card, cards)
        other = by_task.setdefault(run.manifest.task, run)
        if other is not run:
            raise RunError(f"{other.path} and {run.path} are both runs of {run.manifest.task!r}; give one of them")
    others = tuple(open_run(path) for path in against)
    for run in others:
        _check_other(run, card, opened)
    return Evidence(card, tuple(opened), single, _whole(single, opened) if single else None, others)


def _check(run: Run, card: EditorCard, cards: CardFolders) -> None:
    manifest = run.manifest
    if manifest.model != card.id:
        raise RunError(f"{run.path} is a run of {manifest.model!r}, not of {card.id!r}; give runs of {card.id!r}")
    if manifest.limit is not None:
        raise RunError(
            f"{run.path} has the first {plural(manifest.limit, 'session')} only; run the whole task, without --limit"
        )
    if manifest.judge != JUDGE:
        raise RunError(
            f"{run.path} was judged by {manifest.judge or 'nobody'}, published numbers are {JUDGE}'s; "
            f"run `{judge_command(run.path, JUDGE, cards=cards)}`"
        )
    _check_cards(run, card, cards)
    _check_finished(run)


def _check_other(run: Run, card: EditorCard, opened: Sequence[Run]) -> None:
    """What is compared with is another model's finished run of one of the tasks."""
    if run.manifest.model == card.id:
        raise RunError(f"{run.path} is a run of {card.id!r} itself; --against takes runs of another model")
    tasks = [one.manifest.task for one in opened]
    if run.manifest.task not in tasks:
        raise RunError(f"{run.path} is a run of {run.manifest.task!r}, but the runs given are of {', '.join(tasks)}")
    _check_finished(run)


def _check_cards(run: Run, card: EditorCard, cards: CardFolders) -> None:
    """What was run and judged is what the cards say today."""
    manifest, again = run.manifest, "run it again into another folder"
    known = find_cards(TaskCard, cards)
    if manifest.task not in known:
        raise RunError(f"{run.path}: unknown task {manifest.task!r}; {nearest(manifest.task, known)}")
    task = load_card(TaskCard, manifest.task, cards)
    if not same_identity(manifest.task_hash, card_hash(task)):
        raise RunError(f"{run.path}: the card of task {task.id!r} has changed since; {again}")
    if not same_identity(manifest.editor_hash, editor_source(card, task, cards).identity):
        raise RunError(f"{run.path}: the card or the weights of {card.id!r} have changed since; {again}")
    if manifest.context != card.context:
        raise RunError(
            f"{run.path} was run with context {manifest.context}, the card of {card.id!r} says {card.context}; "
            "run it without --context"
        )
    if not same_identity(manifest.judge_hash, card_hash(load_card(JudgeCard, JUDGE, cards))):
        raise RunError(
            f"{run.path}: the card of judge {JUDGE!r} has changed since; "
            f"run `{judge_command(run.path, JUDGE, cards=cards)}`"
        )


def _check_finished(run: Run) -> None:
    manifest, again = run.manifest, "the same `micebench run` again finishes it"
    failures = run.failures()
    if failures:
        first = failures[0]
        raise RunError(
            f"{run.path}: {plural(len(failures), 'session')} failed "
            f"(first: {first.session} turn {first.turn}: {first.reason}); {again}"
        )
    sessions = len(run.edit_index().sessions)
    lacking = missing(run.summary())
    if sessions < manifest.n_sessions or lacking:
        what = f"{plural(lacking, 'verdict')} missing" if lacking else f"{sessions} of {manifest.n_sessions} sessions"
        raise RunError(f"{run.path} is not complete: {what}; {again}")


def _whole(reference: Run, runs: Sequence[Run]) -> Run:
    """The run whose sessions, turn by turn and word by word, are those of the reference run."""
    single = {session.id: session.turns[0].instruction for session in reference.sessions()}
    for run in runs:
        whole = {
            turn_id(session.id, turn.number): turn.instruction for session in run.sessions() for turn in session.turns
        }
        if single.items() <= whole.items():
            return run
    task = reference.manifest.task
    raise RunError(
        f"{reference.path}: the turns of {task!r} are not those of any run given; "
        "give the run of whole sessions too (for mice-mini-reference that of mice-mini)"
    )
