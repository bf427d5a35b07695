"""BCa as published, and no certainty where the data give none."""

import numpy as np
import pytest

from micebench.metrics import Resampling, summarize
from micebench.metrics.aggregation import Columns
from micebench.metrics.intervals import Target, bca
from tests.metrics.random_tables import plain_table


def mean_interval(samples, how, pieces=1):
    """Our BCa interval of plain means; `samples` (n, columns), optionally delivered in pieces."""
    parts = [Columns(0, part, np.ones_like(part)) for part in np.array_split(samples, pieces)]
    return bca(lambda: parts, [Target((0,), lambda a, b: a / b)], how)[0]


def test_agrees_with_scipy_on_plain_means():
    from scipy.stats import bootstrap

    rng = np.random.default_rng(0)
    n = 120
    samples = np.stack(
        [rng.random(n) < 0.8, rng.random(n) < 0.07, rng.beta(8, 1, n), rng.random(n) ** 6], axis=1
    ).astype(float)
    for level in (0.95, 0.8):
        ours = mean_interval(samples, Resampling(20_000, 1, level))
        for column in range(samples.shape[1]):
            theirs = bootstrap(
                (samples[:, column],), np.mean, n_resamples=20_000, method="BCa", rng=2, confidence_level=level
            ).confidence_interval
            width = theirs.high - theirs.low
            # Monte-Carlo error of a 2.5 % limit from 20,000 resamples is about 0.7 % of the width; and a
            # proportion's limits lie on a grid of 1/n
            grid = 1 / n if column < 2 else 0.0
            assert abs(ours.low[column] - theirs.low) < 0.03 * width + grid
            assert abs(ours.high[column] - theirs.high) < 0.03 * width + grid


def test_acceleration_and_standard_error_are_the_jackknifes():
    from micebench.metrics.intervals import _jackknife, _sum_up

    samples = np.random.default_rng(0).beta(2, 5, (50, 1))
    parts = [Columns(0, part, np.ones_like(part)) for part in np.array_split(samples, 3)]
    target = Target((0,), lambda a, b: a / b)
    moments = _jackknife(lambda: parts, [target], _sum_up(lambda: parts)[1])[0]
    left_out = np.array([np.delete(samples, i).mean() for i in range(50)])
    for power in (1, 2, 3):
        assert moments.powers[power - 1, 0] == pytest.approx(
            ((samples.mean() - left_out) ** power).sum(), rel=1e-3, abs=1e-12
        )
    error = mean_interval(samples, Resampling()).error[0]
    assert error == pytest.approx(samples.std(ddof=1) / np.sqrt(50), rel=1e-6)


def test_drawing_sessions_in_pieces_is_drawing_them_at_once():
    """Mean and variance of the resampled means do not depend on the pieces."""
    samples = np.random.default_rng(0).beta(2, 5, (300, 1))
    whole, pieces = (mean_interval(samples, Resampling(20_000), pieces=k) for k in (1, 7))
    width = whole.high - whole.low
    assert abs(whole.low - pieces.low) < 0.03 * width
    assert abs(whole.high - pieces.high) < 0.03 * width


@pytest.mark.parametrize("n", [2, 10, 720])
def test_all_sessions_perfect_is_not_certainty(n):
    """0 and 100 %: Clopper and Pearson's limits; overall takes its parts' limits through its formula."""
    from scipy.stats import binomtest

    exact = binomtest(n, n).proportion_ci(0.95, method="exact")
    ones = np.ones((n, 2))
    found = summarize(plain_table(ones, CC_object=ones, CC_background=ones, GA=ones), resamples=200)
    for name in ("marginal_success", "turn_success", "content_consistency", "overall", "global_awareness"):
        cell = found["metrics"][name]["2"]
        assert cell["value"] == 100.0
        assert cell["low"] == pytest.approx(100 * exact.low)
        assert cell["high"] == 100.0
    worst = summarize(plain_table(0 * ones, CC_object=ones, CC_background=ones), resamples=200)["metrics"]
    assert worst["turn_success"]["2"]["low"] == 0.0
    assert worst["turn_success"]["2"]["high"] == pytest.approx(100 * (1 - exact.low))
    assert worst["overall"]["2"]["value"] == 0.0
    assert worst["overall"]["2"]["high"] == pytest.approx(100 * np.sqrt(1 - exact.low))


def test_one_certain_part_does_not_hide_in_a_composite():
    """Every session succeeds, consistency varies: overall must not be narrower than success allows."""
    rng = np.random.default_rng(0)
    parts = rng.beta(40, 1, (50, 1))
    found = summarize(plain_table(np.ones((50, 1)), CC_object=parts, CC_background=parts))["metrics"]
    success, overall = found["turn_success"]["1"], found["overall"]["1"]
    assert overall["low"] <= np.sqrt(success["low"] * found["content_consistency"]["1"]["low"]) + 1e-9


def test_one_session_has_no_interval_and_none_has_no_number():
    one = summarize(plain_table([[1, 0]]), resamples=100)["metrics"]["marginal_success"]
    assert (one["1"]["value"], one["1"]["low"], one["1"]["high"], one["1"]["n"]) == (100.0, None, None, 1)
    none = summarize(plain_table(np.zeros((0, 2))), resamples=100)
    assert none["n_sessions"] == 0
    assert none["tracks"] == {}
    assert none["metrics"]["overall"]["1"] == {
        "value": None, "low": None, "high": None, "n": 0, "of": 0, "at_least": None, "at_most": None,
    }  # fmt: skip


def test_repeats_do_not_narrow_the_interval():
    """Ten runs of the same twenty sessions are twenty sessions, not two hundred."""
    once = plain_table(np.random.default_rng(0).random((20, 1)) < 0.6)
    often = once.select(np.repeat(np.arange(20), 10))
    first, second = (summarize(table)["metrics"]["marginal_success"]["1"] for table in (once, often))
    assert second == pytest.approx(first)


def test_intervals_stay_within_percent_and_around_the_value():
    rng = np.random.default_rng(0)
    for n in (2, 3, 5, 30):
        for p in (0.05, 0.5, 0.95):
            table = plain_table(rng.random((n, 3)) < p, CC_object=rng.beta(9, 1, (n, 3)))
            for turns in summarize(table, resamples=200)["metrics"].values():
                for cell in turns.values():
                    if cell["low"] is not None:
                        assert 0 <= cell["low"] <= cell["high"] <= 100
