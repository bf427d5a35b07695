"""Zips that are not what `micebench submit` writes are refused before anything in them is used."""

import io
import os
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from micebench.submission import BundleError, accept, read_bundle
from micebench.submission.archive import MIB
from tests.submission.conftest import Made
from tests.submission.forge import Forgery, member

IMAGE = f"images/{'ab' * 32}.png"


def refused(made: Made, path: Path, check: str = "archive") -> str:
    """The reason for which reading refuses, one line; and verifying says the same, and nothing more passes."""
    with pytest.raises(BundleError) as error:
        read_bundle(path)
    found = made.verify(path)
    assert (found.passed, found.mark, found.verdicts_recomputed) == (False, "self-reported", 0)
    failed = [entry for entry in found.checks if entry.outcome == "failed"]
    assert [entry.check for entry in failed] == [check]
    assert "\n" not in failed[0].detail
    assert failed[0].detail.startswith(str(error.value)[:200])
    return str(error.value)


def added(made: Made, path: Path, *entries: zipfile.ZipInfo, data: bytes = b"x") -> Path:
    """The honest bundle with further members."""
    Forgery(made.bundle).pack(path)
    with zipfile.ZipFile(path, "a") as zipped:
        for entry in entries:
            zipped.writestr(entry, data)
    return path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../evil.txt", "a path that leads out of the bundle"),
        ("images/../../evil.png", "a path that leads out of the bundle"),
        ("images\\..\\..\\evil.png", "a path that leads out of the bundle"),
        ("/etc/passwd", "an absolute path"),
        ("C:/evil.txt", "an absolute path"),
        ("\\\\host\\share\\evil", "an absolute path"),
        ("inner.zip", "a bundle holds only"),
        ("images/inner.zip", "a bundle holds only"),
        ("images/", "a bundle holds only"),
        ("weights.pkl", "a bundle holds only"),
        ("__init__.py", "a bundle holds only"),
        ("Submission.json", "a bundle holds only"),
        ("images/" + "AB" * 32 + ".png", "a bundle holds only"),
        ("x\u202e.txt", "a bundle holds only"),
        (IMAGE + "\0.exe", "a bundle holds only"),
    ],
)
def test_members_that_may_not_be_there(made: Made, tmp_path: Path, name: str, said: str):
    entry = member("placeholder")
    entry.filename = entry.orig_filename = name
    before = set(tmp_path.parent.rglob("*evil*"))
    assert said in refused(made, added(made, tmp_path / "b.zip", entry))
    assert set(tmp_path.parent.rglob("*evil*")) == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"external_attr": 0o120777 << 16}, "a link"),
        ({"external_attr": 0o040755 << 16}, "not a plain file"),
        ({"external_attr": 0o010644 << 16}, "not a plain file"),
        ({"compress_type": zipfile.ZIP_BZIP2}, "packed otherwise than stored or deflated"),
        ({"compress_type": zipfile.ZIP_LZMA}, "flags, extra fields or comments"),
        ({"extra": b"\x01\x00\x04\x00abcd"}, "flags, extra fields or comments"),
        ({"comment": b"hello"}, "flags, extra fields or comments"),
    ],
)
def test_members_of_another_kind(made: Made, tmp_path: Path, changes: dict, said: str):
    assert said in refused(made, added(made, tmp_path / "b.zip", member(IMAGE, **changes), data=b"/etc/passwd"))


def test_an_encrypted_member(made: Made, tmp_path: Path):
    path = added(made, tmp_path / "b.zip", member(IMAGE))
    data = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.rindex(signature)
        data[place + flags] |= 1
    path.write_bytes(data)
    assert "encrypted" in refused(made, path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice(made: Made, tmp_path: Path):
    """Which of two is meant depends on the reader."""
    for name in ("verdicts.jsonl", IMAGE):
        path = added(made, tmp_path / "b.zip", member(name), member(name))
        assert f"member {name!r} is there twice" in refused(made, path)


def test_a_member_that_is_missing(made: Made, tmp_path: Path):
    forged = Forgery(made.bundle)
    del forged.members["verdicts.jsonl"]
    assert "no verdicts.jsonl" in refused(made, forged.pack(tmp_path / "b.zip"))


def bomb(made: Made, path: Path, name: str, size: int) -> Path:
    """`size` zeros as a member; written without ever holding them."""
    forged = Forgery(made.bundle)
    forged.members.pop(name, None)
    forged.say(lambda said: said["files"].update({name: {"sha256": "ab" * 32, "bytes": size}}))
    forged.pack(path)
    with zipfile.ZipFile(path, "a") as zipped, zipped.open(member(name), "w") as file:
        for _ in range(size // MIB):
            file.write(bytes(MIB))
    return path


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("verdicts.jsonl", 200 * MIB, "inflates to more than 100 times its size: a zip bomb"),
        ("summary.json", 20 * MIB, "a zip bomb"),
        (IMAGE, 70 * MIB, "a zip bomb"),
    ],
)
def test_a_zip_bomb_is_never_inflated(made: Made, tmp_path: Path, name: str, size: int, said: str):
    path = bomb(made, tmp_path / "b.zip", name, size)
    tracemalloc.start()
    try:
        with pytest.raises(BundleError, match=said):
            read_bundle(path)
        assert tracemalloc.get_traced_memory()[1] < 24 * MIB
    finally:
        tracemalloc.stop()


def test_headers_are_not_believed(made: Made, tmp_path: Path):
    """A bomb that says it is small: both headers lie about the inflated size."""
    path = bomb(made, tmp_path / "b.zip", IMAGE, 20 * MIB)
    data = bytearray(path.read_bytes())
    for signature, size in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = data.rindex(signature)
        data[place + size : place + size + 4] = struct.pack("<I", 1000)
    path.write_bytes(data)
    assert "inflates to more than its header says" in refused(made, path)


def test_sizes_beyond_every_limit_are_refused_by_the_list_alone(made: Made, tmp_path: Path):
    path = added(made, tmp_path / "b.zip", member(IMAGE))
    data = bytearray(path.read_bytes())
    place = data.rindex(b"PK\x01\x02")
    data[place + 24 : place + 28] = struct.pack("<I", 0xFFFFFFF0)
    path.write_bytes(data)
    assert "MiB inflated: a zip bomb" in refused(made, path)


def test_overlapping_members(made: Made, tmp_path: Path):
    """Two entries of the list for the same bytes: how a small file becomes endless."""
    path = added(made, tmp_path / "b.zip", member(IMAGE), data=zlib.compress(bytes(100)))
    data = bytearray(path.read_bytes())
    first, last = data.index(b"PK\x01\x02"), data.rindex(b"PK\x01\x02")
    data[last + 42 : last + 46] = data[first + 42 : first + 46]
    path.write_bytes(data)
    assert "members overlap, or hide some" in refused(made, path)


def swapped_names(data: bytearray) -> bytearray:
    """The list and the members' own headers name them differently."""
    place = data.index(b"PK\x03\x04")
    data[place + 30 : place + 45] = b"submission.jsoN"
    return data


def second_list(data: bytearray) -> bytearray:
    """A pointer to another list of members, where the first one seems to have its last entry."""
    end = data[-22:]
    end[12:16] = struct.pack("<I", struct.unpack("<I", end[12:16])[0] + 20)
    return data[:-22] + b"PK\x06\x07" + struct.pack("<IQI", 0, 0, 1) + end


def many(data: bytearray) -> bytearray:
    data[-14:-10] = struct.pack("<HH", 65535, 65535)
    return data


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data + b"tail", "does not end as a bundle does"),
        (lambda data: b"MZ head" + data, "something lies before, between or after the members"),
        (lambda data: data[: len(data) // 2], "does not end as a bundle does"),
        (lambda data: b"", "does not end as a bundle does"),
        (lambda data: b"<html>not found</html>" * 9, "does not end as a bundle does"),
        (swapped_names, "members overlap, or hide some"),
        (second_list, "a second list of members (zip64)"),
        (many, "65535 members; at most 65000 are read"),
    ],
)
def test_files_that_are_no_plain_zip(made: Made, tmp_path: Path, change: Callable[[bytearray], bytes], said: str):
    path = tmp_path / "b.zip"
    path.write_bytes(change(bytearray(made.bundle.read_bytes())))
    assert said in refused(made, path)


def test_other_things_than_files(made: Made, tmp_path: Path):
    assert "give a bundle" in refused(made, tmp_path / "nowhere.zip")
    assert "not a regular file; give a bundle" in refused(made, tmp_path)
    assert "give a bundle" in refused(made, tmp_path / ("x" * 5000))
    assert "give a bundle" in refused(made, tmp_path / "a\0b.zip")


@pytest.mark.timeout(20)
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_or_device_is_never_waited_for(made: Made, tmp_path: Path):
    pipe, link = tmp_path / "b.zip", tmp_path / "link.zip"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link, Path("/dev/zero"), Path("/dev/stdin")):
        if path.exists() and not path.is_file():
            assert "not a regular file; give a bundle" in refused(made, path)
    found = made.verify(made.bundle)
    with pytest.raises(BundleError, match="not a regular file"):
        accept(replace(found, path=pipe), tmp_path / "results")


def patched(made: Made, path: Path, *, local: dict[int, bytes], entry: dict[int, bytes]) -> Path:
    """The honest bundle with bytes of its last member's two headers replaced, by offset."""
    data = bytearray(made.bundle.read_bytes())
    for signature, changes in ((b"PK\x03\x04", local), (b"PK\x01\x02", entry)):
        start = data.rindex(signature)
        for offset, new in changes.items():
            data[start + offset : start + offset + len(new)] = new
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("offset", "new"),
    [
        (4, b"\x0a"), (6, b"\x08"), (8, b"\0"), (10, b"\1"), (12, b"\1"),
        (14, b"\0\1\2\3"), (18, b"\1"), (22, b"\1"), (28, b"\4"),
    ],
    ids=["version", "flags", "method", "time", "date", "CRC", "packed size", "size", "extra"],
)  # fmt: skip
def test_a_header_that_contradicts_the_list_is_refused(made: Made, tmp_path: Path, offset: int, new: bytes):
    path = patched(made, tmp_path / "b.zip", local={offset: new}, entry={})
    assert "its two headers contradict each other" in refused(made, path)


@pytest.mark.parametrize(
    ("local", "entry", "said"),
    [
        ({4: b"\x2d"}, {6: b"\x2d"}, "a version, disk number or attribute"),
        ({5: b"\x03"}, {7: b"\x03"}, "a version, disk number or attribute"),
        ({}, {34: b"\1"}, "a version, disk number or attribute"),
        ({}, {36: b"\1"}, "a version, disk number or attribute"),
        ({}, {38: b"\x10"}, "DOS attributes"),
        ({8: b"\0"}, {10: b"\0"}, "stored, with two different sizes"),
        ({14: b"\0\1\2\3"}, {16: b"\0\1\2\3"}, "is not what its header says: another size or checksum"),
        ({22: b"\xff\xff"}, {24: b"\xff\xff"}, "is not what its header says: another size or checksum"),
    ],
)
def test_headers_that_agree_on_something_odd_are_refused(
    made: Made, tmp_path: Path, local: dict[int, bytes], entry: dict[int, bytes], said: str
):
    assert said in refused(made, patched(made, tmp_path / "b.zip", local=local, entry=entry))


def packed_with(made: Made, path: Path, change: Callable[[bytes], bytes]) -> Path:
    """The honest bundle, the packed bytes of its first member changed; sizes and offsets fit."""
    members = Forgery(made.bundle).members
    parts, entries = b"", b""
    for number, (name, data) in enumerate(members.items()):
        packer = zlib.compressobj(9, wbits=-15)
        packed = packer.compress(data) + packer.flush()
        packed = change(packed) if not number else packed
        shared = struct.pack("<5H3I2H", 20, 0, 8, 0, 33, zlib.crc32(data), len(packed), len(data), len(name), 0)
        rest = struct.pack("<3H2I", 0, 0, 0, 0o100644 << 16, len(parts))
        entries += b"PK\x01\x02" + struct.pack("<H", 0x314) + shared + rest + name.encode()
        parts += b"PK\x03\x04" + shared + name.encode() + packed
    end = b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, len(members), len(members), len(entries), len(parts), 0)
    path.write_bytes(parts + entries + end)
    return path


@pytest.mark.parametrize("tail", [b"x", b"PK\x03\x04" + bytes(40), bytes(1 << 17)], ids=["byte", "header", "zeros"])
def test_bytes_behind_the_end_of_packed_data_are_refused(made: Made, tmp_path: Path, tail: bytes):
    """Another reader may find another bundle in them; zipfile does not look."""
    assert read_bundle(packed_with(made, tmp_path / "honest.zip", lambda packed: packed)).sessions
    path = packed_with(made, tmp_path / "b.zip", lambda packed: packed + tail)
    assert "submission.json: bytes behind the end of its packed data" in refused(made, path)


def test_packed_data_without_an_end_is_refused(made: Made, tmp_path: Path):
    path = packed_with(made, tmp_path / "b.zip", lambda packed: packed[:-1])
    assert "packed data does not end" in refused(made, path)


@pytest.mark.parametrize(
    ("place", "new", "said"),
    [
        (4, b"\1", "in several parts"),
        (6, b"\1", "in several parts"),
        (8, b"\1", "in several parts"),
        (20, b"\1", "in several parts, or with a comment"),
        (12, b"\0", "something lies before, between or after"),
        (16, b"\xff\xff\xff\xff", "something lies before, between or after"),
    ],
    ids=["disk", "disk of the list", "members here", "comment", "size of the list", "zip64 offset"],
)
def test_an_end_record_that_is_wrong_is_refused(made: Made, tmp_path: Path, place: int, new: bytes, said: str):
    data, path = bytearray(made.bundle.read_bytes()), tmp_path / "b.zip"
    data[len(data) - 22 + place : len(data) - 22 + place + len(new)] = new
    path.write_bytes(data)
    assert said in refused(made, path)


@pytest.mark.parametrize("change", [-1, 1])
def test_an_end_record_with_another_number_of_members_is_refused(made: Made, tmp_path: Path, change: int):
    data, path = bytearray(made.bundle.read_bytes()), tmp_path / "b.zip"
    count = struct.unpack("<H", data[-14:-12])[0]
    data[-14:-10] = struct.pack("<HH", count + change, count + change)
    path.write_bytes(data)
    assert f"says that it has {count + change:,} members, its list has {count:,}" in refused(made, path)


def test_any_damaged_byte_is_noticed(made: Made, tmp_path: Path):
    """Flip bytes all over the file: never a traceback, and what can be read after a flip is the same."""
    whole, path = made.bundle.read_bytes(), tmp_path / "b.zip"
    honest = read_bundle(made.bundle)
    refusals = 0
    for place in range(7, len(whole), len(whole) // 150):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            found = read_bundle(path)
        except BundleError:
            refusals += 1
        else:
            assert (found.submission, found.verdicts, found.edits) == (
                honest.submission,
                honest.verdicts,
                honest.edits,
            )
    assert refusals > 120


def test_an_image_that_is_a_zip(made: Made, tmp_path: Path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as zipped:
        zipped.writestr("x", "y")
    forged = Forgery(made.bundle)
    forged.put(inner.getvalue())
    found = made.verify(forged.fit().pack(tmp_path / "b.zip"))
    failed = next(entry for entry in found.checks if entry.outcome == "failed")
    assert failed.check == "images"
    assert "1 that belong to none of them" in failed.detail
