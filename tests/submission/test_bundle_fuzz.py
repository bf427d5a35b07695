"""Mutated bundles: whatever was changed, reading and verifying end with a reason, in bounded time and memory."""

import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from micebench.submission import BundleError, read_bundle
from micebench.submission.archive import MIB
from micebench.submission.verify import NAMES
from tests.submission.conftest import Made
from tests.submission.forge import TEXTS, Forgery

FUZZ = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["\u202e", "../../x", "<b>", "\x1b[2J", "0" * 64, 10**30, -1, 1e308]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def refusal(path: Path) -> BundleError | None:
    try:
        read_bundle(path)
    except BundleError as error:
        return error
    return None


def check(path: Path) -> None:
    """Reading gives a bundle, or one line."""
    start = time.process_time()
    refused = refusal(path)
    assert time.process_time() - start < 30
    if refused is not None:
        assert refused.check in NAMES[:3]
        assert str(refused)
        assert "\n" not in str(refused)
        assert len(str(refused)) < 1000


def check_memory(path: Path) -> None:
    tracemalloc.start()
    try:
        check(path)
        assert tracemalloc.get_traced_memory()[1] < 64 * MIB
    finally:
        tracemalloc.stop()


def mutated(data: bytes, draw: st.DataObject, most: int) -> bytes:
    """Bytes flipped, cut out, repeated or put in at a few places."""
    found = bytearray(data)
    for _ in range(draw.draw(st.integers(1, most))):
        if not found:
            break
        place = draw.draw(st.integers(0, len(found) - 1))
        length = draw.draw(st.integers(1, 200))
        match draw.draw(st.sampled_from(["flip", "cut", "end", "repeat", "insert"])):
            case "flip":
                found[place] ^= draw.draw(st.integers(1, 255))
            case "cut":
                del found[place : place + length]
            case "end":
                del found[-length:]
            case "repeat":
                found[place:place] = found[place : place + length]
            case "insert":
                found[place:place] = draw.draw(st.binary(max_size=40))
    return bytes(found)


@FUZZ
@given(st.data())
def test_a_zip_with_any_bytes_changed_is_read_or_refused(made: Made, tmp_path: Path, data: st.DataObject):
    path = tmp_path / "b.zip"
    path.write_bytes(mutated(made.bundle.read_bytes(), data, 4))
    check_memory(path)


@FUZZ
@given(st.data())
def test_a_zip_with_its_headers_changed_is_read_or_refused(made: Made, tmp_path: Path, data: st.DataObject):
    """Most bytes are packed data; these are not."""
    whole = bytearray(made.bundle.read_bytes())
    start = data.draw(st.sampled_from([0, whole.rindex(b"PK\x03\x04"), whole.index(b"PK\x01\x02"), len(whole) - 80]))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[start + data.draw(st.integers(0, 79))] = data.draw(st.sampled_from([0, 1, 8, 127, 128, 255]))
    path = tmp_path / "b.zip"
    path.write_bytes(whole)
    check_memory(path)


@settings(FUZZ, max_examples=30)
@given(st.data())
def test_a_member_with_any_bytes_changed_is_read_or_refused(made: Made, tmp_path: Path, data: st.DataObject):
    """Hashes that fit, so that the forms are reached."""
    forged = Forgery(made.bundle)
    name = data.draw(st.sampled_from([*TEXTS, "image"]))
    if name == "image":
        old = min(name for name in forged.members if name.startswith("images/"))
        forged.put(mutated(forged.members.pop(old), data, 3))
    else:
        forged.members[name] = mutated(forged.members[name], data, 3)
    if name != "submission.json":
        forged.fit()
    check(forged.pack(tmp_path / "b.zip"))


def replaced(value: Any, draw: st.DataObject, depth: int = 6) -> Any:
    """JSON with junk at one place of it."""
    if depth and isinstance(value, dict) and value:
        key = draw.draw(st.sampled_from(sorted(value)))
        match draw.draw(st.sampled_from(["in", "in", "in", "drop", "add"])):
            case "in":
                return value | {key: replaced(value[key], draw, depth - 1)}
            case "drop":
                return {name: one for name, one in value.items() if name != key}
            case _:
                return value | {draw.draw(st.text(max_size=8)): draw.draw(JUNK)}
    if depth and isinstance(value, list) and value:
        place = draw.draw(st.integers(0, min(len(value) - 1, 50)))
        return [*value[:place], replaced(value[place], draw, depth - 1), *value[place + 1 :]]
    return draw.draw(JUNK)


@settings(FUZZ, max_examples=25)
@given(st.data())
def test_a_field_of_junk_is_a_failed_check_and_never_a_traceback(made: Made, tmp_path: Path, data: st.DataObject):
    """Every check after reading, too."""
    forged = Forgery(made.bundle)
    name = data.draw(st.sampled_from(TEXTS))
    if name.endswith(".jsonl"):
        lines = forged.lines(name)
        place = data.draw(st.integers(0, len(lines) - 1))
        lines[place] = replaced(lines[place], data)
        forged.write(name, lines)
    else:
        forged.members[name] = json.dumps(replaced(json.loads(forged.members[name]), data)).encode()
    if name != "submission.json":
        forged.fit()
    path = forged.pack(tmp_path / "b.zip")
    found = made.verify(path, sample=1)
    assert [check.check for check in found.checks] == list(NAMES)
    assert all("\n" not in check.detail and len(check.detail) < 1000 for check in found.checks)
    if found.bundle is not None and found.passed:
        assert found.summary == made.verify(made.bundle, sample=1).summary


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x05\x06" + bytes(18), b"PK\x05\x06" + b"\xff" * 18])
def test_next_to_nothing_is_refused(tmp_path: Path, data: bytes):
    path = tmp_path / "b.zip"
    path.write_bytes(data)
    with pytest.raises(BundleError):
        read_bundle(path)
