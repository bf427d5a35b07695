"""Temporary folders that go with their process, however it ends.

A process that is killed cannot clean up. So every folder is locked for as long as its process lives; the system lets
go of the lock, and the next process to need a folder removes those that nobody holds.
"""

import atexit
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from micebench.errors import DataError, remedy

_LOCK = ".owner"
_NEW_S = 3600.0  # an owner has locked its folder by then


def scratch_folder() -> Path:
    """This process's own temporary folder, made when first needed and removed at its end.

    Raises DataError: no folder can be made there.
    """
    return _folder(os.getpid())


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A fresh folder inside of `scratch_folder`, removed at the end of the block."""
    folder = Path(tempfile.mkdtemp(dir=scratch_folder()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@cache
def _folder(pid: int) -> Path:
    try:
        root = Path(tempfile.gettempdir())
        remove_abandoned(root)
        folder = Path(tempfile.mkdtemp(prefix=_prefix(), dir=root))
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)  # held open: children of a fork keep it, too
        with suppress(OSError):  # a file system without locks: then nobody can tell whose folders are abandoned
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.write(lock, str(pid).encode())
    except OSError as error:
        raise DataError(
            f"no temporary folder can be made: {error.strerror or error}; {remedy(error)}, or set TMPDIR to another"
        ) from error

    def remove() -> None:
        if os.getpid() == pid:  # a forked child must not take its parent's files away
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def remove_abandoned(root: Path) -> None:
    """Remove the user's folders in `root` whose processes have ended; nobody else's, and none that is locked."""
    for folder in root.glob(f"{_prefix()}*"):
        with suppress(OSError):
            info = folder.lstat()
            if stat.S_ISDIR(info.st_mode) and info.st_uid == os.getuid():
                _remove_if_abandoned(folder, age=time.time() - info.st_mtime)


def _remove_if_abandoned(folder: Path, age: float) -> None:
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.read(lock, 1) or age > _NEW_S:  # without a process id it is about to be locked by its owner
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _prefix() -> str:
    return f"micebench-{os.getuid()}-"
