"""Text files that users name: whatever is wrong with one is a single line, and nothing that is no file is opened."""

import codecs
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from micebench.errors import DataError, MicebenchError, one_line

MAX_NAME_BYTES = 255
"""Of one part of a path, on every file system in use."""
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@contextmanager
def opened(path: Path, error: type[MicebenchError] = DataError) -> Iterator[BinaryIO]:
    """A regular file, opened for reading. A pipe or a device is refused at once: reading one may never end.

    Raises:
        error: no such file, no permission, not a regular file, or a failure while it is read.
    """
    try:
        with _open(path, error) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                what = next((noun for test, noun in _KINDS if test(mode)), "no regular file")
                raise error(f"{path}: is {what}, not a file")
            yield file
    except IsADirectoryError as fault:
        raise error(f"{path}: is a folder, not a file") from fault
    except OSError as fault:
        raise error(f"{path}: cannot be read ({fault.strerror or fault})") from fault


def read_text(path: Path, most: int, error: type[MicebenchError] = DataError) -> str:
    """A whole UTF-8 file of at most `most` bytes, with or without a byte order mark.

    Raises:
        error: as `opened`; also for a larger file, and for one that is not UTF-8.
    """
    with opened(path, error) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise error(f"{path}: larger than {most / 2**20:g} MiB")
    try:
        return decoded(data)
    except UnicodeError as fault:
        raise error(f"{path}: {fault}") from fault


def check_name(path: Path, option: str, error: type[MicebenchError]) -> None:
    """Raises `error`, naming `option`, for a path that no file can have, or that is not UTF-8 as reports need it."""
    try:
        longest = max((len(part.encode()) for part in path.parts), default=0)
    except UnicodeError as fault:
        raise error(f"{option} {str(path)!r}: the name is not UTF-8; give another") from fault
    if longest > MAX_NAME_BYTES:
        raise error(
            f"{option} {one_line(path, 60)}...: a name of {longest} bytes, at most {MAX_NAME_BYTES} are possible"
        )
    if "\0" in str(path):
        raise error(f"{option} {str(path)!r}: a name holds no null character")


def check_writable(folder: Path, option: str, error: type[MicebenchError]) -> None:
    """Raises `error`, naming `option`, if nothing could be written to a folder, there or not; makes nothing."""
    check_name(folder, option, error)
    place = Path(os.path.abspath(folder))
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not os.path.isdir(place):
        raise error(f"{option} {folder}: {place} is not a folder; give another")
    if not os.access(place, os.W_OK | os.X_OK):
        raise error(f"{option} {folder}: no permission to write to {place}; give another")


def decoded(data: bytes) -> str:
    """UTF-8 bytes as text, without the byte order mark. Raises UnicodeError with the reason in plain words."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UnicodeError("cannot be read: it is UTF-16 text; save it as UTF-8")
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        raise UnicodeError(
            f"cannot be read as UTF-8 text (byte 0x{data[fault.start]:02x} in line {line}); save it as UTF-8"
        ) from fault


def joined_surrogates(text: str) -> str:
    """`text` with surrogate pairs, as escapes write them, made one character each.

    Raises UnicodeError for half a pair, which no file and no terminal can hold.
    """
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeError as fault:
        half = next(char for char in text if "\ud800" <= char <= "\udfff")
        raise UnicodeError(f"half a surrogate pair (\\u{ord(half):04x}) is no character") from fault


def _open(path: Path, error: type[MicebenchError]) -> BinaryIO:
    try:
        return open(path, "rb", opener=_without_waiting)
    except ValueError as fault:  # a null byte, or a character that no name on this system has
        raise error(f"{str(path)!r}: cannot be read (no file can have this name)") from fault


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
