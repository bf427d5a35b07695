"""Two runs are compared session by session, and what cannot be paired is named."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from micebench.metrics import METRIC_NAMES, STATUS_CODES, Resampling, match, paired, summarize
from tests.metrics.random_tables import plain_table, random_table

FAST = Resampling(resamples=200)


def renamed(table, names):
    return replace(table, sessions=np.array(names))


def compared(a, b, **options):
    return paired(a, b, permutations=options.pop("permutations", 199), how=FAST, **options)


def test_values_are_those_of_each_run_where_nothing_is_missing():
    rng = np.random.default_rng(0)
    arrays = [{"CC_object": rng.random((40, 3)), "GA": rng.random((40, 3))} for _ in range(2)]
    a, b = (plain_table(rng.random((40, 3)) < 0.7, **more) for more in arrays)
    own = [summarize(table, resamples=100)["metrics"] for table in (a, b)]
    for name, turns in compared(a, b)["metrics"].items():
        for turn, cell in turns.items():
            values = [run[name][turn]["value"] for run in own]
            assert [cell["a"], cell["b"]] == pytest.approx(values)
            if values[0] is not None:
                assert cell["difference"] == pytest.approx(values[1] - values[0])


def test_swapping_the_runs_flips_the_sign():
    a, b = random_table(0, sessions=40), random_table(0, sessions=40, scored=0.9)
    there, back = compared(a, b), compared(b, a)
    for name, turns in there["metrics"].items():
        for turn, cell in turns.items():
            other = back["metrics"][name][turn]
            assert (cell["n"], cell["of"]) == (other["n"], other["of"])
            for mine, theirs in (("difference", "difference"), ("low", "high"), ("high", "low")):
                if cell[mine] is not None:
                    assert cell[mine] == pytest.approx(-other[theirs], abs=1.5)  # quantiles of one draw
    assert there["flipped"]["gained"] == back["flipped"]["lost"]


def test_a_session_counts_only_where_both_runs_are_scored():
    a = plain_table([[1], [0], [1], [1]])
    b = plain_table([[1], [1], [0], [0]])
    status = b.status["IF"].copy()
    status[3, 0] = STATUS_CODES.index("error")
    b = replace(b, status={"IF": status}, values={"IF": np.where(status == 0, b.values["IF"], 0.0)})
    cell = compared(a, b)["metrics"]["marginal_success"]["1"]
    assert (cell["n"], cell["of"]) == (3, 4)
    assert [cell["a"], cell["b"]] == pytest.approx([200 / 3, 200 / 3])


def test_unmatched_and_changed_sessions_are_named_and_left_out():
    table = plain_table([[1], [0], [1], [1]])
    a, b = renamed(table, ["p", "q", "r", "s"]), renamed(table, ["q", "r", "s", "t"])
    b = replace(b, edit_types=np.array([[""], ["color_alter"], [""], [""]]))
    found = compared(a, b, differing=["s"])
    assert (found["only_a"], found["only_b"], found["changed"]) == (["p"], ["t"], ["r", "s"])
    assert (found["n_a"], found["n_b"], found["n_paired"]) == (4, 4, 1)
    assert found["metrics"]["marginal_success"]["1"]["of"] == 1
    assert match(a, b).shared == ("q", "s")
    with pytest.raises(ValueError, match="share no session"):
        compared(a, renamed(table, ["w", "x", "y", "z"]))


def test_flipped_sessions_are_those_whose_last_turn_changed_sides():
    a = plain_table([[1, 1], [1, 1], [0, 1], [1, 0], [1, 1]])
    b = plain_table([[1, 1], [1, 0], [1, 1], [0, 0], [0, 1]])
    found = compared(a, b)["flipped"]
    assert found == {"gained": ["s0002"], "lost": ["s0004", "s0001"], "n": 5, "of": 5}


def test_flipped_sessions_come_with_the_largest_change_first():
    """The earlier failure first, then the larger loss of consistency, then the id."""
    a = plain_table(np.ones((4, 3)), CC_object=np.ones((4, 3)))
    kept = np.ones((4, 3))
    kept[1, 2] = 0.4
    b = plain_table([[1, 1, 0], [1, 1, 0], [0, 1, 1], [1, 1, 0]], CC_object=kept)
    assert compared(a, b)["flipped"]["lost"] == ["s0002", "s0001", "s0000", "s0003"]
    assert compared(b, a)["flipped"]["gained"] == ["s0002", "s0001", "s0000", "s0003"]


def with_status(table, metric, row, turn, word):
    status = {name: array.copy() for name, array in table.status.items()}
    status[metric][row, turn] = STATUS_CODES.index(word)
    values = {name: np.where(status[name] == 0, array, 0.0) for name, array in table.values.items()}
    return replace(table, status=status, values=values)


def test_missing_counts_what_nobody_knows_and_not_what_cannot_be_measured():
    parts = {"CC_object": np.full((6, 2), 0.5), "CC_background": np.full((6, 2), 0.5)}
    a = plain_table([[1, 1], [1, 1], [1, 1], [0, 1], [1, 1], [1, 1]], **parts)
    b = with_status(a, "IF", 0, 0, "error")
    b = with_status(b, "IF", 3, 1, "unparsed")
    b = with_status(b, "CC.object", 1, 1, "not_applicable")
    b = with_status(b, "CC.background", 2, 1, "refused")
    b = with_status(b, "CC.background", 4, 1, "missing")
    found = compared(a, b)["metrics"]
    assert [found["marginal_success"][turn]["missing"] for turn in "12"] == [1, 1]
    # session 3 failed in turn 1: its turn success is known, whatever turn 2 would have been
    assert [found["turn_success"][turn]["missing"] for turn in "12"] == [1, 1]
    assert [found["content_consistency"][turn]["missing"] for turn in "12"] == [0, 2]
    assert [found["overall"][turn]["missing"] for turn in "12"] == [1, 2]
    turned = compared(b, a)["metrics"]
    assert turned["overall"]["2"]["missing"] == 2


def test_p_is_the_exact_sign_flip_p():
    """Eight sessions: all 256 swaps can be listed, also for overall."""
    rng = np.random.default_rng(1)
    a, b = (
        plain_table(rng.random((8, 1)) < 0.6, CC_object=rng.random((8, 1)), CC_background=rng.random((8, 1)))
        for _ in range(2)
    )
    terms = [np.hstack([t.values[m] for m in ("IF", "CC.object", "CC.background")]) for t in (a, b)]

    def overall(rows):
        success, first, second = rows.mean(axis=0)
        return np.sqrt(success * (first + second) / 2)

    def exact(statistic):
        found = []
        for swaps in product([False, True], repeat=8):
            swapped = np.array(swaps)[:, None]
            one, other = np.where(swapped, terms[1], terms[0]), np.where(swapped, terms[0], terms[1])
            found.append(abs(statistic(other) - statistic(one)))
        return np.mean(np.array(found) >= abs(statistic(terms[1]) - statistic(terms[0])) - 1e-12)

    metrics = compared(a, b, permutations=20_000)["metrics"]
    for name, statistic in (("overall", overall), ("marginal_success", lambda rows: rows[:, 0].mean())):
        assert metrics[name]["1"]["p"] == pytest.approx(exact(statistic), abs=0.015)


def test_equal_runs_differ_by_nothing_but_not_with_certainty():
    table = random_table(2, sessions=60)
    found = compared(table, table)
    for metrics in (found["metrics"], *found["tracks"].values()):
        for turns in metrics.values():
            for cell in turns.values():
                if cell["n"] >= 2:
                    assert (cell["difference"], cell["p"], cell["mde"]) == (0.0, 1.0, None)
                    assert cell["low"] < 0 < cell["high"]
    assert found["flipped"]["gained"] == found["flipped"]["lost"] == []


def test_few_changes_in_one_direction_are_no_difference():
    """Four of 240 sessions lost, none gained: p = 1/8, so the interval must not exclude 0."""
    before = np.ones((240, 1))
    after = before.copy()
    after[:4] = 0
    cell = compared(plain_table(before), plain_table(after), permutations=1999)["metrics"]["turn_success"]["1"]
    assert cell["p"] > 0.05
    assert cell["low"] < 0.0 == cell["high"]


def test_a_clear_regression_is_found_and_the_detectable_effect_is_right():
    rng = np.random.default_rng(0)
    found = []
    n, rate = 200, 0.5
    for seed in range(40):
        before = rng.random((n, 1)) < rate
        after = np.where(rng.random((n, 1)) < 0.3, rng.random((n, 1)) < rate, before)
        how = Resampling(resamples=100, seed=seed)
        cell = paired(plain_table(before), plain_table(after), permutations=99, how=how)["metrics"]
        found.append(cell["marginal_success"]["1"]["mde"])
    # a session differs by +-1 with probability 0.15 in all: sd of the mean sqrt(0.15 / n)
    assert np.mean(found) == pytest.approx(100 * 2.8016 * np.sqrt(0.15 / n), rel=0.05)
    worse = np.where(np.arange(n)[:, None] < 40, 0.0, before)
    cell = compared(plain_table(before), plain_table(worse))["metrics"]["marginal_success"]["1"]
    assert cell["high"] < 0
    assert cell["p"] < 0.05


def test_repeats_are_averaged_within_their_session():
    once = [plain_table(np.random.default_rng(seed).random((30, 2)) < 0.6) for seed in (0, 1)]
    often = [table.select(np.repeat(np.arange(30), 4)) for table in once]
    first, second = compared(*once), compared(*often)
    assert second["metrics"] == first["metrics"]
    mixed = compared(once[0], often[1])
    assert mixed["metrics"] == first["metrics"]
    assert set(first["metrics"]) == set(METRIC_NAMES)


def test_edit_types_are_paired_edit_by_edit():
    kinds = np.array([["color_alter", "color_alter"], ["color_alter", "text_change"]])
    a = replace(plain_table([[1, 1], [1, 0]]), edit_types=kinds)
    b = replace(plain_table([[0, 1], [1, 0]]), edit_types=kinds)
    status = b.status["IF"].copy()
    status[0, 1] = STATUS_CODES.index("refused")
    b = replace(b, status={"IF": status}, values={"IF": np.where(status == 0, b.values["IF"], 0.0)})
    cell = compared(a, b)["edit_types"]["color_alter"]
    assert [cell["a"], cell["b"], cell["n"], cell["of"]] == [100.0, 50.0, 2, 3]
