"""The images of a bundle: those that belong to it and no others, harmless to decode, and of the sources' pixels."""

from collections.abc import Callable, Iterator, Set
from typing import TypeVar

from micebench.cards import TaskCard
from micebench.report.formatting import plural, visible
from micebench.submission.bundle import Bundle
from micebench.submission.errors import BundleError
from micebench.submission.png_checks import decoded, pixels_digest, size_of
from micebench.submission.sampling import detection_probability, drawn

LEAST_DETECTION = 0.5
"""Least detection probability (see `sampling`) of a bundle's own sample."""
MAX_TOTAL_PIXELS = 1 << 34
"""Of all images together; measured before the first one is decoded."""

T = TypeVar("T")


def check_images(bundle: Bundle, task: TaskCard) -> str:
    """Raises BundleError (check "images"). Returns what was found, in words."""
    kept = bundle.submission.images
    ids = [line["id"] for line in bundle.sessions]
    _check_sample(bundle, ids)
    sources = {line["image"]: line["pixels"] for line in bundle.sessions if line["id"] in set(kept.sessions)}
    outputs = {edit.image for edit in bundle.edits if edit.image and edit.session in set(kept.sessions)}
    wanted = sources.keys() | outputs
    if wanted != bundle.images:
        absent, odd = len(wanted - bundle.images), len(bundle.images - wanted)
        raise _refused(f"{plural(absent, 'image')} of the kept sessions missing, {odd:,} that belong to none of them")
    sizes = dict(_each(bundle, wanted, outputs, size_of))
    if sum(width * height for width, height in sizes.values()) > MAX_TOTAL_PIXELS:
        raise _refused(f"they have more than {MAX_TOTAL_PIXELS:,} pixels together; submit it with --images sample")
    if task.same_size:
        _check_sizes(bundle, sizes)
    for digest, image in _each(bundle, wanted, outputs, decoded):
        if digest in sources and pixels_digest(image) != sources[digest]:
            raise _refused(f"image {digest[:12]}... is not the source image that its session names")
    return f"{plural(len(wanted), 'image')} of {len(kept.sessions):,} of {plural(len(ids), 'session')}"


def _each(bundle: Bundle, wanted: Set[str], outputs: Set[str], read: Callable[..., T]) -> Iterator[tuple[str, T]]:
    """(sha256, what `read` makes of the image); edited images must be bare, sources may have metadata."""
    for digest, png in bundle.pictures(wanted):
        try:
            yield digest, read(png, bare=digest in outputs)
        except ValueError as error:
            raise _refused(f"image {digest[:12]}... {error}") from error


def _check_sample(bundle: Bundle, ids: list[str]) -> None:
    kept = bundle.submission.images
    if kept.kept == "all":
        if kept.sessions != ids or kept.seed is not None:
            raise _refused("says that the images of all sessions are kept, and lists other sessions")
        return
    if kept.seed != bundle.seed or kept.sessions != drawn(ids, len(kept.sessions), bundle.seed):
        raise _refused("the sessions whose images are kept are not those that the edits and verdicts draw")
    chance = detection_probability(len(ids), len(kept.sessions))
    if chance < LEAST_DETECTION:
        raise _refused(f"images of {plural(len(kept.sessions), 'session')} only; keep more with --sessions")


def _check_sizes(bundle: Bundle, sizes: dict[str, tuple[int, int]]) -> None:
    source = {line["id"]: line["image"] for line in bundle.sessions}
    for edit in bundle.edits:
        if edit.image in sizes and source[edit.session] in sizes and sizes[edit.image] != sizes[source[edit.session]]:
            raise _refused(f"session {visible(edit.session, 60)!r} turn {edit.turn}: another size than its source")


def _refused(reason: str) -> BundleError:
    return BundleError("images", reason)
