"""A table that contradicts itself is refused with a line that says where."""

from dataclasses import replace

import numpy as np
import pytest

from micebench.errors import DataError
from micebench.metrics import MISSING, STATUS_CODES, build_table, summarize
from tests.metrics.random_tables import plain_table, random_table

SESSIONS = [("a", "cm", ["color_alter", None]), ("b", "cu", ["text_change"])]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sessions": np.array(["a"])}, "sessions has shape"),
        ({"turns": np.array([1, 3])}, "turns lies in 1..2"),
        ({"turns": np.array([2, 1])}, "IF: a verdict lies beyond"),
        ({"status": {"GA": np.zeros((2, 2), np.int8)}}, "differ"),
        ({"status": {"IF": np.zeros((2, 3), np.int8)}}, "IF: values"),
        ({"status": {"IF": np.full((2, 2), 99, np.int8)}}, "status codes"),
        ({"status": {"IF": np.full((2, 2), MISSING, np.int8)}}, "not ok carries a value"),
        ({"values": {"IF": np.full((2, 2), 1.5)}}, "values lie in"),
        ({"values": {"IF": np.full((2, 2), np.nan)}}, "values lie in"),
    ],
)
def test_shapes_codes_and_values(change, said):
    with pytest.raises(ValueError, match=said):
        replace(plain_table(np.ones((2, 2))), **change)


def test_repeats_of_one_session_must_be_alike():
    table = plain_table(np.ones((2, 2)))
    twice = replace(table, sessions=np.array(["s", "s"]))
    assert summarize(twice, resamples=100)["n_sessions"] == 1
    for change in (
        {"tracks": np.array(["cm", "cu"])},
        {"edit_types": np.array([["", ""], ["color_alter", ""]])},
    ):
        with pytest.raises(ValueError, match="repeats of one session differ"):
            summarize(replace(twice, **change), resamples=100)


def test_built_from_records_in_any_order():
    records = [
        ("b", 1, 1, "IF", "ok", 1.0),
        ("a", 0, 2, "IF", "refused", None),
        ("a", 0, 1, "IF", "error", None),
        ("a", 0, 1, "IF", "ok", 0.25),  # asked again, and answered
        ("a", 0, 1, "IF", "ok", 0.25),
    ]
    table = build_table(SESSIONS, iter(records), metrics=["IF", "GA"], repeats=2)
    assert table.sessions.tolist() == ["a", "a", "b", "b"]
    assert table.tracks.tolist() == ["cm", "cm", "cu", "cu"]
    assert table.edit_types.tolist() == [["color_alter", ""]] * 2 + [["text_change", ""]] * 2
    words = [[STATUS_CODES[code] for code in row] for row in table.status["IF"]]
    assert words == [["ok", "refused"], ["missing"] * 2, ["missing"] * 2, ["ok", "missing"]]
    assert table.values["IF"].tolist() == [[0.25, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]
    assert (table.status["GA"] == MISSING).all()


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (("c", 0, 1, "IF", "ok", 1.0), "no such session"),
        (("a", 1, 1, "IF", "ok", 1.0), "repeats 0..0"),
        (("b", 0, 2, "IF", "ok", 1.0), "turns 1..1"),
        (("a", 0, 1, "GA", "ok", 1.0), "asked only for IF"),
        (("a", 0, 1, "IF", "fine", 1.0), "unknown status"),
        (("a", 0, 1, "IF", "ok", None), "only ok has one"),
        (("a", 0, 1, "IF", "error", 0.0), "only ok has one"),
        (("a", 0, 1, "IF", "ok", float("nan")), "only ok has one"),
    ],
)
def test_records_that_do_not_fit(record, said):
    with pytest.raises(DataError, match=said):
        build_table(SESSIONS, [record], metrics=["IF"])


def test_two_different_values_for_one_edit():
    with pytest.raises(DataError, match="two values"):
        build_table(SESSIONS, [("a", 0, 1, "IF", "ok", 1.0), ("a", 0, 1, "IF", "ok", 0.0)], metrics=["IF"])


def test_sessions_and_metrics_are_checked_before_any_record():
    with pytest.raises(DataError, match="comes twice"):
        build_table([*SESSIONS, SESSIONS[0]], [], metrics=["IF"])
    with pytest.raises(DataError, match="has no turn"):
        build_table([("a", "cm", [])], [], metrics=["IF"])
    with pytest.raises(DataError, match="unknown metric"):
        build_table(SESSIONS, [], metrics=["FID"])


def test_selecting_rows_and_tracks():
    table = random_table(0, sessions=30)
    cm = table.track("cm")
    assert set(cm.tracks) == {"cm"}
    assert cm.rows == (table.tracks == "cm").sum()
    assert (
        summarize(cm, resamples=100)["first_failure"]
        == summarize(table.select(np.flatnonzero(table.tracks == "cm")), resamples=100)["first_failure"]
    )
