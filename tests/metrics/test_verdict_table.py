"""A table that contradicts itself is refused with a line that says where."""

from dataclasses import replace

import numpy as np
import pytest

from micebench.metrics import MISSING, summarize
from tests.metrics.random_tables import plain_table, random_table


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


def test_selecting_rows_and_tracks():
    table = random_table(0, sessions=30)
    cm = table.track("cm")
    assert set(cm.tracks) == {"cm"}
    assert cm.rows == (table.tracks == "cm").sum()
    assert (
        summarize(cm, resamples=100)["first_failure"]
        == summarize(table.select(np.flatnonzero(table.tracks == "cm")), resamples=100)["first_failure"]
    )
