"""Images of a release: found when they are there, named when they are not, decoded by nobody here."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from micebench.sessions import ImageFile, Session


def find_image(path: str, folders: Sequence[Path]) -> ImageFile:
    """The image a row names, looked for in `folders` in order.

    A path that is absolute or climbs out of its folder (``..``) is not followed: annotation files come from
    elsewhere, and must not be able to read this machine's files. Such an image counts as absent.
    """
    relative = PurePosixPath(path.replace("\\", "/"))
    if not path or relative.is_absolute() or ".." in relative.parts:
        return ImageFile(path)
    for folder in folders:
        candidate = folder / relative
        if candidate.is_file():
            return ImageFile(path, file=str(candidate))
    return ImageFile(path)


def named_images(session: Session) -> Iterator[tuple[int, str, ImageFile]]:
    """(turn, role, image) for every image a session names; role is "source", "target" or "mask"."""
    yield 0, "source", session.image
    for turn in session.turns:
        if turn.target_image is not None:
            yield turn.number, "target", turn.target_image
        if turn.mask_image is not None:
            yield turn.number, "mask", turn.mask_image
