"""Every value, n, of and bound equals that of an independent implementation, to 1e-9."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micebench.metrics import summarize
from tests.metrics import brute_force as brute
from tests.metrics.random_tables import random_table


def close(ours, theirs):
    """`ours` in percent, `theirs` a share."""
    if ours is None or theirs is None:
        return ours is None and theirs is None
    return abs(ours - 100 * theirs) < 1e-9 * 100


def check(table, consistency):
    found = summarize(table, consistency=consistency, resamples=100)
    rows = brute.rows_of(table)
    parts = [("all", rows, found["metrics"])]
    parts += [(name, [r for r in rows if r["track"] == name], metrics) for name, metrics in found["tracks"].items()]
    assert sorted(found["tracks"]) == sorted({row["track"] for row in rows})
    for group, own, metrics in parts:
        for name in brute.NAMES:
            for k in range(1, table.width + 1):
                cell, where = metrics[name][str(k)], (group, name, k)
                value, n = brute.metric(own, name, k, consistency)
                assert close(cell["value"], value), (where, cell, value)
                assert cell["n"] == n, (where, cell, n)
                assert cell["of"] == len({r["session"] for r in own if r["turns"] >= k}), where
                least, most = brute.bounds(own, name, k, consistency)
                assert close(cell["at_least"], least), (where, cell, least)
                assert close(cell["at_most"], most), (where, cell, most)
    kinds = {t for row in rows for t in row["types"][: row["turns"]]} - {""}
    assert kinds <= set(found["edit_types"])
    for kind in kinds:
        by_turn = found["edit_types_by_turn"][kind]
        cells = [(found["edit_types"][kind], range(1, table.width + 1))]
        cells += [(by_turn[str(k)], [k]) for k in range(1, table.width + 1)]
        for cell, turns in cells:
            value, n, of = brute.edit_type(rows, kind, turns)
            assert close(cell["value"], value)
            assert (cell["n"], cell["of"]) == (n, of)
    assert found["first_failure"] == brute.first_failures(rows, table.width)
    assert sum(found["first_failure"].values()) == table.rows


@pytest.mark.parametrize("consistency", ["edival", "mice"])
@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("scored", [0.95, 0.6, 0.1])
def test_random_tables(consistency, repeats, scored):
    for seed in range(4):
        check(random_table(seed, repeats=repeats, scored=scored), consistency)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**9),
    sessions=st.integers(1, 12),
    width=st.integers(1, 6),
    repeats=st.integers(1, 3),
    scored=st.floats(0, 1),
    consistency=st.sampled_from(["edival", "mice"]),
)
def test_any_table(seed, sessions, width, repeats, scored, consistency):
    check(random_table(seed, sessions, width, repeats, scored), consistency)


def test_a_judge_of_few_metrics():
    for metrics in (("IF",), ("GA",), ("CC.object",), ("CC.background", "IF"), ("destroyed",), ()):
        for consistency in ("edival", "mice"):
            table = random_table(3, metrics=metrics)
            found = summarize(table, consistency=consistency, resamples=100)
            rows = brute.rows_of(table)
            for name in brute.NAMES:
                value, n = brute.metric(rows, name, 1, consistency)
                cell = found["metrics"][name]["1"]
                assert close(cell["value"], value)
                assert (cell["n"], cell["of"]) == (n, 20)


def test_turns_beyond_one_chunk_of_sessions(monkeypatch):
    """Long runs are summed piece by piece; the pieces must add up."""
    monkeypatch.setattr("micebench.metrics.aggregation.CHUNK_SESSIONS", 3)
    check(random_table(5, sessions=25, repeats=2), "edival")


def test_coverage_counts_every_verdict_once():
    table = random_table(1, sessions=30, repeats=2)
    for metric, statuses in summarize(table, resamples=100)["coverage"].items():
        assert sum(statuses.values()) == int(table.turns.sum())
        for status, count in statuses.items():
            rows = brute.rows_of(table)
            verdicts = [v for row in rows for (m, _), v in row["verdicts"].items() if m == metric]
            assert count == sum(s == status for s, _ in verdicts)
