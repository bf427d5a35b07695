"""The sessions of a bundle against those of the task: the same ones, word by word and pixel by pixel."""

from collections.abc import Mapping, Sequence
from typing import Any

from micebench.execution.images import source_png
from micebench.report.formatting import plural, visible
from micebench.sessions import Session
from micebench.store.keys import sha256
from micebench.store.session_records import session_line
from micebench.submission.bundle import bundle_line
from micebench.submission.errors import BundleError
from micebench.submission.png_checks import pixels_digest


def run_line(session: Session, image: str) -> dict[str, Any]:
    """A session of the task as a run keeps it, with the stated source image; reference images by their own hash."""
    line: dict[str, Any] = session_line(session) | {"source": image, "image": image}
    for turn, said in zip(session.turns, line["turns"], strict=True):
        for name, reference in (("target", turn.target_image), ("mask", turn.mask_image)):
            if reference is not None and reference.present:
                said[name] = sha256(source_png(reference))
    return line


def check_sessions(stated: Sequence[Mapping[str, Any]], own: Sequence[Session]) -> None:
    """Raises BundleError (check "sessions"): missing, further, reordered or altered sessions, the first one named."""
    ids, wanted = [line["id"] for line in stated], [session.id for session in own]
    missing, odd = set(wanted) - set(ids), set(ids) - set(wanted)
    if missing:
        first = next(name for name in wanted if name in missing)
        raise _refused(f"{plural(len(missing), 'session')} of the task missing, {visible(first, 80)!r} the first")
    if odd:
        first = next(name for name in ids if name in odd)
        raise _refused(f"{plural(len(odd), 'session')} that the task does not have, {visible(first, 80)!r} the first")
    if len(ids) != len(wanted):
        raise _refused(f"{len(ids)} lines for the {len(wanted)} sessions of the task: some come twice")
    if ids != wanted:
        raise _refused("the sessions come in another order than the task's")
    for line, session in zip(stated, own, strict=True):
        mine = bundle_line(run_line(session, line["image"]), pixels_digest(session.image.open()))
        for field, value in mine.items():
            if line[field] != value:
                raise _refused(f"session {visible(session.id, 80)!r}: {_difference(field, line[field], value)}")


def _difference(field: str, stated: Any, own: Any) -> str:
    if field == "pixels":
        return "its source image is another one than the task's"
    if field == "turns" and len(stated) == len(own):
        for number, (theirs, ours) in enumerate(zip(stated, own, strict=True), start=1):
            odd = next((name for name in (*ours, *theirs) if theirs.get(name) != ours.get(name)), None)
            if odd is not None:
                return f"turn {number}, {odd} is {visible(theirs.get(odd), 120)!r}, not the task's"
    return f"{field} is not the task's"


def _refused(reason: str) -> BundleError:
    return BundleError("sessions", reason)
