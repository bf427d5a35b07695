"""Images of a release: found when they are there, named when they are not, decoded by nobody here."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from micebench.errors import DataError
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


@dataclass(frozen=True, slots=True)
class MissingImage:
    """An image that a session names and the release does not hold. `turn` 0 is the source image."""

    session: str
    turn: int
    role: str
    path: str


def named_images(session: Session) -> Iterator[tuple[int, str, ImageFile]]:
    """(turn, role, image) for every image a session names; role is "source", "target" or "mask"."""
    yield 0, "source", session.image
    for turn in session.turns:
        if turn.target_image is not None:
            yield turn.number, "target", turn.target_image
        if turn.mask_image is not None:
            yield turn.number, "mask", turn.mask_image


def missing_images(sessions: Iterable[Session]) -> list[MissingImage]:
    """Every image that is named but absent, in session order."""
    return [
        MissingImage(session.id, turn, role, image.path)
        for session in sessions
        for turn, role, image in named_images(session)
        if not image.present
    ]


def require_sources(sessions: Iterable[Session], folder: Path | None) -> None:
    """Raise one DataError that counts the missing source images and says where they were searched."""
    total, missing = 0, list[str]()
    for session in sessions:
        total += 1
        if not session.image.present:
            missing.append(session.image.path)
    if missing:
        where = f"searched in {folder.resolve()}" if folder else "no folder was given"
        raise DataError(
            f"{len(missing)} of {total} source images are missing ({where}), "
            f"first: {missing[0] or 'unnamed'}; put them there, or give the release's folder with --data DIR"
        )
