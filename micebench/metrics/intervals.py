"""95 % intervals: the BCa bootstrap over sessions (Efron 1987, "Better Bootstrap Confidence Intervals").

Own implementation, because all numbers of a run (every metric, turn, track, and sqrt(S * C)) must share the
same resamples, and because a resample of sums is a matrix product: (B, S) session counts @ (S, m) terms.

Two things make it exact and reproducible: terms are rounded to multiples of 2^-30, so that the products are
exact in float64 whatever order a BLAS adds them in (up to 8 million sessions); and sessions are drawn piece
by piece, multinomial over pieces and uniform within, which is the same distribution as drawing them at once
while the memory stays bounded.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from micebench.metrics.aggregation import Columns
from micebench.metrics.verdict_table import BoolArray, FloatArray, IntArray

Statistic = Callable[[FloatArray, FloatArray], FloatArray]
"""(..., m) numerators, (..., m) denominators -> (..., cells); NaN where undefined."""
Pieces = Callable[[], Iterable[Columns]]
"""The sessions' terms; called twice, and yields the same pieces both times."""

_GRID = 2.0**30
_COUNTS_PER_BLOCK = 1 << 18  # 2 MiB of float64 counts: stays in cache, and memory flat
_TIE = 1e-9
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Resampling:
    """How intervals are made: number of resamples, seed, level in (0, 1)."""

    resamples: int = 2000
    seed: int = 0
    level: float = 0.95

    def __post_init__(self) -> None:
        if self.resamples < 100 or not 0.0 < self.level < 1.0:
            raise ValueError(f"resamples >= 100 and 0 < level < 1 are needed, got {self}")


class Target(NamedTuple):
    """A statistic over the sessions of some tracks (`groups`: indices of Columns.group)."""

    groups: tuple[int, ...]
    statistic: Statistic


class Interval(NamedTuple):
    """Bootstrap results of one target, all (cells,).

    `value`; `low`, `high` (NaN where undefined); `error`: the jackknife's standard error; `flat`: every
    resample gave the same value, so that the bootstrap knows nothing about the spread.
    """

    value: FloatArray
    low: FloatArray
    high: FloatArray
    error: FloatArray
    flat: BoolArray


def bca(pieces: Pieces, targets: Sequence[Target], plan: Resampling) -> list[Interval]:
    """BCa intervals of all targets on shared resamples of all sessions.

    A resample in which a target's cell has an empty denominator is left out for that cell.
    """
    sizes, sums = _sum_up(pieces)
    rng = np.random.default_rng(plan.seed)
    drawn = _resampled_sums(pieces, sizes, len(sums), plan.resamples, rng)
    moments = _jackknife(pieces, targets, sums)
    found: list[Interval] = []
    for target, moment in zip(targets, moments, strict=True):
        chosen = list(target.groups)
        value = target.statistic(*sums[chosen].sum(axis=0))
        numerators, denominators = drawn[chosen].sum(axis=0).swapaxes(0, 1)
        replicates = target.statistic(numerators, denominators)
        found.append(_bca(value, replicates, moment, plan.level))
    return found


def _snap(terms: FloatArray) -> FloatArray:
    return np.rint(terms * _GRID) / _GRID


def _sum_up(pieces: Pieces) -> tuple[IntArray, FloatArray]:
    """Number of sessions of each piece; (groups, 2, m) sums of the snapped terms."""
    sizes: list[int] = []
    sums: dict[int, FloatArray] = {}
    for group, numerators, denominators in pieces():
        sizes.append(len(numerators))
        both = np.stack([_snap(numerators).sum(axis=0), _snap(denominators).sum(axis=0)])
        sums[group] = sums[group] + both if group in sums else both
    return np.array(sizes, dtype=np.int64), np.stack([sums[group] for group in sorted(sums)])


def _resampled_sums(
    pieces: Pieces, sizes: IntArray, groups: int, resamples: int, rng: np.random.Generator
) -> FloatArray:
    """(groups, resamples, 2, m) sums of each resample of all sessions."""
    total = int(sizes.sum())
    shares = rng.multinomial(total, sizes / total, size=resamples)
    sums: FloatArray | None = None
    for piece, (group, numerators, denominators) in enumerate(pieces()):
        size, width = numerators.shape
        if sums is None:
            sums = np.zeros((groups, resamples, 2, width))
        terms = np.concatenate([_snap(numerators), _snap(denominators)], axis=1)
        block = max(1, _COUNTS_PER_BLOCK // size)
        for start in range(0, resamples, block):
            draws = shares[start : start + block, piece]
            product = _counts(rng, draws, size) @ terms
            sums[group, start : start + block] += product.reshape(len(draws), 2, width)
    assert sums is not None
    return sums


def _counts(rng: np.random.Generator, draws: IntArray, size: int) -> FloatArray:
    """(resamples, size): how often each of `size` sessions comes up among draws[b] uniform draws."""
    index = rng.integers(0, size, int(draws.sum()))
    index += np.repeat(np.arange(len(draws)) * size, draws)
    return np.bincount(index, minlength=len(draws) * size).reshape(len(draws), size).astype(np.float64)


class _Moments(NamedTuple):
    """Of the jackknife deviations theta - theta_(i) over n sessions: sums of powers 1, 2, 3 (3, cells)."""

    sessions: int
    powers: FloatArray


def _jackknife(pieces: Pieces, targets: Sequence[Target], sums: FloatArray) -> list[_Moments]:
    """Leave-one-session-out values in closed form: the sums minus that session's terms."""
    wholes = [sums[list(target.groups)].sum(axis=0) for target in targets]
    values = [target.statistic(*whole) for target, whole in zip(targets, wholes, strict=True)]
    counts = [0] * len(targets)
    powers = [np.zeros((3, len(value))) for value in values]
    for group, numerators, denominators in pieces():
        for place, target in enumerate(targets):
            if group not in target.groups:
                continue
            whole = wholes[place]
            left = target.statistic(
                np.maximum(whole[0] - _snap(numerators), 0.0), np.maximum(whole[1] - _snap(denominators), 0.0)
            )
            deviation = np.nan_to_num(values[place] - left)
            counts[place] += len(deviation)
            square = deviation**2
            powers[place] += np.stack([deviation.sum(axis=0), square.sum(axis=0), (square * deviation).sum(axis=0)])
    return [_Moments(count, power) for count, power in zip(counts, powers, strict=True)]


def _bca(value: FloatArray, replicates: FloatArray, moments: _Moments, level: float) -> Interval:
    """BCa limits from (B, cells) replicates; plain percentiles where the correction is not defined."""
    n = moments.sessions
    first, second, third = moments.powers
    mean = first / n
    spread = np.maximum(second - n * mean**2, 0.0)
    skew = third - 3 * mean * second + 2 * n * mean**3
    with np.errstate(divide="ignore", invalid="ignore"):
        acceleration = np.where(spread > 0, skew / (6.0 * spread**1.5), 0.0)

    ordered = np.sort(replicates, axis=0)  # NaN, if any, comes last
    valid = np.count_nonzero(~np.isnan(ordered), axis=0)
    below = np.count_nonzero(ordered < value - _TIE, axis=0)
    up_to = np.count_nonzero(ordered <= value + _TIE, axis=0)
    with np.errstate(invalid="ignore"):
        share = (below + up_to) / (2.0 * np.maximum(valid, 1))
        extent = ordered[np.maximum(valid - 1, 0), np.arange(len(value))] - ordered[0]
    flat = (valid > 0) & (extent <= _TIE)
    tails = ((1.0 - level) / 2.0, (1.0 + level) / 2.0)
    limits = np.full((2, len(value)), np.nan)
    for cell in np.flatnonzero((valid > 0) & ~np.isnan(value)):
        for side, tail in enumerate(tails):
            at = _adjusted(tail, float(share[cell]), float(acceleration[cell])) * (valid[cell] - 1)
            lower = int(at)
            upper = min(lower + 1, int(valid[cell]) - 1)
            near, far = ordered[lower, cell], ordered[upper, cell]
            limits[side, cell] = near + (at - lower) * (far - near)
    error = np.sqrt(max(n - 1, 0) / n * spread)
    return Interval(value, limits[0], limits[1], error, flat)


def _adjusted(tail: float, share: float, acceleration: float) -> float:
    """BCa's percentile for a nominal tail; `share` of the replicates lies below the value, ties half."""
    if not 0.0 < share < 1.0:
        return tail
    bias = _NORMAL.inv_cdf(share)
    shifted = bias + _NORMAL.inv_cdf(tail)
    scale = 1.0 - acceleration * shifted
    return _NORMAL.cdf(bias + shifted / scale) if scale > 0.0 else tail


def all_equal_interval(
    value: FloatArray, sessions: IntArray, level: float, lowest: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Limits of a mean when all n sessions had the same value, in [lowest, 1].

    Resampling equal values gives an interval of no width, which would claim certainty. But n equal values
    out of n say, with confidence `level`, that at least a share L = ((1 - level) / 2)^(1/n) of all sessions
    has that value (Clopper & Pearson 1934); the others may lie anywhere in [lowest, 1]. For success rates
    of 0 or 100 % this is the Clopper-Pearson interval.
    """
    share = ((1.0 - level) / 2.0) ** (1.0 / np.maximum(sessions, 1))
    return share * value + (1.0 - share) * lowest, share * value + (1.0 - share)
