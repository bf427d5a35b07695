"""The sha256 of large files, remembered from run to run: hashing 60 GB of weights takes minutes at every start.

A file is known by path, size, inode and times of change; if any of them differs it is hashed again. The memory is one
JSON file in the user's cache directory, which may be deleted at any time.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

LEAST_BYTES = 1 << 20  # smaller files are hashed faster than remembered
_MOST_FILES = 4096
_YOUNG_NS = 2_000_000_000  # a file changed this recently may change again within one tick of its file system's clock
_Known = dict[str, list[int | str]]  # path -> [size, inode, mtime_ns, ctime_ns, sha256]


@contextmanager
def remembered() -> Iterator[Callable[[Path], bytes]]:
    """The function that gives a file's sha256, from memory where that is sure; what is new is kept at the end.

    A memory that cannot be read or written costs time, never an error.
    """
    folder = cache_folder()
    place = folder / "digests.json" if folder else None
    known, fresh = _load(place), dict[str, list[int | str]]()

    def sha256(file: Path) -> bytes:
        path, now = str(file.resolve()), _signs(file)
        if path in known and known[path][:-1] == now:
            return bytes.fromhex(str(known[path][-1]))
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").digest()
        settled = time.time_ns() - max(int(sign) for sign in now[2:]) > _YOUNG_NS
        if int(now[0]) >= LEAST_BYTES and settled and _signs(file) == now:
            fresh[path] = [*now, digest.hex()]
        return digest

    try:
        yield sha256
    finally:
        if fresh and place is not None:
            _save(place, fresh)


def cache_folder() -> Path | None:
    """``$MICEBENCH_CACHE``, or the platform's place for what may be deleted; None for a user without a home."""
    if own := os.environ.get("MICEBENCH_CACHE"):
        return Path(own)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(base).expanduser() / "micebench"
    except RuntimeError:
        return None


def _signs(file: Path) -> list[int | str]:
    """What changes when the content does; ctime cannot be set back."""
    stat = file.stat()
    return [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]


def _load(place: Path | None) -> _Known:
    if place is None:
        return {}
    try:
        said: Any = json.loads(place.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return {path: entry for path, entry in said.items() if _sound(entry)} if isinstance(said, dict) else {}


def _sound(entry: Any) -> bool:
    if not (isinstance(entry, list) and len(entry) == 5 and all(isinstance(sign, int) for sign in entry[:4])):
        return False
    digest = entry[4]
    return isinstance(digest, str) and len(digest) == 64 and set(digest) <= set("0123456789abcdef")


def _save(place: Path, fresh: _Known) -> None:
    """Beside what others have remembered meanwhile; the oldest entries go first."""
    known = {path: entry for path, entry in _load(place).items() if path not in fresh} | fresh
    beside = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_text(json.dumps(dict(list(known.items())[-_MOST_FILES:])), encoding="utf-8")
            os.replace(beside, place)
        finally:
            beside.unlink(missing_ok=True)
