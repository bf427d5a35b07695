"""Verdicts of some sessions given again, by the judge as it is here, from the images in the bundle."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from micebench.cards import TaskCard
from micebench.engine.evaluate import judge as judge_run
from micebench.engine.images import source_png
from micebench.engine.job import judge_fields
from micebench.engine.setup import JudgeSource
from micebench.report.submission.bundle import Bundle
from micebench.report.submission.refusal import BundleError
from micebench.report.submission.sessions import run_line
from micebench.report.text import plural, visible
from micebench.sessions import Session
from micebench.store.journal import Journal
from micebench.store.records import VerdictRecord
from micebench.store.rundir import RunDir, write_manifest
from micebench.verdicts import Status

ROUNDING = 1e-4
"""How far two values of an exact judge may lie apart: sums round otherwise on other machines."""
APART = 0.1
"""From how far on two values of a judge with a model count as different."""
DIFFERENT = 0.10
"""Largest share of different verdicts of such a judge."""
FAVOUR = 0.03
"""How much better than the verdicts given here the submitted ones may be in the mean."""
_LOWER_IS_BETTER = ("destroyed",)
_NO_ANSWER = (Status.UNPARSED, Status.REFUSED, Status.ERROR)


@dataclass(frozen=True)
class Rejudged:
    """What came of it.

    Attributes:
        sessions: how many were judged again.
        compared: verdicts given here and in the bundle.
        different: of those, the ones that differ; the first in words.
        favour: by how much the submitted values are better in the mean, in [-1, 1].
    """

    sessions: int
    compared: int
    different: int
    first: str
    favour: float


def is_exact(judge: JudgeSource) -> bool:
    """Whether the judge needs no model, so that every verdict can be had again, and equal."""
    return judge.concurrent


def rejudge(
    bundle: Bundle, task: TaskCard, judge: JudgeSource, own: Sequence[Session], chosen: Collection[str], folder: Path
) -> Rejudged:
    """Judge the chosen sessions in a run made for it in `folder`, and compare.

    Raises:
        MicebenchError: the judge cannot be had here (server, weights, package), with the remedy.
        BundleError: an image of these sessions is not in the bundle.
    """
    run = RunDir(folder)
    picked = {session.id: session for session in own if session.id in chosen}
    images = {line["id"]: line["image"] for line in bundle.sessions}
    lines = [run_line(session, images[name]) for name, session in picked.items()]
    edits = [edit for edit in bundle.edits if edit.session in picked]
    fields = judge_fields(judge, bundle.manifest.context, task.turns) | {
        "task_card": task.model_dump(mode="json"),
        "editor_card": None,
        "n_sessions": len(lines),
    }
    write_manifest(run, bundle.manifest.model_copy(update=fields))
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
    judged = judge_run(folder, judge.card or judge.instance, golden=False)
    return _compared(bundle, list(judged.verdicts()), len(picked), is_exact(judge))


def _compared(bundle: Bundle, given: Sequence[VerdictRecord], sessions: int, exact: bool) -> Rejudged:
    compared = different = 0
    first, gains = "", list[float]()
    stated = {_about(verdict): verdict for verdict in bundle.verdicts}
    for here in given:
        theirs = stated.get(_about(here))
        if theirs is None or (not exact and here.status in _NO_ANSWER):
            continue  # a verdict that the submission lacks is a matter of its coverage
        compared += 1
        if _differ(theirs, here, ROUNDING if exact else APART):
            different += 1
            first = first or (
                f"{here.metric} of session {visible(here.session, 60)!r} turn {here.turn} is {_shown(theirs)}, "
                f"judged here {_shown(here)}"
            )
        if theirs.value is not None and here.value is not None:
            gain = theirs.value - here.value
            gains.append(-gain if here.metric in _LOWER_IS_BETTER else gain)
    return Rejudged(sessions, compared, different, first, sum(gains) / len(gains) if gains else 0.0)


def check_rejudged(found: Rejudged, exact: bool) -> str:
    """Raises BundleError (check "verdicts") if the submitted verdicts are not those given here. Else: in words."""
    what = f"{plural(found.compared, 'verdict')} of {plural(found.sessions, 'session')} judged again"
    if exact:
        if found.different:
            raise BundleError("verdicts", f"{what}, {found.different:,} differ; {found.first}")
        return f"{what}, all equal"
    share = found.different / found.compared if found.compared else 0.0
    said = f"{what}, {share:.1%} differ by more than {APART}, mean {found.favour:+.3f} in the submission's favour"
    if share > DIFFERENT or found.favour > FAVOUR:
        raise BundleError("verdicts", f"{said}; at most {DIFFERENT:.0%} and +{FAVOUR} may be; {found.first}")
    return said


def _about(verdict: VerdictRecord) -> tuple[str, int, int, str]:
    return verdict.session, verdict.repeat, verdict.turn, verdict.metric


def _differ(theirs: VerdictRecord, here: VerdictRecord, apart: float) -> bool:
    if theirs.value is None or here.value is None:
        return theirs.status != here.status
    return abs(theirs.value - here.value) > apart


def _shown(verdict: VerdictRecord) -> str:
    return verdict.status.value if verdict.value is None else f"{verdict.value:.4g}"
