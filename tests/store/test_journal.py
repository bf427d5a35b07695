"""What was appended is there; a line torn by a crash is cut off; other damage is named, never skipped."""

from pathlib import Path

import pytest

from micebench.errors import RunError
from micebench.store.journal import Journal, read_journal


def records(path: Path) -> list[dict]:
    return [record for _, record in read_journal(path)]


def test_batches_are_read_back_with_their_offsets(tmp_path: Path) -> None:
    path = tmp_path / "edits" / "main.jsonl"
    with Journal(path) as journal:
        offsets = journal.append([{"a": 1}, {"b": "ü\n"}]) + journal.append([]) + journal.append([{"c": None}])
    assert records(path) == [{"a": 1}, {"b": "ü\n"}, {"c": None}]
    assert offsets == [offset for offset, _ in read_journal(path)]
    for offset, record in read_journal(path):
        with open(path, "rb") as file:
            file.seek(offset)
            assert file.readline().endswith(b"}\n"), record


@pytest.mark.parametrize("torn", [b'{"c', b"{", b"\xff" * 200_000])
def test_a_torn_last_line_is_no_line_and_is_cut_off_on_opening(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"a":1}\n{"b":2}\n' + torn)
    assert records(path) == [{"a": 1}, {"b": 2}]
    with Journal(path) as journal:
        assert journal.append([{"c": 3}]) == [16]
    assert path.read_bytes() == b'{"a":1}\n{"b":2}\n{"c":3}\n'


def test_a_journal_that_is_one_torn_line_becomes_empty(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"a":')
    Journal(path).close()
    assert path.read_bytes() == b""


@pytest.mark.parametrize("damage", [b'{"b":', b"\x00\x00\x00", b"[1]", b""])
def test_a_damaged_middle_line_is_named_by_file_and_number(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"a":1}\n' + damage + b'\n{"c":3}\n')
    with pytest.raises(RunError, match=r"j\.jsonl:2: damaged"):
        records(path)


def test_a_missing_journal_has_no_lines(tmp_path: Path) -> None:
    assert records(tmp_path / "none.jsonl") == []


def test_nan_never_enters_a_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.jsonl") as journal, pytest.raises(ValueError):
        journal.append([{"value": float("nan")}])
