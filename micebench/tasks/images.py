"""Images of a release: found when they are there, named when they are not, decoded by nobody here."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from micebench.sessions import ImageFile, Session


def find_image(path: str, folders: Sequence[Path], root: Path) -> ImageFile:
    """The image a row names, looked for in `folders` in order.

    A path that is absolute or leads out of the data folder, by ``..`` or by a link, is not followed: annotation files
    come from elsewhere, and must not be able to read this machine's files. Such an image counts as absent.

    Args:
        root: the data folder, which no link may leave.
    """
    relative = PurePosixPath(path.replace("\\", "/"))
    if not path or relative.is_absolute() or ".." in relative.parts:
        return ImageFile(path)
    for folder in folders:
        candidate = folder / relative
        if os.path.isfile(candidate) and _inside(candidate, root):
            return ImageFile(path, file=str(candidate))
    return ImageFile(path)


def _inside(file: Path, root: Path) -> bool:
    """Whether a file, links followed, lies in `root`, which may itself be a link.

    A snapshot of the hub's cache is a folder of links to the neighbouring blobs folder, which counts as inside.
    """
    real, home = os.path.realpath(file), Path(os.path.realpath(root))
    if Path(real).is_relative_to(home):
        return True
    return any(
        parent.name == "snapshots" and Path(real).is_relative_to(parent.parent / "blobs") for parent in home.parents
    )


def named_images(session: Session) -> Iterator[tuple[int, str, ImageFile]]:
    """(turn, role, image) for every image a session names; role is "source", "target" or "mask"."""
    yield 0, "source", session.image
    for turn in session.turns:
        if turn.target_image is not None:
            yield turn.number, "target", turn.target_image
        if turn.mask_image is not None:
            yield turn.number, "mask", turn.mask_image
