"""Zips that are not what `micebench submit` writes are refused before anything in them is used."""

import io
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from micebench.report.submission import BundleError, read_bundle
from micebench.report.submission.archive import MIB
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
    assert "cannot be inflated (Bad CRC-32 for file" in refused(made, path)


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
    assert "give a bundle" in refused(made, tmp_path)


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
