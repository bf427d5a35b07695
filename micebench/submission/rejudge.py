"""Verdicts of some sessions given again, by the judge as it is here, from the images in the bundle."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from micebench.cards import TaskCard
from micebench.engine.job import judge_fields
from micebench.engine.judge_stage import Judging
from micebench.engine.run_reader import Run
from micebench.execution.images import source_png
from micebench.registry.sources import JudgeSource
from micebench.report.formatting import LEGITIMATE, plural, visible
from micebench.sessions import Session
from micebench.store.journal import Journal
from micebench.store.records import EditRecord, VerdictRecord
from micebench.store.run_dir import RunDir
from micebench.submission.bundle import Bundle
from micebench.submission.errors import BundleError
from micebench.submission.session_checks import run_line
from micebench.verdicts import Status

ROUNDING = 1e-4
"""Largest difference between two values of an exact judge: sums are rounded differently on other machines."""
APART = 0.1
"""Difference from which on two values of a judge with a model count as different."""
DIFFERENT = 0.10
"""Largest share of different verdicts of such a judge; of sessions with a changed applicability; of unanswered
questions."""
FAVOUR = 0.03
"""How much better than the verdicts given here the submitted ones may be in the mean."""
NO_ANSWER = (Status.UNPARSED, Status.REFUSED, Status.ERROR)
"""Statuses of a judge that was asked and gave neither a value nor a reason inherent in the question."""
_LOWER_IS_BETTER = ("destroyed",)

_Unit = tuple[str, int, int, str]


@dataclass(frozen=True)
class Rejudged:
    """The comparison of the verdicts given here with those of the bundle.

    Attributes:
        sessions: how many were judged again.
        compared: verdicts given here that the bundle has, too.
        different: of those, the ones that differ; `first` describes the first.
        favour: by how much the submitted values are better in the mean, in [-1, 1].
        absent: verdicts given here without a line in the bundle; `first_absent` describes the first.
        asked, unanswered: questions asked here, and those to which the judge gave no answer.
        lacking: sessions in which the bundle has no line or no answer where the judge answered here.
        swapped: sessions in which a verdict has a value on one side and is not applicable on the other.
    """

    sessions: int
    compared: int
    different: int
    first: str
    favour: float
    absent: int = 0
    first_absent: str = ""
    asked: int = 0
    unanswered: int = 0
    lacking: int = 0
    swapped: int = 0


def is_exact(judge: JudgeSource) -> bool:
    """Whether the judge needs no model, so that it answers every question, and equally each time."""
    return judge.concurrent


def built(judge: JudgeSource) -> JudgeSource:
    """The judge, made. Needs nothing of a bundle, so no bundle can make it fail.

    Raises:
        UnavailableError: its server, its weights or its package cannot be had here; with the remedy.
        MicebenchError: anything else that is wrong with it.
    """
    judge.probe()
    return replace(judge, instance=judge.build())


def rejudge(
    bundle: Bundle, task: TaskCard, judge: JudgeSource, own: Sequence[Session], chosen: Collection[str], folder: Path
) -> Rejudged:
    """Judge the chosen sessions in a run made for it in `folder`, and compare.

    Args:
        judge: as `built` returns it.

    Raises:
        BundleError: an image of these sessions is not in the bundle.
        MicebenchError: the judging could not be finished.
    """
    run = RunDir(folder)
    picked = {session.id: session for session in own if session.id in chosen}
    images = {line["id"]: line["image"] for line in bundle.sessions}
    lines = [run_line(session, images[name]) for name, session in picked.items()]
    edits = [edit for edit in bundle.edits if edit.session in picked]
    fields = judge_fields(judge, bundle.manifest.context, task.turns) | {"n_sessions": len(lines)}
    for path, written in ((run.sessions, lines), (run.edits, [edit.to_line() for edit in edits])):
        with Journal(path) as journal:
            journal.append(written)
    for session in picked.values():
        for turn in session.turns:
            for reference in (turn.target_image, turn.mask_image):
                if reference is not None and reference.present:
                    run.blobs.put(source_png(reference))
    needed = [images[name] for name in picked] + [edit.image for edit in edits if edit.image]
    for _, png in bundle.pictures(needed):
        run.blobs.put(png)
    verdicts = Run(folder, bundle.manifest.model_copy(update=fields)).verdict_index()
    Judging(judge, run, verdicts, lambda _, __: None, golden=False).finish()
    given = {_about(verdict): verdict for verdict in verdicts.records()}
    return compared(bundle.verdicts, given, _units(edits, verdicts.metrics), len(picked), is_exact(judge))


def compared(
    submitted: Sequence[VerdictRecord],
    given: Mapping[_Unit, VerdictRecord],
    units: Sequence[_Unit],
    sessions: int,
    exact: bool,
) -> Rejudged:
    """Compare what was submitted about `units` with the verdicts given here."""
    stated = {_about(verdict): verdict for verdict in submitted}
    both: list[tuple[VerdictRecord, VerdictRecord]] = []
    different: list[str] = []
    absent: list[str] = []
    lacking, swapped = set[str](), set[str]()
    unanswered = 0
    for unit in units:
        theirs, here = stated.get(unit), given.get(unit)
        if here is None or (not exact and here.status in NO_ANSWER):
            unanswered += 1
            continue
        if theirs is None:
            lacking.add(here.session)
            absent.append(f"{_unit(unit)}, judged here {_shown(here)}")
            continue
        both.append((theirs, here))
        if theirs.status in NO_ANSWER and theirs.status != here.status:
            lacking.add(here.session)
        elif (theirs.status in LEGITIMATE) != (here.status in LEGITIMATE):
            swapped.add(here.session)
        if _differ(theirs, here, ROUNDING if exact else APART):
            different.append(f"{_unit(unit)} is {_shown(theirs)}, judged here {_shown(here)}")
    return Rejudged(
        sessions=sessions,
        compared=len(both),
        different=len(different),
        first=different[0] if different else "",
        favour=_favour(both),
        absent=len(absent),
        first_absent=absent[0] if absent else "",
        asked=len(units),
        unanswered=unanswered,
        lacking=len(lacking),
        swapped=len(swapped),
    )


def check_rejudged(found: Rejudged, exact: bool) -> str:
    """Raises BundleError (check "verdicts") if the submitted verdicts are not those given here. Else: in words."""
    what = f"{plural(found.compared, 'verdict')} of {plural(found.sessions, 'session')} judged again"
    if found.unanswered > (0 if exact else DIFFERENT * found.asked):
        raise _refused(
            f"the judge left {found.unanswered:,} of {plural(found.asked, 'question')} unanswered here; verify again"
        )
    if not found.compared and not found.absent:
        raise _refused("the sessions drawn hold no edited image to judge; draw more with --sample")
    if exact:
        if found.absent:
            raise _refused(
                f"{what}, {plural(found.absent, 'verdict')} given here and missing in the bundle; "
                f"the first: {found.first_absent}"
            )
        if found.different:
            raise _refused(f"{what}, {found.different:,} differ; {found.first}")
        return f"{what}, all equal"
    share = found.different / found.compared if found.compared else 0.0
    said = f"{what}, {share:.1%} differ by more than {APART}, mean {found.favour:+.3f} in the submission's favour"
    if share > DIFFERENT or found.favour > FAVOUR:
        raise _refused(f"{said}; at most {DIFFERENT:.0%} and +{FAVOUR} may be; {found.first}")
    if found.swapped > max(1, DIFFERENT * found.sessions):
        raise _refused(
            f"{said}; {plural(found.swapped, 'session')} with a verdict that is not applicable where it has a value "
            f"here, or the reverse; at most {DIFFERENT:.0%} may have one; {found.first}"
        )
    if found.lacking:
        said += f"; {plural(found.lacking, 'session')} without a verdict that was given here"
    return said


def _units(edits: Sequence[EditRecord], metrics: Sequence[str]) -> list[_Unit]:
    return [(e.session, e.repeat, e.turn, metric) for e in edits if e.image is not None for metric in metrics]


def _favour(both: Sequence[tuple[VerdictRecord, VerdictRecord]]) -> float:
    gains = [
        (here.value - theirs.value) if here.metric in _LOWER_IS_BETTER else (theirs.value - here.value)
        for theirs, here in both
        if theirs.value is not None and here.value is not None
    ]
    return sum(gains) / len(gains) if gains else 0.0


def _about(verdict: VerdictRecord) -> _Unit:
    return verdict.session, verdict.repeat, verdict.turn, verdict.metric


def _unit(unit: _Unit) -> str:
    session, _, turn, metric = unit
    return f"{metric} of session {visible(session, 60)!r} turn {turn}"


def _differ(theirs: VerdictRecord, here: VerdictRecord, apart: float) -> bool:
    if theirs.value is None or here.value is None:
        return theirs.status != here.status
    return abs(theirs.value - here.value) > apart


def _shown(verdict: VerdictRecord) -> str:
    return verdict.status.value if verdict.value is None else f"{verdict.value:.4g}"


def _refused(reason: str) -> BundleError:
    return BundleError("verdicts", reason)
