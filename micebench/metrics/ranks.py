"""Ranks that say what the data can tell: a range of places for each of many runs over the same sessions.

A table of many models invites many comparisons, and the best of equals always looks better than it is. So runs
are compared pair by pair on the same sessions, all pairs of a table are tested together, and a place is given up
only where a difference stands against all of them (Mogstad, Romano, Shaikh and Wilhelm 2024, "Inference for
Ranks"; step-down after Romano and Wolf 2005).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from micebench.metrics.aggregation import add_up, chunks, totals
from micebench.metrics.clusters import clusters
from micebench.metrics.outcomes import Consistency, Side
from micebench.metrics.ratios import Key, layout
from micebench.metrics.verdict_table import BoolArray, FloatArray, VerdictTable

FLIPS = 1999
_PAIRS_PER_BLOCK = 1 << 18
_SAME = 1e-12  # of the squared norms: below this, two runs do not differ in any session


class RankRange(NamedTuple):
    """The best and the worst place (1 = best) that a run may have; equal where it is known."""

    best: int
    worst: int


@dataclass(frozen=True)
class PseudoValues:
    """What each session contributes to one number of a run.

    Attributes:
        value: the number, in [0, 1].
        ids: (S,) session ids, sorted.
        terms: (S,) jackknife pseudo-values n * value - (n - 1) * value without that session (Tukey 1958); for a
            plain mean the sessions' own values. A session that is not scored contributes the value itself.
    """

    value: float
    ids: tuple[str, ...]
    terms: FloatArray


def pseudo_values(
    table: VerdictTable, name: str, turn: int, *, consistency: Consistency, side: Side = "value"
) -> PseudoValues | None:
    """The pseudo-values of metric `name` at `turn`; None where the run has no such number.

    `side`: ``at_least`` and ``at_most`` give those of its bounds, with every unknown verdict at its worst or best.
    """
    table = replace(table, edit_types=np.full_like(table.edit_types, ""))  # no columns by edit type
    grouped, plan = clusters(table), layout(table, consistency)
    if Key(name, turn) not in plan.cells:
        return None
    cell = plan.cells.index(Key(name, turn))
    groups = range(len(grouped.names))
    pieces = list(chunks(table, grouped, plan, side))
    whole = add_up(totals(pieces, plan, len(groups)), list(groups), plan)
    used = whole.used(plan)
    value = float(plan.evaluate(whole.numerators, whole.denominators, used)[cell])
    if np.isnan(value):
        return None
    left = [
        plan.evaluate(
            np.maximum(whole.numerators - piece.numerators, 0.0), whole.denominators - piece.denominators, used
        )[:, cell]
        for piece in pieces
    ]
    deviation = np.nan_to_num(value - np.concatenate(left))
    order = sorted(range(len(grouped.ids)), key=lambda place: grouped.ids[place])
    terms = value + (len(grouped.ids) - 1) * deviation
    return PseudoValues(value, tuple(grouped.ids[place] for place in order), terms[order])


def rank_ranges(
    runs: Sequence[PseudoValues],
    *,
    lower_is_better: bool = False,
    level: float = 0.95,
    flips: int = FLIPS,
    seed: int = 0,
) -> list[RankRange]:
    """A range of places for each run. With probability `level` all of them hold at once.

    Raises:
        ValueError: the runs are not over the same sessions.
    """
    if len({run.ids for run in runs}) > 1:
        raise ValueError("ranks need runs over the same sessions")
    if not runs:
        return []
    ahead = told_apart(np.stack([run.terms for run in runs]), level=level, flips=flips, seed=seed)
    if lower_is_better:
        ahead = ahead.T
    return [
        RankRange(1 + int(better), len(runs) - int(worse))
        for better, worse in zip(ahead.sum(axis=0), ahead.sum(axis=1), strict=True)
    ]


def told_apart(terms: FloatArray, *, level: float = 0.95, flips: int = FLIPS, seed: int = 0) -> BoolArray:
    """(M, M) from (M, S) pseudo-values: entry [a, b] says that run a's number is larger than run b's.

    The statistic of a pair is |sum of its paired differences d| / sqrt(sum of d squared): at most sqrt(k) for k
    sessions that differ, so that a few lucky sessions prove nothing. Its distribution, jointly for all pairs,
    comes from flipping the sign of whole sessions, in all pairs alike; the largest over all pairs is what a
    difference has to beat. Pairs that do are set aside and the rest is tested again, until nothing changes.
    """
    runs, sessions = terms.shape
    terms = terms - terms.mean(axis=0)  # the same for all runs of a session: no difference changes
    product = terms @ terms.T
    square = np.diag(product)
    norm = square[:, None] + square[None, :] - 2.0 * product
    same = norm <= _SAME * np.maximum(square[:, None] + square[None, :], 1.0)
    scale = np.where(same, 0.0, 1.0 / np.sqrt(np.where(same, 1.0, norm)))
    total = terms.sum(axis=1)
    gap = (total[:, None] - total[None, :]) * scale
    signs = np.random.default_rng([seed, 2]).integers(0, 2, (flips, sessions), dtype=np.int8)
    flipped = (2.0 * signs - 1.0) @ terms.T
    found = np.zeros((runs, runs), dtype=np.bool_)
    while True:
        new = ~found & ~found.T & (gap >= _beaten_by_few(flipped, np.where(found | found.T, 0.0, scale), level))
        new &= gap > 0
        if not new.any():
            return found
        found |= new


def _beaten_by_few(flipped: FloatArray, scale: FloatArray, level: float) -> float:
    """The value that the largest statistic of the pairs with a scale reaches in at most 1 - level of the flips.

    The data as they are count as one of the flips, as in every permutation test.
    """
    block = max(1, _PAIRS_PER_BLOCK // scale.size)
    pieces = (flipped[start : start + block] for start in range(0, len(flipped), block))
    largest = np.concatenate(
        [np.abs((piece[:, :, None] - piece[:, None, :]) * scale).max(axis=(1, 2)) for piece in pieces]
    )
    allowed = int((1.0 - level) * (len(largest) + 1) + 1e-9) - 1
    if allowed < 0:
        return float("inf")
    return float(np.sort(largest)[len(largest) - 1 - allowed] + 1e-9)
