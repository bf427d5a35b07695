"""Reading a zip that somebody else made: nothing is extracted, no header is trusted, every byte is accounted for.

A bundle has the plainest form a zip can have (what `micebench submit` writes): known names, stored or deflated, no
extra fields, comments, encryption or gaps. Everything else is refused before a byte of it is inflated, which leaves
no room for the tricks of zip: overlapping members, two directories, links, paths that lead elsewhere. zipfile reads
the list of members only; it does not notice bytes behind the end of a member's deflate stream.
"""

import hashlib
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import Self

from micebench.report.formatting import visible
from micebench.submission.errors import BundleError

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
_LOCAL = struct.Struct("<4s5H3I2H")
_ENTRY_BYTES = 46  # of the list, without the name
_VERSIONS = (10, 20)  # needed to extract: stored, deflated
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
        self._file: BufferedReader = open_file(path)
        try:
            start, count = _directory(self._file)
            try:
                with zipfile.ZipFile(self._file) as listed:
                    infos = listed.infolist()
            except (zipfile.BadZipFile, ValueError, OSError, RuntimeError, NotImplementedError) as error:
                raise _refused(f"no readable zip ({visible(error, 200)})") from error
            self._infos = _checked(infos)
            if len(infos) != count:
                raise _refused(f"its end says that it has {count:,} members, its list has {len(infos):,}")
            self._places = _check_layout(self._file, infos, start)
        except BaseException:
            self._file.close()
            raise
        self.names = tuple(self._infos)
        self._inflated: dict[str, int] = {}
        self._total = 0

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of a member as they are inflated; what grows beyond a limit is refused there and then."""
        info, limit = self._infos[name], TEXT_LIMITS.get(name, IMAGE_LIMIT)
        others = self._total - self._inflated.get(name, 0)
        size = checksum = 0
        for chunk in self._inflate(name):
            size += len(chunk)
            checksum = zlib.crc32(chunk, checksum)
            if size > limit:
                raise _refused(f"{name} is larger than {limit // MIB} MiB when inflated")
            if size > _FREE_BYTES and size > MAX_RATIO * max(info.compress_size, 1):
                raise _refused(f"{name} inflates to more than {MAX_RATIO} times its size: a zip bomb")
            if others + size > MAX_TOTAL_BYTES:
                raise _refused(f"the bundle is larger than {MAX_TOTAL_BYTES // MIB} MiB when inflated")
            if size > info.file_size:
                raise _refused(f"{name} inflates to more than its header says")
            yield chunk
        if size != info.file_size or checksum != info.CRC:
            raise _refused(f"{name} is not what its header says: another size or checksum")
        self._inflated[name], self._total = size, others + size

    def _inflate(self, name: str) -> Iterator[bytes]:
        """A member in pieces of at most `_CHUNK` bytes, every packed byte of it used."""
        info = self._infos[name]
        stream = zlib.decompressobj(-zlib.MAX_WBITS) if info.compress_type == zipfile.ZIP_DEFLATED else None
        place, left = self._places[name], info.compress_size
        try:
            while left:
                self._file.seek(place)
                packed = self._file.read(min(left, _CHUNK))
                if not packed:
                    raise _refused(f"{name} is cut off")
                place, left = place + len(packed), left - len(packed)
                if stream is None:
                    yield packed
                    continue
                while chunk := stream.decompress(packed, _CHUNK):
                    packed = stream.unconsumed_tail
                    yield chunk
                if stream.unconsumed_tail or stream.unused_data or (stream.eof and left):
                    raise _refused(f"{name}: bytes behind the end of its packed data")
        except (zlib.error, OSError) as error:
            raise _refused(f"{name} cannot be inflated ({visible(error, 200)})") from error
        if stream is not None and not stream.eof:
            raise _refused(f"{name} cannot be inflated: its packed data does not end")

    def read(self, name: str) -> bytes:
        """A member as a whole. Raises BundleError beyond the limits."""
        return b"".join(self.chunks(name))

    def sha256(self) -> str:
        """sha256 (hex) of the zip itself."""
        self._file.seek(0)
        return hashlib.file_digest(self._file, "sha256").hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def open_file(path: Path) -> BufferedReader:
    """A regular file, opened for reading; a pipe or device is never opened, which could wait for ever.

    Raises BundleError (check "archive"): missing, unreadable, or no regular file.
    """

    def without_waiting(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))  # put there since it was looked at: a pipe

    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise _refused(f"{visible(path, 300)}: not a regular file; give a bundle")
        file = open(path, "rb", opener=without_waiting)  # noqa: SIM115 (the caller closes it)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise _refused(f"{visible(path, 300)}: {reason}; give a bundle") from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise _refused(f"{visible(path, 300)}: not a regular file; give a bundle")
    return file


def _refused(reason: str) -> BundleError:
    return BundleError("archive", reason)


def _directory(file: BufferedReader) -> tuple[int, int]:
    """(where the list of members begins, their number) by the file's last bytes, before zipfile reads that list."""
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
    return start, total


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
    if info.extract_version not in _VERSIONS or info.reserved or info.volume or info.internal_attr:
        return "a version, disk number or attribute that no bundle has"
    if info.external_attr & 0xFFFF:
        return "DOS attributes"
    if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
        return "stored, with two different sizes"
    return None


def _check_layout(file: BufferedReader, infos: list[zipfile.ZipInfo], end: int) -> dict[str, int]:
    """Where the packed bytes of each member begin.

    Members follow one another without gap or overlap, each introduced by the header that the list promises, and the
    list holds nothing but their entries. Raises BundleError.
    """
    place, listed, places = 0, end, dict[str, int]()
    for info in infos:
        name = info.filename.encode()
        file.seek(place)
        header = file.read(_LOCAL.size + len(name))
        if info.header_offset != place or not header.startswith(b"PK\x03\x04") or header[_LOCAL.size :] != name:
            raise _refused(
                f"member {info.filename!r} does not follow the one before it: members overlap, or hide some"
            )
        if header[: _LOCAL.size] != _local_header(info, len(name)):
            raise _refused(f"member {info.filename!r}: its two headers contradict each other")
        places[info.filename] = place + len(header)
        place += len(header) + info.compress_size
        listed += _ENTRY_BYTES + len(name)
    if place != end or listed + _END_BYTES != file.seek(0, 2):
        raise _refused("something lies between the members and their list, or in it")
    return places


def _local_header(info: zipfile.ZipInfo, name_bytes: int) -> bytes:
    """The header before a member, as its entry in the list has it."""
    year, month, day, hour, minute, second = info.date_time
    return _LOCAL.pack(
        b"PK\x03\x04",
        info.extract_version,
        info.flag_bits,
        info.compress_type,
        hour << 11 | minute << 5 | second // 2,
        (year - 1980) << 9 | month << 5 | day,
        info.CRC,
        info.compress_size,
        info.file_size,
        name_bytes,
        0,
    )
