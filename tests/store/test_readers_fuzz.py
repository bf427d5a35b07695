"""Random damage to any file of a run: the numbers that were there, or one line that names the file."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from micebench.annotation.human_labels import labels_of
from micebench.engine.drift import read_drift
from micebench.engine.run_reader import open_run
from micebench.errors import RunError
from micebench.store.label_journal import Label, append_label, label_path
from tests.store.damage import change_line, finished, verdicts_of

bounded = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 5),
    st.integers(10**17, 10**25),
    st.floats(),
    st.sampled_from(["", "ok", "IF", "s000", "1.0", "a" * 64, "\ud800", "../x", "0" * 400]),
)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)


values = st.recursive(scalars, containers, max_leaves=6)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = finished(tmp_path_factory.mktemp("fuzz"))
    for verdict in list(open_run(run).verdicts())[:4]:
        append_label(label_path(run, "anna"), "human:anna", Label(verdict, True))
    return run


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "run")


def numbers(run: Path) -> Any:
    opened = open_run(run)
    found = {(v.session, v.turn, v.metric): (v.status, v.value) for v in opened.verdicts()}
    opened.usage()
    list(opened.edits())
    list(opened.sessions())
    read_drift(opened)
    labels_of(opened, "anna")
    return found


def attempt(reader: Callable[[], Any]) -> tuple[Any, str]:
    """(what was read, "") or (None, the one line of the error)."""
    try:
        return reader(), ""
    except RunError as error:
        said = str(error)
    assert said
    assert "\n" not in said
    return None, said


def read(run: Path, path: Path, before: Any) -> Any:
    """What is read; None where it was refused in one line that names the file."""
    found, refused = attempt(lambda: numbers(run))
    if refused:
        assert str(run) in refused
        return None
    for unit, verdict in found.items():
        assert verdict[1] is None or (isinstance(verdict[1], float) and 0.0 <= verdict[1] <= 1.0), unit
        assert (verdict[0] == "ok") == (verdict[1] is not None)
    assert found.keys() <= before.keys()
    return found


JOURNALS = ["sessions.jsonl", "edits/main.jsonl", "verdicts", "labels/anna.jsonl"]


@pytest.mark.parametrize("name", JOURNALS)
def test_a_field_of_any_value_is_the_old_number_or_one_line(whole: Path, run: Path, name: str) -> None:
    path = verdicts_of(run) if name == "verdicts" else run / name
    original, before = path.read_bytes(), numbers(whole)
    fields = sorted(json.loads(original.splitlines()[0]))

    @bounded
    @given(st.integers(1, 4), st.sampled_from([*fields, "new"]), values, st.booleans())
    def damaged(number: int, field: str, value: Any, gone: bool) -> None:
        path.write_bytes(original)
        change_line(
            path,
            number,
            lambda line: {k: v for k, v in line.items() if k != field} | ({} if gone else {field: value}),
        )
        found = read(run, path, before)
        if found is not None and name != "verdicts":
            assert all(before[unit] == verdict for unit, verdict in found.items())

    damaged()


@pytest.mark.parametrize("name", [*JOURNALS, "manifest.json"])
def test_bytes_of_any_value_are_never_a_traceback(whole: Path, run: Path, name: str) -> None:
    path = verdicts_of(run) if name == "verdicts" else run / name
    original, before = path.read_bytes(), numbers(whole)

    @bounded
    @given(st.integers(0, len(original) - 1), st.binary(max_size=12), st.integers(0, 40))
    def damaged(start: int, put: bytes, cut: int) -> None:
        path.write_bytes(original[:start] + put + original[start + cut :])
        read(run, path, before)

    damaged()


def test_a_drift_file_of_any_content_is_one_line(run: Path) -> None:
    path = run / "drift.json"
    manifest = open_run(run).manifest
    key = f"{manifest.judge}-{(manifest.judge_hash or '')[:8]}"

    @bounded
    @given(st.sampled_from([None, "judges", key, "start", "scores"]), values)
    def damaged(place: str | None, value: Any) -> None:
        record: Any = {"judge": "m", "judge_hash": "h", "golden": "g", "items": 1, "end": None, "changes": {}}
        record |= {"shift": None, "largest": None, "coverage": 1.0, "limit": 0.1, "drifted": False}
        record |= {"start": {"scores": value if place == "scores" else {}, "missing": {}}}
        record |= {"start": value} if place == "start" else {}
        content = {"judges": {key: value if place == key else record}}
        content = value if place is None else {"judges": value} if place == "judges" else content
        path.write_text(json.dumps(content), encoding="utf-8")
        found, refused = attempt(lambda: read_drift(open_run(run)))
        assert str(path) in refused if refused else found is None or isinstance(found["items"], int)

    damaged()
