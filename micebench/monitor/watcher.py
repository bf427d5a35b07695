"""Evaluates each checkpoint that a training job writes, and says when it has become worse than a base run."""

import gc
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from micebench.cards import EditorCard, TaskCard, card_hash, judge_command, load_card
from micebench.comparison.gate import GateOptions, decide
from micebench.comparison.paired_runs import compare
from micebench.engine.drift import drifted
from micebench.engine.evaluate import execute, recorded_judge
from micebench.engine.golden import golden_of
from micebench.engine.job import Job, Options
from micebench.engine.progress import Progress, silent
from micebench.engine.run_reader import Run, open_run, recorded_card
from micebench.errors import EndpointError, MicebenchError, NothingGained, RunError, described, one_line
from micebench.monitor.checkpoint_editor import checkpoint_editor
from micebench.monitor.checkpoint_scanner import Arrival, Arrivals
from micebench.monitor.checkpoints import Checkpoint, hold, unfinished
from micebench.monitor.watch_log import Entry, Pending, WatchLog, failures_in_a_row, open_log
from micebench.registry.earlier_identities import same_identity
from micebench.registry.sources import JudgeSource
from micebench.store.manifest import write_atomically
from micebench.store.run_dir import RunDir

_HELD = ".held"
_REASON = 300  # characters of a reason that are kept


Displays = Callable[[], AbstractContextManager[Progress]]
"""Gives a new display of progress for each checkpoint."""


def _silence() -> AbstractContextManager[Progress]:
    return nullcontext(silent)


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How to watch.

    Attributes:
        out: where runs and curve go; None: the folder ``watch`` in the watched one.
        gate: what is guarded, and how strictly.
        stop_after: stop after so many regressions in a row; None: never.
        every: seconds between two looks at the folder.
        settle: seconds for which the files of a checkpoint must not change.
        marker: a file that says that a checkpoint is complete; then nothing is waited for.
        once: evaluate what is there, and end.
        on_fail: program and arguments to be run when the watch stops.
        stop_file: file to be written then.
        model, weights: what a LoRA goes on, if not the base run's model; settings of a saved pipeline.
        data, cards, batch, golden: as in `micebench.engine.job.Options`.
    """

    out: Path | None = None
    gate: GateOptions = field(default_factory=GateOptions)
    stop_after: int | None = 2
    every: float = 30.0
    settle: float = 10.0
    marker: str | None = None
    once: bool = False
    on_fail: Sequence[str] = ()
    stop_file: Path | None = None
    model: str | None = None
    weights: Path | None = None
    data: Path | None = None
    cards: Sequence[Path] = ()
    batch: int | None = None
    golden: bool = True


def watch(
    folder: Path,
    base: Path,
    options: WatchOptions,
    *,
    tell: Callable[[str], None] = lambda line: None,
    show: Callable[[WatchLog, Path], None] = lambda log, out: None,
    progress: Displays = _silence,
) -> bool:
    """Watch until told to stop; True: regressions in a row have stopped it.

    Every finished evaluation is kept at once in ``out/watch.json``: the same call goes on after an interruption,
    in the middle of an evaluation too. A checkpoint that cannot be loaded is an entry, not an error.

    Args:
        tell: is given lines for people.
        show: is given everything known, and the folder, whenever there is something new.
        progress: makes what is told how far a checkpoint's evaluation is.

    Raises:
        MicebenchError: no base run, one that today's cards cannot repeat, another watch in `out`, or a judge or disk
            that no checkpoint could be evaluated with (`NothingGained`: a judge that gave not one value).
    """
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder; give the one that the training job writes its checkpoints into")
    out = options.out or folder / "watch"
    with RunDir(out).lock():
        watcher = _Watcher(folder, out, base, options, tell, show, progress)
        return watcher.work()


class _Watcher:
    def __init__(
        self,
        folder: Path,
        out: Path,
        base: Path,
        options: WatchOptions,
        tell: Callable[[str], None],
        show: Callable[[WatchLog, Path], None],
        progress: Displays,
    ) -> None:
        self._folder, self._out, self._options = folder, out, options
        self._tell, self._show, self._progress = tell, show, progress
        self._base = open_run(base)
        self._task, self._judge = _protocol(self._base, options.cards)
        self._log = open_log(self._base, out, options.gate)
        self._check()

    def _check(self) -> None:
        """Raise what no checkpoint is to blame for: golden items or data that cannot be used."""
        from micebench.tasks.load import load_task

        if self._options.golden:
            golden_of(self._judge)
        load_task(self._task, data=self._options.data, limit=self._base.manifest.limit)

    def work(self) -> bool:
        log, options = self._log, self._options
        self._tell(f"watching {self._folder}: {log.metric}@{log.turn} against {log.model}, {log.base}")
        if log.entries:
            self._tell(f"{_counted(len(log.entries))} evaluated before: {self._out}")
        self._let_go(except_for=log.pending)
        if log.pending is not None:
            self._finish(log.pending, again=True)
        new = self._stopping()
        arrivals = Arrivals(self._folder, settle=options.settle, marker=options.marker, once=options.once)
        while not new:
            arrival = arrivals.next(log.known())
            if arrival is not None:
                pending = self._begin(arrival)
                if pending is not None:
                    self._finish(pending)
                    new = self._stopping()
            elif options.once and not arrivals.may_come():
                if left_out := arrivals.waiting():
                    self._tell(f"not complete, left out: {', '.join(left_out)}")
                break
            else:
                time.sleep(min(options.every, max(0.05, options.settle)) if arrivals.may_come() else options.every)
        return new or (options.once and log.stopped)

    def _begin(self, arrival: Arrival) -> Pending | None:
        """Take hold of a checkpoint; None if it has changed or gone meanwhile."""
        checkpoint, signature = arrival
        label = self._log.label(checkpoint.name)
        try:
            held = hold(checkpoint, self._out / _HELD / label).look().signature
            if checkpoint.look().signature != signature:
                return None
        except OSError:
            return None
        said = {"name": checkpoint.name, "label": label, "kind": checkpoint.kind, "step": checkpoint.step}
        pending = Pending(**said, signature=signature, held=held)
        self._log.pending, self._log.stopped = pending, False
        self._log.save(self._out)
        return pending

    def _finish(self, pending: Pending, *, again: bool = False) -> None:
        held = self._out / _HELD / pending.label
        checkpoint = Checkpoint(pending.name, pending.kind, held / pending.name)
        self._tell(f"{pending.label}: {pending.kind}, {self._out / pending.label}")
        entry = self._evaluated(pending, checkpoint, again)
        self._log.entries.append(entry)
        self._log.pending = None
        self._log.save(self._out)
        self._let_go()
        self._tell(f"{entry.label}: {entry.outcome}: {entry.reasons[0] if entry.reasons else ''}")
        self._show(self._log, self._out)

    def _let_go(self, except_for: Pending | None = None) -> None:
        """Remove what is still held of checkpoints that have been evaluated."""
        for place in (self._out / _HELD).glob("*"):
            if except_for is None or place.name != except_for.label:
                shutil.rmtree(place, ignore_errors=True)

    def _evaluated(self, pending: Pending, checkpoint: Checkpoint, again: bool) -> Entry:
        def entry(outcome: str, reasons: Sequence[str], **found: object) -> Entry:
            return Entry.model_validate({**dict(pending), "outcome": outcome, "reasons": list(reasons), **found})

        self._judge.probe()  # a judge that cannot be asked is no fault of the checkpoint's
        out = self._out / pending.label
        changed = entry("broken", ["its files were changed in place while it was evaluated"])
        try:
            if fault := unfinished(checkpoint):
                return entry("broken", [fault])
            if checkpoint.look().signature != pending.held:
                return changed
            job = self._job(checkpoint, pending.label, out)
            with self._progress() as progress:
                run = execute(job, progress, retry_failed=again)
            self._check_judged(pending, run)
            if checkpoint.look().signature != pending.held:
                return changed
        except (EndpointError, NothingGained, RunError):  # judge, disk, or the run's folder
            raise
        except Exception as error:  # anything can be wrong with a file that another program has written
            if _edited(out):
                raise
            said = one_line(error, _REASON) if isinstance(error, MicebenchError) else described(error, _REASON)
            return entry("broken", [said])
        finally:
            _free_memory()
        comparison = compare(self._base, run).to_json()
        decision = decide(comparison, self._log.gate, drift=drifted(self._base, run))
        reasons = [*decision.reasons, *_failed_edits(run)]
        value = run.summary()["metrics"].get(self._log.metric, {}).get(self._log.turn)
        return entry(decision.outcome, reasons, cell=decision.cell, value=value)

    def _check_judged(self, pending: Pending, run: Run) -> None:
        """Raises NothingGained if the judge gave not one value: no fault of the checkpoint's, which stays pending."""
        found = run.unanswered()
        if found.missing and not found.scored:
            raise NothingGained(
                f"{pending.label}: {found.line()}; correct the judge or its server; the same command then asks again"
            )

    def _job(self, checkpoint: Checkpoint, label: str, out: Path) -> Job:
        manifest, options = self._base.manifest, self._options
        editor = checkpoint_editor(
            checkpoint, label, self._task, manifest, model=options.model, weights=options.weights, cards=options.cards
        )
        how = Options(
            context=manifest.context,
            seed=manifest.seed,
            repeats=manifest.repeats,
            limit=manifest.limit,
            cards=tuple(options.cards),
            data=options.data,
            batch=options.batch,
            golden=options.golden,
        )
        how.check()
        return Job(self._task, editor, self._judge, how, out)

    def _stopping(self) -> bool:
        """Whether the watch is to stop now; if so, the training job is told."""
        log, options = self._log, self._options
        row = failures_in_a_row(log.entries)
        if options.stop_after is None or row < options.stop_after or log.stopped:
            return False
        last = log.entries[-1]
        self._tell(f"the gate failed {row} times in a row: stopping")
        if options.stop_file is not None:
            said = {"checkpoint": last.label, "failures": row, "reasons": last.reasons}
            write_atomically(options.stop_file, (json.dumps(said, ensure_ascii=False) + "\n").encode())
        if options.on_fail:
            self._run_on_fail(last)
        log.stopped = True
        log.save(self._out)
        return True

    def _run_on_fail(self, last: Entry) -> None:
        names = {"CHECKPOINT": last.label, "RUN": str(self._out / last.label), "WATCH": str(self._out)}
        environment = os.environ | {f"MICEBENCH_{name}": value for name, value in names.items()}
        try:
            code = subprocess.run(list(self._options.on_fail), env=environment, check=False).returncode
        except OSError as error:
            self._tell(f"--on-fail: {self._options.on_fail[0]}: {error.strerror or error}")
        else:
            self._tell(f"--on-fail: {self._options.on_fail[0]} ended with code {code}")


def _protocol(base: Run, cards: Sequence[Path]) -> tuple[TaskCard, JudgeSource]:
    """The base run's task and judge as they are today. Raises MicebenchError if they are others by now."""
    manifest = base.manifest
    if manifest.judge is None:
        raise RunError(f"{base.path} has no verdicts; run `{judge_command(base.path, 'NAME', cards=cards)}`")
    task = load_card(TaskCard, manifest.task, cards)
    if not same_identity(manifest.task_hash, card_hash(task)):
        raise RunError(f"{base.path}: the card of task {manifest.task!r} has changed since; run the base again")
    if manifest.editor_card is not None:
        recorded_card(base.path, EditorCard, manifest.editor_card)
    source = recorded_judge(manifest, task, base.path, cards)
    if source is None:
        raise RunError(
            f"{base.path}: judge {manifest.judge!r} has no card, so that no checkpoint can be judged by it"
        )
    return task, source


def _edited(out: Path) -> bool:
    return any(path.stat().st_size for path in RunDir(out).edit_journals())


def _failed_edits(run: Run) -> list[str]:
    failures = run.failures()
    if not failures:
        return []
    first = failures[0]
    where = f"turn {first.turn} of {first.session}"
    return [f"the model failed in {len(failures)} sessions, first in {where}: {first.reason}"]


def _free_memory() -> None:
    """The next model needs the room of the last."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _counted(checkpoints: int) -> str:
    return f"{checkpoints} checkpoint" + ("" if checkpoints == 1 else "s")
