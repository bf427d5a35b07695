"""Images of one model submitted under another's name: recognised by their pixels where they were accepted before."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from micebench.report.formatting import plural, visible
from micebench.store.keys import sha256
from micebench.store.records import EditRecord
from micebench.submission.bundle import Bundle, read_bundle
from micebench.submission.errors import BundleError
from micebench.submission.png_checks import decoded, pixels_digest
from micebench.submission.sampling import drawn
from micebench.utils.png import encode_png

COPIED = 0.9
"""Share of equal images from which on two submissions are one."""
LEAST_COMPARED = 3
"""Images below which nothing is concluded from equal pixels."""
SESSIONS_DECODED = 60
"""Sessions of the submission whose pixels are compared, at most."""

_Unit = tuple[str, int, int]


@dataclass(frozen=True)
class _Picture:
    """An edited image of the submission: hashes of its file, of its pixels, and of its pixels as micebench writes
    them."""

    file: str
    pixels: str
    rewritten: str


def check_copies(bundle: Bundle, results: Path, *, shipped: bool = False) -> str:
    """Compare with the accepted bundles of the same task, file by file and pixel by pixel.

    Edits that change nothing are left out: every model that does nothing makes the same ones. Metadata, another
    compression or bytes appended to a file make no difference.

    Args:
        results: the folder of accepted results.
        shipped: the model is one that ships, so that others may submit the same images under another name.

    Returns:
        What was compared, and the most similar of the accepted submissions.

    Raises:
        BundleError: (check "copies") the images are those of another model, or an accepted bundle cannot be read.
    """
    files = _changed(bundle)
    pictures = _pictures(bundle)
    compared, nearest, same = 0, "", ""
    most = 0.0
    for path in sorted((results / bundle.manifest.task).glob("*/bundle.zip")):
        other = _Accepted(path)
        if other.is_same_model(bundle, shipped=shipped):
            same = f"; the same model hash as {other.name}"
            continue
        compared += 1
        for equal, of in (_equal_files(files, other), _equal_pixels(pictures, other)):
            if of >= LEAST_COMPARED and equal >= COPIED * of:
                raise BundleError(
                    "copies", f"{equal:,} of {of:,} images are those of {other.name}, which is another model"
                )
            if of >= LEAST_COMPARED and equal > most * of:
                most, nearest = equal / of, f"; most like {other.name}: {equal:,} of {of:,} images equal"
    if not compared:
        return f"no accepted bundle of another model of the task to compare with{same}"
    return f"unlike {plural(compared, 'accepted bundle')} of the task{nearest}{same}"


class _Accepted:
    """An accepted bundle."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.bundle = read_bundle(path)
        except BundleError as error:
            raise BundleError(
                "copies", f"{path} cannot be compared with ({visible(error, 200)}); verify that result again"
            ) from error

    @property
    def name(self) -> str:
        return f"{visible(self.bundle.submission.name, 80)!r} ({self.path.parent.name})"

    @cached_property
    def files(self) -> dict[_Unit, str]:
        """sha256 of every edited image's file."""
        return {_unit(edit): edit.image for edit in self.bundle.edits if edit.image is not None}

    @cached_property
    def rewrites(self) -> bool:
        """Whether its files are as micebench writes them: then unequal files are unequal pixels."""
        first = min(self.bundle.images, default=None)
        if first is None:
            return False
        try:
            return sha256(encode_png(decoded(self.bundle.image(first)))) == first
        except ValueError:
            return False

    def is_same_model(self, bundle: Bundle, *, shipped: bool) -> bool:
        """Whether equal images are what is expected. A model hash is the submitter's word, unless it ships."""
        known = shipped or self.bundle.submission.contact == bundle.submission.contact
        return known and self.bundle.manifest.editor_hash == bundle.manifest.editor_hash

    def shows(self, unit: _Unit, picture: _Picture) -> bool | None:
        """Whether it has the same pixels there; None: cannot be told."""
        file = self.files.get(unit)
        if file in (picture.file, picture.rewritten):
            return True
        if file is None or self.rewrites:
            return False
        if file not in self.bundle.images:
            return None
        try:
            return pixels_digest(decoded(self.bundle.image(file))) == picture.pixels
        except ValueError:
            return None


def _equal_files(files: dict[_Unit, str], other: _Accepted) -> tuple[int, int]:
    """(equal, compared)."""
    return sum(other.files.get(unit) == file for unit, file in files.items()), len(files)


def _equal_pixels(pictures: dict[_Unit, _Picture], other: _Accepted) -> tuple[int, int]:
    """(equal, compared)."""
    found = [other.shows(unit, picture) for unit, picture in pictures.items()]
    return found.count(True), found.count(True) + found.count(False)


def _changed(bundle: Bundle) -> dict[_Unit, str]:
    """File hashes of the images that differ from what they were made from."""
    sources = {line["id"]: line["image"] for line in bundle.sessions}
    files = ((edit, edit.image) for edit in bundle.edits if edit.image is not None)
    return dict(_without_repetition(((_unit(edit), file) for edit, file in files), sources))


def _pictures(bundle: Bundle) -> dict[_Unit, _Picture]:
    """The edited images whose pixels are compared: of the sessions in the bundle, drawn by the bundle's own hash."""
    kept = set(drawn(bundle.submission.images.sessions, SESSIONS_DECODED, bundle.sha256))
    sources = {line["id"]: line["image"] for line in bundle.sessions if line["id"] in kept}
    edits = [edit for edit in bundle.edits if edit.image is not None and edit.session in kept]
    needed = {*sources.values(), *(edit.image for edit in edits if edit.image is not None)}
    found = {digest: _picture(digest, png) for digest, png in bundle.pictures(needed)}
    shown = ((_unit(edit), found[edit.image].pixels) for edit in edits if edit.image is not None)
    changed = dict(_without_repetition(shown, {name: found[image].pixels for name, image in sources.items()}))
    return {_unit(e): found[e.image] for e in edits if e.image is not None and _unit(e) in changed}


def _picture(digest: str, png: bytes) -> _Picture:
    image = decoded(png)
    return _Picture(digest, pixels_digest(image), sha256(encode_png(image)))


def _without_repetition(shown: Iterable[tuple[_Unit, str]], sources: dict[str, str]) -> Iterator[tuple[_Unit, str]]:
    """The units, in canonical order, that show something else than the image before them."""
    last: Sequence[object] = ()
    before = ""
    for unit, image in shown:
        session, repeat, _ = unit
        if last != (session, repeat):
            last, before = (session, repeat), sources.get(session, "")
        if image != before:
            yield unit, image
        before = image


def _unit(edit: EditRecord) -> _Unit:
    return edit.session, edit.repeat, edit.turn
