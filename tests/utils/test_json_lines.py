"""Strict JSON: whatever is no JSON is one line, in bounded time and memory, and costs its own line alone."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from micebench.errors import DataError
from micebench.utils import json_lines as room
from micebench.utils.json_lines import JsonFault, json_lines, parse_json


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' is given twice"),
        ('{"o": {"a": 1, "b": 2, "a": 1}}', "given twice"),
        ("[" * 100_000, "nested deeper than 64 levels"),
        ("[" * 65 + "]" * 65, "nested deeper than 64 levels"),
        ('{"a":' * 70 + "1" + "}" * 70, "nested deeper than 64 levels"),
        ("1" * 5000, "thousands of digits"),
        ('"\\ud83d"', r"half a surrogate pair \(\\ud83d\)"),
        ('{"\\udc00": 1}', "half a surrogate pair"),
        ('"\ud800"', "half a surrogate pair"),
        ("NaN", "NaN is not JSON"),
        ("-Infinity", "-Infinity is not JSON"),
        ("1e999", "1e999 is not a finite number"),
        ("", "Expecting value"),
        ("{} {}", "Extra data"),
        ('{"a": "\t"}', "Invalid control character"),
    ],
)
def test_what_is_no_strict_json_is_named(text: str, said: str) -> None:
    with pytest.raises(JsonFault, match=said) as caught:
        parse_json(text)
    assert "\n" not in str(caught.value)


def test_what_is_json_is_read_as_it_is() -> None:
    text = json.dumps({"é": [1, -2.5, None, True, "\U0001f600"], "n": "[" * 100 + "\\u d83d"})
    assert parse_json(text) == json.loads(text)
    assert parse_json("[" * 64 + "]" * 64) == json.loads("[" * 64 + "]" * 64)
    assert parse_json("[NaN, 1e999]", allow_nan=True)[1] == float("inf")


def read(tmp_path: Path, data: bytes) -> list[tuple[int, Any]]:
    (tmp_path / "x.jsonl").write_bytes(data)
    return [(number, str(value) if isinstance(value, JsonFault) else value) for number, value in
            json_lines(tmp_path / "x.jsonl")]  # fmt: skip


def test_a_byte_order_mark_and_all_line_ends_are_accepted(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbf1\r\n2\r3\n\n \n4") == [(1, 1), (2, 2), (3, 3), (6, 4)]


def test_a_bad_line_costs_itself_alone(tmp_path: Path) -> None:
    found = read(tmp_path, b'1\n{broken\n"\xff"\n"\\ud800"\n5\n')
    assert [number for number, _ in found] == [1, 2, 3, 4, 5]
    assert (found[0][1], found[4][1]) == (1, 5)
    assert "0xff" in found[2][1]


def test_a_line_without_an_end_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_LINE_BYTES", 1 << 20)
    found = read(tmp_path, b"1\n" + b"x" * (5 << 20) + b"\n3\n")
    assert found == [(1, 1), (2, "a line of more than 1 MiB"), (3, 3)]


def test_utf_16_and_what_is_no_file_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "wide").write_text('{"a": 1}', encoding="utf-16")
    for name, said in (
        ("pipe", "a pipe"),
        ("zero", "a device"),
        (".", "a folder"),
        ("wide", "UTF-16"),
        ("no", "No such"),
    ):
        with pytest.raises(DataError, match=said):
            list(json_lines(tmp_path / name))


_PARTS = st.sampled_from(
    [
        *("{", "}", "[", "]", ":", ",", '"', "\\", "\\ud83d", "\\ude00", '"a"', "1", "-", "1e999", "NaN", "null"),
        *("9" * 5000, "\n", "\r", "\t", "\x00", "\ufeff", "[" * 80, '{"a":', "é", "\u2028"),
    ]
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.lists(_PARTS, max_size=30).map(lambda parts: "".join(parts).encode()), st.binary(max_size=80)))
def test_any_bytes_are_values_or_faults(tmp_path: Path, data: bytes) -> None:
    began = time.process_time()
    try:
        found = read(tmp_path, data)
    except DataError as error:
        assert "UTF-16" in str(error)  # noqa: PT017
        return
    assert time.process_time() - began < 5
    for number, value in found:
        assert number >= 1
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
