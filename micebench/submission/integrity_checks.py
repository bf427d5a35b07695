"""What follows from what: units, seeds and keys of a bundle, computed again from their causes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micebench.engine.summary import summarize_run, verdict_table
from micebench.report.formatting import plural, visible
from micebench.sessions import Session
from micebench.store.journal import Journal
from micebench.store.keys import EditCause, derive_seed
from micebench.store.run_index import EditIndex, SessionIndex, VerdictIndex
from micebench.submission.bundle import MAX_REPEATS, Bundle
from micebench.submission.errors import BundleError
from micebench.submission.schema import KEY_DIGITS
from micebench.submission.session_checks import run_line

if TYPE_CHECKING:
    from micebench.metrics.verdict_table import VerdictTable


@dataclass(frozen=True)
class Indexed:
    """The bundle's edits and verdicts in the form in which a run computes its numbers."""

    edits: EditIndex
    verdicts: VerdictIndex


def check_complete(bundle: Bundle) -> str:
    """Every session, repeat and turn has one edit, up to a failed or refused one; every verdict is about an edit.

    Raises BundleError (check "units"). Returns what was found, in words.
    """
    manifest = bundle.manifest
    if manifest.n_sessions != len(bundle.sessions):
        raise _refused("units", f"n_sessions is {manifest.n_sessions}, there are {len(bundle.sessions)} sessions")
    if not 1 <= manifest.repeats <= MAX_REPEATS:
        raise _refused("units", f"repeats is {manifest.repeats}; 1 to {MAX_REPEATS} are possible")
    given = iter(bundle.edits)
    edit = next(given, None)
    judged: dict[tuple[str, int, int], int] = {}  # edits with an image -> position
    for line in bundle.sessions:
        for repeat in range(manifest.repeats):
            for turn in range(1, len(line["turns"]) + 1):
                unit = (line["id"], repeat, turn)
                if edit is None or (edit.session, edit.repeat, edit.turn) != unit:
                    raise _refused("units", f"no edit of {_unit(unit)}: {_instead(edit)}")
                image, edit = edit.image, next(given, None)
                if image is None:
                    break
                judged[unit] = len(judged)
    if edit is not None:
        raise _refused("units", f"an edit too many: {_instead(edit)}")
    _check_verdicts(bundle, judged)
    repeats = f" x {manifest.repeats} repeats" if manifest.repeats > 1 else ""
    return f"{plural(len(bundle.sessions), 'session')}{repeats}, {plural(len(bundle.edits), 'edit')}"


def _check_verdicts(bundle: Bundle, judged: dict[tuple[str, int, int], int]) -> None:
    column = {metric: number for number, metric in enumerate(bundle.manifest.metrics)}
    last = (-1, -1)
    for verdict in bundle.verdicts:
        unit = (verdict.session, verdict.repeat, verdict.turn)
        if unit not in judged:
            raise _refused("units", f"a verdict about {_unit(unit)}, which has no image")
        if verdict.metric not in column:
            raise _refused("units", f"a verdict for {visible(verdict.metric, 40)!r}, which the judge is not asked")
        place = (judged[unit], column[verdict.metric])
        if place <= last:
            raise _refused("units", f"verdict {verdict.metric} of {_unit(unit)} comes twice or out of order")
        last = place


def check_seeds(bundle: Bundle) -> str:
    """Every edit was made with the seed that belongs to it. Raises BundleError (check "seeds")."""
    manifest = bundle.manifest
    for edit in bundle.edits:
        if edit.seed != derive_seed(manifest.task, edit.session, edit.turn, edit.repeat, manifest.seed):
            raise _refused(
                "seeds",
                f"the edit of {_unit((edit.session, edit.repeat, edit.turn))} was made with another seed than "
                f"run seed {manifest.seed} gives: one of several tries, or of another run",
            )
    return f"all follow from run seed {manifest.seed}"


def indexed(bundle: Bundle, own: Sequence[Session], folder: Path) -> Indexed:
    """The bundle's records over the task's own sessions; `folder` is for ``sessions.jsonl``."""
    manifest = bundle.manifest
    path = folder / "sessions.jsonl"
    with Journal(path) as journal:
        journal.append(run_line(session, line["image"]) for session, line in zip(own, bundle.sessions, strict=True))
    cause = EditCause(manifest.task, manifest.editor_hash, manifest.context, manifest.seed)
    edits = EditIndex(SessionIndex(path), cause, manifest.repeats, manifest.turns)
    for edit in bundle.edits:
        edits.record(_row(edits, edit.session, edit.repeat), edit, (path, 0))
    verdicts = VerdictIndex(edits, manifest.judge_hash or "", manifest.metrics, path)
    for verdict in bundle.verdicts:
        row = _row(edits, verdict.session, verdict.repeat)
        verdicts.record(row, verdict.turn, verdict.metric, (verdict.status, verdict.value), 0)
    return Indexed(edits, verdicts)


def check_edit_keys(bundle: Bundle, found: Indexed) -> str:
    """Every edit's key is the hash of its session, its place, the model and the images it was made from.

    Raises BundleError (check "edit keys").
    """
    for edit in bundle.edits:
        row = _row(found.edits, edit.session, edit.repeat)
        if found.edits.expected_key(row, edit.turn) != edit.key:
            raise _refused(
                "edit keys",
                f"the key of {_unit((edit.session, edit.repeat, edit.turn))} does not follow from its session, "
                "model and earlier images: images of another model or run, or swapped ones",
            )
    return f"{plural(len(bundle.edits), 'key')} follow from sessions, model and earlier images"


def check_verdict_keys(bundle: Bundle, found: Indexed) -> str:
    """Every verdict is about the image that its edit led to, and the judge's. Raises BundleError."""
    for verdict in bundle.verdicts:
        row = _row(found.edits, verdict.session, verdict.repeat)
        expected = found.verdicts.expected_key(row, verdict.turn, verdict.metric)
        edit = found.edits.key(row, verdict.turn)
        if verdict.edit != edit[:KEY_DIGITS] or verdict.key != (expected or "")[:KEY_DIGITS]:
            raise _refused(
                "verdict keys",
                f"verdict {verdict.metric} of {_unit((verdict.session, verdict.repeat, verdict.turn))} is about "
                "another image, or by another judge",
            )
    return f"{plural(len(bundle.verdicts), 'key')} follow from edits, images and judge"


def table(found: Indexed) -> "VerdictTable":
    """The verdicts as arrays."""
    return verdict_table(found.edits, found.verdicts)


def recomputed(bundle: Bundle, found: Indexed) -> dict[str, Any]:
    """``summary.json`` from the verdicts."""
    return summarize_run(bundle.manifest, found.edits, table(found))


def check_summary(stated: dict[str, Any], own: dict[str, Any]) -> str:
    """The submitted numbers are those of the verdicts, but for float noise. Raises BundleError (check "summary")."""
    for path, theirs, ours in _differences(stated, own, ()):
        where = visible(".".join(map(str, path)), 120)
        raise _refused("summary", f"{where} is {visible(theirs, 60)}, the verdicts give {visible(ours, 60)}")
    return "summary.json follows from the verdicts"


def _differences(stated: Any, own: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
    if isinstance(stated, dict) and isinstance(own, dict):
        for name in (*own, *(name for name in stated if name not in own)):
            if name not in own or name not in stated:
                yield (*path, name), stated.get(name, "missing"), own.get(name, "nothing")
            else:
                yield from _differences(stated[name], own[name], (*path, name))
    elif _number(stated) and _number(own):
        if abs(stated - own) > 1e-6:
            yield path, stated, own
    elif type(stated) is not type(own) or stated != own:
        yield path, stated, own


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _row(edits: EditIndex, session: str, repeat: int) -> int:
    return edits.sessions.position[session] * edits.repeats + repeat


def _unit(unit: tuple[str, int, int]) -> str:
    session, repeat, turn = unit
    return f"session {visible(session, 80)!r}{f' repeat {repeat}' if repeat else ''} turn {turn}"


def _instead(edit: Any) -> str:
    return "the list ends there" if edit is None else f"{_unit((edit.session, edit.repeat, edit.turn))} stands there"


def _refused(check: str, reason: str) -> BundleError:
    return BundleError(check, reason)
