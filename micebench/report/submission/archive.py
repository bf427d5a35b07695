"""Reading a zip that somebody else made: nothing is extracted, no header is believed, every byte is accounted for.

A bundle has the plainest form a zip can have (what `micebench submit` writes): known names, stored or deflated, no
extra fields, comments, encryption or gaps. All else is refused before a byte of it is inflated, so that the tricks
of zip (overlapping members, two directories, links, paths that lead elsewhere) have nowhere to live.
"""

import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import Self

from micebench.report.submission.refusal import BundleError
from micebench.report.text import visible

MIB = 1 << 20
MAX_MEMBERS = 65_000
MAX_FILE_BYTES = 4095 * MIB
MAX_TOTAL_BYTES = 4095 * MIB
MAX_DIRECTORY_BYTES = 16 * MIB
MAX_RATIO = 100
"""Inflated by deflated bytes; JSON lines full of hashes reach 10, PNG files about 1."""
_FREE_BYTES = MIB  # small members may be as repetitive as they like

TEXT_LIMITS: dict[str, int] = {
    "submission.json": 16 * MIB,
    "sessions.jsonl": 128 * MIB,
    "edits.jsonl": 128 * MIB,
    "verdicts.jsonl": 512 * MIB,
    "summary.json": 16 * MIB,
}
"""The members every bundle has, and how large each may be."""
IMAGE_LIMIT = 64 * MIB
_IMAGE = re.compile(r"images/[0-9a-f]{64}\.png")
_END = b"PK\x05\x06"
_END_BYTES = 22
_LOCATOR = b"PK\x06\x07"
_LOCATOR_BYTES = 20
_LOCAL = b"PK\x03\x04"
_LOCAL_BYTES = 30
_CHUNK = 1 << 16


def image_member(digest: str) -> str:
    """Where a bundle keeps the image with this sha256."""
    return f"images/{digest}.png"


class Archive:
    """The members of a bundle, opened for reading; use it in a `with` block.

    Attributes:
        names: members in the order of the file.

    Raises:
        BundleError: not such a zip; says what is wrong with it.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file: BufferedReader = open(path, "rb")  # noqa: SIM115 (closed by `__exit__`)
        except OSError as error:
            raise BundleError("archive", f"{path}: {error.strerror or error}; give a bundle") from error
        try:
            start = _directory_start(self._file)
            try:
                self._zip = zipfile.ZipFile(self._file)
            except (zipfile.BadZipFile, ValueError, OSError, RuntimeError) as error:
                raise _refused(f"no readable zip ({visible(error, 200)})") from error
            self._infos = _checked(self._zip.infolist())
            _check_layout(self._file, list(self._infos.values()), start)
        except BaseException:
            self._file.close()
            raise
        self.names = tuple(self._infos)
        self._inflated: dict[str, int] = {}
        self._total = 0

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of a member as they are inflated; what grows beyond a limit is refused there and then."""
        limit = TEXT_LIMITS.get(name, IMAGE_LIMIT)
        packed = self._infos[name].compress_size
        others = self._total - self._inflated.get(name, 0)
        size = 0
        try:
            with self._zip.open(name) as member:
                while chunk := member.read(_CHUNK):
                    size += len(chunk)
                    if size > limit:
                        raise _refused(f"{name} is larger than {limit // MIB} MiB when inflated")
                    if size > _FREE_BYTES and size > MAX_RATIO * max(packed, 1):
                        raise _refused(f"{name} inflates to more than {MAX_RATIO} times its size: a zip bomb")
                    if others + size > MAX_TOTAL_BYTES:
                        raise _refused(f"the bundle is larger than {MAX_TOTAL_BYTES // MIB} MiB when inflated")
                    yield chunk
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
            raise _refused(f"{name} cannot be inflated ({visible(error, 200)})") from error
        self._inflated[name], self._total = size, others + size

    def read(self, name: str) -> bytes:
        """A member as a whole. Raises BundleError beyond the limits."""
        return b"".join(self.chunks(name))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()
        self._file.close()


def _refused(reason: str) -> BundleError:
    return BundleError("archive", reason)


def _directory_start(file: BufferedReader) -> int:
    """Where the list of members begins, by the file's last bytes; before zipfile reads that list into memory."""
    size = file.seek(0, 2)
    if size > MAX_FILE_BYTES:
        raise _refused(f"larger than {MAX_FILE_BYTES // MIB} MiB; submit it with --images sample")
    file.seek(max(0, size - _END_BYTES))
    end = file.read(_END_BYTES)
    if len(end) < _END_BYTES or not end.startswith(_END):
        raise _refused("does not end as a bundle does: no zip, or one with a comment or something appended")
    disks, here, total = end[4:8], int.from_bytes(end[8:10], "little"), int.from_bytes(end[10:12], "little")
    length, start = int.from_bytes(end[12:16], "little"), int.from_bytes(end[16:20], "little")
    if disks != bytes(4) or here != total or end[20:22] != bytes(2):
        raise _refused("a zip in several parts, or with a comment")
    if total > MAX_MEMBERS or length > MAX_DIRECTORY_BYTES:
        raise _refused(f"{total} members; at most {MAX_MEMBERS} are read")
    if start + length + _END_BYTES != size:
        raise _refused("something lies before, between or after the members and their list")
    file.seek(max(0, size - _END_BYTES - _LOCATOR_BYTES))
    if file.read(len(_LOCATOR)) == _LOCATOR:
        raise _refused("a second list of members (zip64)")  # which zipfile would believe instead
    return start


def _checked(infos: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """Members by name, if every one of them may be there. Raises BundleError naming the first that may not."""
    found: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        fault = _name_fault(info) or _kind_fault(info)
        if fault is not None:
            raise _refused(f"member {visible(info.orig_filename, 120)!r}: {fault}")
        if info.filename in found:
            raise _refused(f"member {info.filename!r} is there twice")
        found[info.filename] = info
    missing = [name for name in TEXT_LIMITS if name not in found]
    if missing:
        raise _refused(f"no {missing[0]}: not a bundle of `micebench submit`")
    declared = sum(info.file_size for info in infos)
    if declared > MAX_TOTAL_BYTES:
        raise _refused(f"its members say that they are {declared // MIB:,} MiB inflated: a zip bomb")
    return found


def _name_fault(info: zipfile.ZipInfo) -> str | None:
    name = info.orig_filename
    if name in TEXT_LIMITS or _IMAGE.fullmatch(name):
        return None
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name):
        return "an absolute path"
    if ".." in re.split(r"[/\\]", name):
        return "a path that leads out of the bundle"
    return "a bundle holds only " + ", ".join(TEXT_LIMITS) + " and images/SHA256.png"


def _kind_fault(info: zipfile.ZipInfo) -> str | None:
    mode = info.external_attr >> 16
    if stat.S_ISLNK(mode):
        return "a link"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or info.is_dir():
        return "not a plain file"
    if info.flag_bits & 0x1:
        return "encrypted"
    if info.flag_bits or info.extra or info.comment:
        return "flags, extra fields or comments"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "packed otherwise than stored or deflated"
    return None


def _check_layout(file: BufferedReader, infos: list[zipfile.ZipInfo], end: int) -> None:
    """Members follow one another without gap or overlap, each introduced by the header that the list promises."""
    place = 0
    for info in infos:
        file.seek(place)
        header = file.read(_LOCAL_BYTES + len(info.filename))
        name = info.filename.encode()
        if info.header_offset != place or header[:4] != _LOCAL or header[_LOCAL_BYTES:] != name:
            raise _refused(
                f"member {info.filename!r} does not follow the one before it: members overlap, or hide some"
            )
        flags, method, lengths = header[6:8], int.from_bytes(header[8:10], "little"), header[26:30]
        if flags != bytes(2) or method != info.compress_type or lengths != len(name).to_bytes(2, "little") + bytes(2):
            raise _refused(f"member {info.filename!r}: its two headers contradict each other")
        place += _LOCAL_BYTES + len(name) + info.compress_size
    if place != end:
        raise _refused("something lies between the members and their list")
