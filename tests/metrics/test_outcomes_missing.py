"""A verdict without a value moves no mean, and shows in n, coverage and bounds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micebench.metrics import METRIC_NAMES, STATUS_CODES, summarize
from micebench.verdicts import METRICS
from tests.metrics.random_tables import plain_table, random_table

GAPS = [status for status in STATUS_CODES if status != "ok"]
UNKNOWN = ("missing", "error", "unparsed", "refused")


def drop(table, metric, row, turn, status):
    """The same table with one verdict replaced by a status."""
    codes, values = table.status[metric].copy(), table.values[metric].copy()
    codes[row, turn - 1], values[row, turn - 1] = STATUS_CODES.index(status), 0.0
    return replace(table, status=table.status | {metric: codes}, values=table.values | {metric: values})


def numbers(table, **options):
    return summarize(table, resamples=100, **options)["metrics"]


@pytest.mark.parametrize("status", GAPS)
@pytest.mark.parametrize("metric", METRICS)
def test_one_lost_verdict_changes_no_other_turn_and_no_other_metric(metric, status):
    """Of the direct metrics; turn-k success, cumulative awareness and collapse look back by definition."""
    rng = np.random.default_rng(0)
    full = plain_table(rng.random((30, 4)) < 0.8, **{m.replace(".", "_"): rng.random((30, 4)) for m in METRICS[1:]})
    before, after = numbers(full), numbers(drop(full, metric, 3, 2, status))
    asked = {
        "IF": {"marginal_success", "turn_success", "overall"},
        "GA": {"global_awareness", "cumulative_awareness"},
        "destroyed": {"collapse"},
        "quality": {"quality_drift"},
    }.get(metric, {"content_consistency", "overall"})
    looking_back = {"turn_success", "cumulative_awareness", "collapse", "overall"}
    for name in METRIC_NAMES:
        for turn in ("1", "2", "3", "4"):
            reached = turn == "2" or (turn > "2" and name in looking_back)
            if name not in asked or not reached:
                kept = ("value", "n", "of", "at_least", "at_most")
                assert {k: before[name][turn][k] for k in kept} == {k: after[name][turn][k] for k in kept}
    direct = {"IF": "marginal_success", "GA": "global_awareness", "quality": "quality_drift"}.get(metric)
    if direct:
        assert after[direct]["2"]["n"] == 29
        others = np.delete(np.arange(30), 3)
        column = full.values[metric][others, 1]
        expected = {"marginal_success": (column > 0.5).mean(), "quality_drift": 1 - column.mean()}
        assert after[direct]["2"]["value"] == pytest.approx(100 * expected.get(direct, column.mean()))


@pytest.mark.parametrize("status", GAPS)
def test_turn_success_keeps_known_failures_and_never_invents_successes(status):
    """Failed before or after the gap: failed. Otherwise undetermined, not a success of a shorter session."""
    table = plain_table([[1, 1, 1], [0, 1, 1], [1, 1, 0], [1, 1, 1]])
    for row in range(3):
        table = drop(table, "IF", row, 2, status)
    cells = numbers(table)["turn_success"]
    assert [(cells[k]["value"], cells[k]["n"]) for k in "123"] == [
        (75.0, 4),
        (50.0, 2),  # row 1 failed at turn 1; rows 0 and 2 undetermined; row 3 succeeded
        (pytest.approx(100 / 3), 3),  # row 2 failed at turn 3
    ]


def test_cumulative_awareness_is_undetermined_after_a_gap_unless_already_0():
    table = plain_table(np.ones((3, 3)), GA=[[1, 1, 0.5], [0, 1, 1], [1, 1, 0]])
    for row in range(3):
        table = drop(table, "GA", row, 2, "refused")
    cells = numbers(table)["cumulative_awareness"]
    assert [(cells[k]["value"], cells[k]["n"]) for k in "123"] == [
        (pytest.approx(200 / 3), 3),
        (0.0, 1),
        (0.0, 2),
    ]


def test_collapse_needs_two_in_a_row_and_stays():
    destroyed = [[1, 0, 1, 1, 0], [1, 0, 1, 0, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]]
    cells = numbers(plain_table(np.ones((4, 5)), destroyed=destroyed))["collapse"]
    assert [cells[k]["value"] for k in "12345"] == [0.0, 25.0, 25.0, 50.0, 50.0]


@pytest.mark.parametrize("status", GAPS)
def test_nothing_scored_is_null_not_zero(status):
    table = plain_table(np.ones((5, 2)), GA=np.ones((5, 2)))
    for row in range(5):
        for turn in (1, 2):
            table = drop(drop(table, "IF", row, turn, status), "GA", row, turn, status)
    for name, turns in numbers(table).items():
        for cell in turns.values():
            assert (cell["value"], cell["low"], cell["high"], cell["n"], cell["of"]) == (None,) * 3 + (0, 5)
            known = (0.0, 100.0) if status in UNKNOWN else (None, None)
            asked = name in {"marginal_success", "turn_success", "global_awareness", "cumulative_awareness"}
            assert (cell["at_least"], cell["at_most"]) == (known if asked else (None, None))


def test_what_is_legitimately_not_scored_does_not_widen_the_bounds():
    table = plain_table(np.ones((10, 2)))
    cell = numbers(drop(table, "IF", 0, 1, "not_applicable"))["marginal_success"]["1"]
    assert (cell["at_least"], cell["at_most"], cell["n"]) == (100.0, 100.0, 9)
    cell = numbers(drop(table, "IF", 0, 1, "error"))["marginal_success"]["1"]
    assert (cell["at_least"], cell["at_most"], cell["n"]) == (90.0, 100.0, 9)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**9),
    scored=st.floats(0, 1),
    repeats=st.integers(1, 3),
    consistency=st.sampled_from(["edival", "mice"]),
)
def test_bounds_bracket_every_value(seed, scored, repeats, consistency):
    table = random_table(seed, sessions=8, scored=scored, repeats=repeats)
    found = summarize(table, consistency=consistency, resamples=100)
    for metrics in (found["metrics"], *found["tracks"].values(), found["edit_types_by_turn"]):
        for turns in metrics.values():
            for cell in turns.values():
                assert 0 <= cell["n"] <= cell["of"]
                if cell["value"] is not None:
                    assert 0 <= cell["at_least"] <= cell["value"] <= cell["at_most"] <= 100


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**9), truth=st.integers(0, 10**9))
def test_the_bounds_hold_whatever_the_unknown_verdicts_would_have_been(seed, truth):
    table = random_table(seed, sessions=8, repeats=2)
    rng = np.random.default_rng(truth)
    values, status = dict(table.values), dict(table.status)
    for metric in METRICS:
        unknown = np.isin(table.status[metric], [STATUS_CODES.index(s) for s in UNKNOWN]) & table.exists
        values[metric] = np.where(unknown, rng.choice([0.0, 0.5, 1.0], table.exists.shape), values[metric])
        status[metric] = np.where(unknown, STATUS_CODES.index("ok"), status[metric]).astype(np.int8)
    known = numbers(replace(table, values=values, status=status))
    for name, turns in numbers(table).items():
        for turn, cell in turns.items():
            value = known[name][turn]["value"]
            if value is not None:
                assert cell["at_least"] - 1e-9 <= value <= cell["at_most"] + 1e-9
