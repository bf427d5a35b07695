"""Do two judges say the same? Counts, Cohen's kappa, and how well one ranks what the other decides.

Both judges answered the same items; a value above 0.5 is a yes. Items of one session are not independent, so that
intervals come from resampling sessions (`intervals`), as everywhere.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from micebench.metrics.aggregation import Columns
from micebench.metrics.intervals import Resampling, Target, bca
from micebench.metrics.verdict_table import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Pairs:
    """N items that both judges scored.

    Attributes:
        a, b: (N,) values in [0, 1]; where one is the reference, it is `b`.
        sessions: (N,) str.
        kinds: (N,) str, edit types; "" where unknown.
    """

    a: FloatArray
    b: FloatArray
    sessions: NDArray[Any]
    kinds: NDArray[Any]

    def __post_init__(self) -> None:
        lengths = {len(self.a), len(self.b), len(self.sessions), len(self.kinds)}
        if len(lengths) != 1:
            raise ValueError(f"arrays of different lengths: {sorted(lengths)}")
        for name, values in (("a", self.a), ("b", self.b)):
            if len(values) and not (values.min() >= 0.0 and values.max() <= 1.0):  # also false for NaN
                raise ValueError(f"{name}: values lie in [0, 1]")


class Confusion(NamedTuple):
    """Counts of (a, b): both yes, only a, only b, both no."""

    both: int
    only_a: int
    only_b: int
    neither: int

    @property
    def n(self) -> int:
        return sum(self)


def confusion(a: FloatArray, b: FloatArray) -> Confusion:
    """Of two (N,) arrays of values."""
    yes_a, yes_b = a > 0.5, b > 0.5
    counts = [
        (one & other).sum() for one, other in ((yes_a, yes_b), (yes_a, ~yes_b), (~yes_a, yes_b), (~yes_a, ~yes_b))
    ]
    return Confusion(*(int(count) for count in counts))


def rates(counts: FloatArray) -> FloatArray:
    """(..., 4) counts as in `Confusion` -> (..., 4): agreement, Cohen's kappa, sensitivity, specificity of a.

    kappa = (p - e) / (1 - e), p the share of equal answers, e the share expected from the marginals (Cohen 1960).
    NaN where undefined: kappa where both always say the same one thing, sensitivity without a yes of b,
    specificity without a no of b.
    """
    both, only_a, only_b, neither = np.moveaxis(counts, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        n = both + only_a + only_b + neither
        agreement = (both + neither) / n
        chance = ((both + only_a) * (both + only_b) + (neither + only_a) * (neither + only_b)) / (n * n)
        kappa = np.where(chance < 1.0, (agreement - chance) / (1.0 - chance), np.nan)
        return np.stack([agreement, kappa, both / (both + only_b), neither / (neither + only_a)], axis=-1)


def auc(scores: FloatArray, labels: BoolArray) -> float:
    """Probability that a random yes is scored above a random no, ties counting half; NaN without one of either.

    (Mann & Whitney 1947.) `scores` (N,), `labels` (N,).
    """
    yes, no = np.sort(scores[labels]), np.sort(scores[~labels])
    if not len(yes) or not len(no):
        return float("nan")
    below = np.searchsorted(no, yes, side="left").sum()
    level = np.searchsorted(no, yes, side="right").sum() - below
    return float((below + level / 2) / (len(yes) * len(no)))


NAMES = ("agreement", "kappa", "sensitivity", "specificity")


def agree(pairs: Pairs, how: Resampling | None = None) -> dict[str, Any]:
    """Everything about two judges as plain JSON types; shares in [0, 1], None where undefined.

    Returns:
        ``{"n", "sessions", "agreement", "kappa", "sensitivity", "specificity": {"value", "low", "high"},
        "auc": {...} | None, "confusion": {"both", "only_a", "only_b", "neither"},
        "edit_types": {kind: {...confusion, "agreement", "kappa"}}}``. Intervals are BCa over sessions; None for
        fewer than two sessions, or where all resamples agree. auc is None where `a` is only ever 0 or 1.
    """
    how = how or Resampling()
    counted = confusion(pairs.a, pairs.b)
    order, sums = _by_session(pairs)
    found: dict[str, Any] = {"n": counted.n, "sessions": len(sums)}
    found |= {name: _cell(*limits) for name, limits in zip(NAMES, _intervals(sums, how), strict=True)}
    continuous = bool(((pairs.a > 0.0) & (pairs.a < 1.0)).any())
    found["auc"] = _auc_cell(pairs, order, how) if continuous else None
    found["confusion"] = counted._asdict()
    found["edit_types"] = {kind: _of_kind(pairs, kind) for kind in sorted(set(pairs.kinds.tolist())) if kind}
    return found


def _by_session(pairs: Pairs) -> tuple[IntArray, FloatArray]:
    """(N,) number of each item's session, and (S, 4) counts of each session."""
    yes_a, yes_b = pairs.a > 0.5, pairs.b > 0.5
    cell = np.where(yes_a, np.where(yes_b, 0, 1), np.where(yes_b, 2, 3))
    names, place = np.unique(pairs.sessions, return_inverse=True)
    sums = np.zeros((len(names), 4))
    np.add.at(sums, (place, cell), 1.0)
    return place.astype(np.int64), sums


def _intervals(sums: FloatArray, how: Resampling) -> list[tuple[float, float, float]]:
    """(value, low, high) of each rate."""
    value = rates(sums.sum(axis=0))
    if len(sums) < 2:
        return [(float(one), float("nan"), float("nan")) for one in value]
    pieces = [Columns(0, sums, np.ones_like(sums))]
    interval = bca(lambda: pieces, [Target((0,), _rates)], how)[0]
    low, high = (np.where(interval.flat, np.nan, limit) for limit in (interval.low, interval.high))
    return [(float(v), float(lo), float(hi)) for v, lo, hi in zip(value, low, high, strict=True)]


def _rates(counts: FloatArray, _: FloatArray) -> FloatArray:
    return rates(counts)


def _auc_cell(pairs: Pairs, place: IntArray, how: Resampling) -> dict[str, float | None]:
    """AUC of a for b's answers, with the percentile interval over sessions."""
    labels = pairs.b > 0.5
    order = np.argsort(place, kind="stable")
    sessions = int(place.max(initial=-1)) + 1
    starts = np.searchsorted(place[order], np.arange(sessions + 1, dtype=np.int64))
    rng = np.random.default_rng(how.seed)
    drawn: list[float] = []
    for _ in range(how.resamples if sessions > 1 else 0):
        chosen = rng.integers(0, sessions, sessions)
        items = np.concatenate([order[starts[one] : starts[one + 1]] for one in chosen])
        drawn.append(auc(pairs.a[items], labels[items]))
    known = np.array([one for one in drawn if not np.isnan(one)])
    tail = (1.0 - how.level) / 2.0
    low, high = np.quantile(known, [tail, 1.0 - tail]) if len(known) else (np.nan, np.nan)
    return _cell(auc(pairs.a, labels), float(low), float(high))


def _of_kind(pairs: Pairs, kind: str) -> dict[str, Any]:
    chosen = pairs.kinds == kind
    counted = confusion(pairs.a[chosen], pairs.b[chosen])
    agreement, kappa, *_ = rates(np.array(counted, dtype=np.float64))
    return {**counted._asdict(), "agreement": _known(agreement), "kappa": _known(kappa)}


def _cell(value: float, low: float, high: float) -> dict[str, float | None]:
    return {"value": _known(value), "low": _known(low), "high": _known(high)}


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def vote_kappa(votes: FloatArray) -> float | None:
    """Fleiss' kappa (1971) of (N, V) votes, each above 0.5 or not: agreement of V equal judges beyond chance.

    None for no item, fewer than two votes, or where all votes are the same.
    """
    if votes.ndim != 2 or votes.shape[0] == 0 or votes.shape[1] < 2:
        return None
    count = votes.shape[1]
    yes = (votes > 0.5).sum(axis=1)
    observed = float(((yes * (yes - 1) + (count - yes) * (count - yes - 1)) / (count * (count - 1))).mean())
    share = float(yes.mean()) / count
    chance = share**2 + (1.0 - share) ** 2
    return None if chance == 1.0 else (observed - chance) / (1.0 - chance)
