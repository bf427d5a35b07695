"""What a small hostile bundle may cost: the amount of lines, lists and texts that are kept is bounded."""

import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from micebench.submission import BundleError, archive, read_bundle, strict_json, submit
from micebench.submission import bundle as reading
from micebench.submission.archive import MIB
from micebench.submission.schema import plain_usage
from tests.submission.conftest import ABOUT, Made
from tests.submission.forge import Forgery, Line


@pytest.fixture(autouse=True)
def _any_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    """Test data deflates better than what an attacker would write."""
    monkeypatch.setattr(archive, "MAX_RATIO", 1 << 30)


@contextmanager
def at_most(mib: int) -> Iterator[None]:
    """No more than this is allocated at any time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < mib * MIB
    finally:
        tracemalloc.stop()


def refused(path: Path, said: str) -> None:
    with pytest.raises(BundleError, match=said) as error:
        read_bundle(path)
    assert error.value.check == "form"
    assert "\n" not in str(error.value)


def first(name: str, **fields: Any) -> Callable[[Forgery], object]:
    def change(forged: Forgery) -> None:
        lines = forged.lines(name)
        forged.write(name, [lines[0] | fields, *lines[1:]])

    return change


def manifest(**fields: Any) -> Callable[[Forgery], object]:
    return lambda forged: forged.say(lambda said: said["manifest"].update(fields))


TOO_MUCH: dict[str, tuple[Callable[[Forgery], object], str]] = {
    "nested usage": (first("verdicts.jsonl", usage={"a": {"b": 1}}), "verdicts.jsonl:1: usage.a"),
    "listed usage": (first("edits.jsonl", usage={"a": [1] * 1000}), "edits.jsonl:1: usage.a"),
    "usage of many keys": (first("edits.jsonl", usage={f"k{n}": n for n in range(17)}), "edits.jsonl:1: usage"),
    "usage of a long key": (first("edits.jsonl", usage={"k" * 41: 1}), "edits.jsonl:1: usage"),
    "usage of a long text": (first("edits.jsonl", usage={"model": "x" * 201}), "edits.jsonl:1: usage"),
    "usage of a flag": (first("edits.jsonl", usage={"tokens": True}), "edits.jsonl:1: usage.tokens"),
    "endless number": (first("edits.jsonl", usage={"tokens": 10**4000}), "a whole number of 4,001 digits"),
    "many votes": (first("verdicts.jsonl", votes=[1.0] * 1001), "verdicts.jsonl:1: votes"),
    "many replies": (first("verdicts.jsonl", raw=[""] * 1001), "verdicts.jsonl:1: raw"),
    "a line of many items": (first("verdicts.jsonl", raw=[[]] * 500_001), "verdicts.jsonl:1: more than 500,000"),
    "many objects": (
        lambda forged: forged.change("sessions.jsonl", lambda line: line["turns"][0].update(all_objects=["x"] * 501)),
        "sessions.jsonl:1: turns.0.all_objects",
    ),
    "many turns": (
        lambda forged: forged.change("sessions.jsonl", lambda line: line.update(turns=line["turns"] * 34)),
        "sessions.jsonl:1: turns",
    ),
    "a long instruction": (
        lambda forged: forged.change("sessions.jsonl", lambda line: line["turns"][0].update(instruction="x" * 4001)),
        "sessions.jsonl:1: turns.0.instruction",
    ),
    "many metrics": (manifest(metrics=[f"m{n}" for n in range(65)]), "unknown metric 'm0'"),
    "a card of many items": (manifest(editor_card={"x": [[]] * 500_000}), "submission.json: more than 500,000 items"),
    "a summary of many items": (
        lambda forged: forged.members.update({"summary.json": b'{"x":[' + b"[]," * 500_000 + b"[]]}"}),
        "summary.json: more than 500,000 items",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "said"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_what_could_fill_memory_is_refused(made: Made, tmp_path: Path, change: Callable, said: str):
    forged = Forgery(made.bundle)
    change(forged)
    path = forged.fit().pack(tmp_path / "b.zip")
    with at_most(64):
        refused(path, said)


@pytest.mark.parametrize("name", ["sessions.jsonl", "edits.jsonl", "verdicts.jsonl"])
def test_more_lines_than_the_run_can_have_are_refused(made: Made, tmp_path: Path, name: str, monkeypatch):
    """Half a million copies of a line deflate to almost nothing."""
    monkeypatch.setattr(reading, "MAX_SESSIONS", 2_000)
    forged = Forgery(made.bundle)
    copies = b"".join(json.dumps(line).encode() + b"\n" for line in forged.lines(name)[:8])
    forged.members[name] += copies * (100_000_000 // len(copies) // 4)
    path = forged.fit().pack(tmp_path / "b.zip")
    assert path.stat().st_size < 2 * MIB
    start = time.process_time()
    with at_most(48):
        refused(path, f"{name}: more than [0-9,]+ lines, the most that this run can have")
    assert time.process_time() - start < 60


def test_texts_that_nothing_shows_are_checked_and_not_kept(made: Made, tmp_path: Path):
    def wordy(line: Line) -> None:
        line |= {"raw": ["x" * 100_000], "votes": [1.0, 0.0], "usage": {"tokens": 3}, "reason": "why " * 1000}

    path = Forgery(made.bundle).change("verdicts.jsonl", wordy).fit().pack(tmp_path / "b.zip")
    with at_most(24):  # the text alone is 45 MiB
        bundle = read_bundle(path)
    one = bundle.verdicts[0]
    assert (one.raw, one.votes, one.usage, len(one.reason)) == ((), (), None, 600)


def test_reasons_are_kept_up_to_a_limit(made: Made, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reading, "_REASONS", 50)
    assert sum(len(verdict.reason) for verdict in read_bundle(made.bundle).verdicts) == 50


def test_lines_are_parsed_as_their_bytes_arrive():
    def chunks() -> Iterator[bytes]:
        yield b'{"a":'
        yield b'1}\n{"a":2}\n{"'
        raise AssertionError("read too far")

    found = strict_json.lines(chunks(), "x", 9)
    assert [next(found), next(found)] == [("x:1", {"a": 1}), ("x:2", {"a": 2})]


def test_a_run_with_any_usage_can_be_submitted(made: Made, tmp_path: Path):
    """Editors may report any JSON; a bundle holds what it can of it."""
    odd = {"tokens": 3, "cost_usd": 0.5, "detail": {"a": 1}, "model": "m", "flag": True, "odd name": 1, "none": None}
    assert plain_usage(odd) == {"tokens": 3, "cost_usd": 0.5, "model": "m", "none": None}
    assert len(plain_usage({f"k{n}": n for n in range(99)})) == 16
    run = made.folder / "run-with-usage"
    if not run.exists():
        import shutil

        shutil.copytree(made.run.path, run)
    for path in sorted((run / "edits").glob("*.jsonl")):
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        path.write_text("".join(json.dumps(line | {"usage": odd}) + "\n" for line in lines))
    path = submit(run, **ABOUT, out=tmp_path / "b.zip", cards=made.cards).path
    assert Forgery(path).lines("edits.jsonl")[0]["usage"] == plain_usage(odd)
    assert read_bundle(path).edits
