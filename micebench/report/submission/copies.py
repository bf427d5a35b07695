"""Images of one model submitted under another's name: found where they were accepted before."""

from pathlib import Path

from micebench.report.submission.bundle import Bundle, read_bundle
from micebench.report.submission.refusal import BundleError
from micebench.report.text import plural, visible

COPIED = 0.9
"""From which share on of equal images two submissions are one."""


def check_copies(bundle: Bundle, results: Path) -> str:
    """Compare with the accepted bundles of the same task, by the images' hashes.

    Edits that change nothing are left out: every model that does nothing makes the same ones.
    Raises BundleError (check "copies").
    """
    mine = _images(bundle)
    others = sorted((results / bundle.manifest.task).glob("*/bundle.zip"))
    for path in others:
        try:
            other = read_bundle(path)
        except BundleError:
            continue  # verifying what was accepted is another command
        if other.manifest.editor_hash == bundle.manifest.editor_hash:
            continue
        theirs = _images(other)
        equal = sum(theirs.get(unit) == image for unit, image in mine.items())
        if mine and equal >= COPIED * len(mine):
            raise BundleError(
                "copies",
                f"{equal:,} of {len(mine):,} images are those of {visible(other.submission.name, 80)!r} "
                f"({path.parent.name}), which is another model",
            )
    return f"unlike {plural(len(others), 'accepted bundle')} of the task"


def _images(bundle: Bundle) -> dict[tuple[str, int, int], str]:
    """The images that differ from what they were made from."""
    before = {line["id"]: line["image"] for line in bundle.sessions}
    found: dict[tuple[str, int, int], str] = {}
    last: tuple[str, int] | None = None
    shown = ""
    for edit in bundle.edits:
        if (edit.session, edit.repeat) != last:
            last, shown = (edit.session, edit.repeat), before.get(edit.session, "")
        if edit.image is not None and edit.image != shown:
            found[edit.session, edit.repeat, edit.turn] = edit.image
            shown = edit.image
    return found
