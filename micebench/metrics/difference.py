"""The difference of two runs as a statistic of shared sums, and its limits."""

from collections.abc import Sequence

import numpy as np

from micebench.metrics.aggregation import Sums
from micebench.metrics.intervals import Interval, all_equal_interval
from micebench.metrics.ratios import Layout
from micebench.metrics.verdict_table import BoolArray, FloatArray


def difference(numerators: FloatArray, denominators: FloatArray, plan: Layout, used: BoolArray) -> FloatArray:
    """(..., 2 m) sums of [a, b] -> (..., cells) b minus a."""
    first, second = both(numerators, denominators, plan, used)
    return second - first


def both(
    numerators: FloatArray, denominators: FloatArray, plan: Layout, used: BoolArray
) -> tuple[FloatArray, FloatArray]:
    m = len(plan.ratios)
    return (
        plan.evaluate(numerators[..., :m], denominators[..., :m], used),
        plan.evaluate(numerators[..., m:], denominators[..., m:], used),
    )


def difference_limits(
    plan: Layout, sums: Sums, interval: Interval, p: FloatArray, level: float
) -> tuple[FloatArray, FloatArray]:
    """(cells,) limits in [-1, 1] of b minus a: BCa, mended where BCa is known to claim too much.

    Where all resamples are equal, a ratio's limits are what n equal differences allow, a mean of parts takes
    the mean of its parts' limits, and sqrt(S * C) lies within what either run's value gains when its S and C
    rise by what n equal sessions allow.

    Where the permutation test does not reject at this level, limits on one side of 0 are extended to 0. With
    few changed sessions, all in one direction, the bootstrap excludes 0 far too often; the test is exact, so
    that two equal editors are told apart in at most 1 - level of all comparisons.
    """
    width = len(plan.ratios)
    low, high = interval.low.copy(), interval.high.copy()
    means = both(sums.numerators, sums.denominators, plan, sums.used(plan))
    flat, used = interval.flat, sums.used(plan)
    equal = all_equal_interval(interval.value[:width], sums.scored[:width], level, lowest=-1.0)
    slack = all_equal_interval(np.zeros(len(plan.cells)), sums.scored, level)[1]
    for limit, substitute, sign in zip((low, high), equal, (-1.0, 1.0), strict=True):
        limit[:width] = np.where(flat[:width], substitute, limit[:width])
        for place, composite in enumerate(plan.composites, start=width):
            parts = [part for part in composite.parts if used[part]]
            if composite.root is None and any(flat[part] for part in parts):
                limit[place] = np.mean([limit[part] for part in parts])
            elif composite.root is not None and flat[place]:
                reach = max(
                    _reach(mean[composite.root], [mean[part] for part in parts], slack[place]) for mean in means
                )
                limit[place] = interval.value[place] + sign * reach
    undecided = p >= 1.0 - level - 1e-12
    low, high = np.where(undecided, np.minimum(low, 0.0), low), np.where(undecided, np.maximum(high, 0.0), high)
    few = sums.scored < 2
    return np.where(few, np.nan, np.clip(low, -1.0, 1.0)), np.where(few, np.nan, np.clip(high, -1.0, 1.0))


def _reach(root: float, parts: Sequence[float], slack: float) -> float:
    """How far sqrt(root * mean of parts) rises when both factors rise by `slack`, at most to 1."""
    mean = sum(parts) / len(parts)
    return float(np.sqrt(min(root + slack, 1.0) * min(mean + slack, 1.0)) - np.sqrt(root * mean))
