"""Local weights are hashed when they change, not at every start; the memory of it is never trusted too far."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from micebench.cards import EditorCard
from micebench.registry import file_hashes
from micebench.registry.file_hashes import LEAST_BYTES, cache_folder, remembered
from micebench.registry.model_files import card_identity


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MICEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(file_hashes, "_YOUNG_NS", -1)  # files of a test are all young
    return tmp_path / "cache" / "digests.json"


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are really read."""
    names: list[str] = []
    whole = hashlib.file_digest

    def counted(file, kind):
        names.append(Path(file.name).name)
        return whole(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    return names


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights" / "model.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"a" * LEAST_BYTES)
    return path


def sha256(file: Path) -> str:
    with remembered() as digest:
        return digest(file).hex()


def same_size(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.write(b"b")


def with_its_old_time(file: Path) -> None:
    before = file.stat()
    same_size(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def put_in_its_place(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(b"c" * LEAST_BYTES)
    shutil.copystat(file, other)
    other.replace(file)


def longer(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"d")


def test_a_file_is_read_once_and_its_hash_is_the_true_one(file: Path, hashed: list[str]) -> None:
    true = hashlib.sha256(file.read_bytes()).hexdigest()
    assert [sha256(file) for _ in range(3)] == [true] * 3
    assert hashed == [file.name]


@pytest.mark.parametrize("change", [same_size, with_its_old_time, put_in_its_place, longer])
def test_a_file_that_changed_is_hashed_again(file: Path, change: Callable[[Path], None]) -> None:
    before = sha256(file)
    time.sleep(0.02)  # more than a tick of the file system's clock
    change(file)
    assert sha256(file) == hashlib.sha256(file.read_bytes()).hexdigest() != before


def test_a_file_that_changed_just_now_is_not_remembered(
    file: Path, hashed: list[str], memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_hashes, "_YOUNG_NS", 3600 * 10**9)
    assert sha256(file) == sha256(file)
    assert len(hashed) == 2
    assert not memory.exists()


def test_small_files_are_not_remembered(file: Path, hashed: list[str], memory: Path) -> None:
    file.write_bytes(b"a" * (LEAST_BYTES - 1))
    assert sha256(file) == sha256(file)
    assert len(hashed) == 2
    assert not memory.exists()


@pytest.mark.parametrize(
    "junk",
    [
        b"", b"{", b"\xff\xfe", b"[1, 2]", b"null", b'{"PATH": 1}', b'{"PATH": [1, 2, 3, 4]}',
        b'{"PATH": [1, 2, 3, 4, "zz"]}', b'{"PATH": ["1", 2, 3, 4, "00"]}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_junk_is_forgotten(file: Path, hashed: list[str], memory: Path, junk: bytes) -> None:
    true = sha256(file)
    memory.write_bytes(junk.replace(b"PATH", str(file).encode()))
    assert sha256(file) == sha256(file) == true
    assert len(hashed) == 2
    assert list(json.loads(memory.read_bytes())) == [str(file)]


def test_a_memory_that_cannot_be_written_costs_nothing_but_time(file: Path, memory: Path) -> None:
    memory.parent.write_text("a file where the folder should be")
    assert sha256(file) == sha256(file) == hashlib.sha256(file.read_bytes()).hexdigest()


def test_two_at_a_time_keep_what_the_other_has_learnt(file: Path, memory: Path) -> None:
    other = file.with_name("other.safetensors")
    other.write_bytes(b"x" * LEAST_BYTES)
    with remembered() as one, remembered() as two:
        one(file)
        two(other)
    assert set(json.loads(memory.read_bytes())) == {str(file), str(other)}
    assert [path.name for path in memory.parent.iterdir()] == [memory.name]


def test_the_memory_is_bounded(tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_hashes, "_MOST_FILES", 2)
    for name in "abc":
        (tmp_path / name).write_bytes(name.encode() * LEAST_BYTES)
        sha256(tmp_path / name)
    assert [Path(path).name for path in json.loads(memory.read_bytes())] == ["b", "c"]


def test_an_editors_identity_is_that_of_its_files(file: Path, hashed: list[str]) -> None:
    (file.parent / "config.json").write_text("{}")
    fields = {"id": "mine", "description": "x", "domain": "photo", "editor": "a:B"}
    card = EditorCard.model_validate(fields | {"weights": str(file.parent)})

    def identity() -> str:
        return card_identity(card, card)

    first = identity()
    assert identity() == first
    assert hashed.count(file.name) == 1
    time.sleep(0.02)
    same_size(file)
    assert identity() != first


@pytest.mark.parametrize(
    ("platform", "variables", "place"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/micebench"),
        ("linux", {}, "~/.cache/micebench"),
        ("darwin", {"XDG_CACHE_HOME": "/x"}, "~/Library/Caches/micebench"),
        ("win32", {"LOCALAPPDATA": "/l"}, "/l/micebench"),
        ("linux", {"MICEBENCH_CACHE": "/mine", "XDG_CACHE_HOME": "/x"}, "/mine"),
    ],
)
def test_it_lies_where_the_platform_wants_it(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], place: str
) -> None:
    for name in ("MICEBENCH_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.platform", platform)
    assert cache_folder() == Path(place).expanduser()
