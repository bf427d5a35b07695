"""Two runs of one task, compared session by session.

Pairing takes the difficulty of a session out of the difference. A session counts in a number only where both
runs are scored there; those that are not are visible in n / of, and sessions that only one run has are named.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from micebench.metrics.aggregation import Columns, Sums, add_up, chunks, possible, session_mean, totals
from micebench.metrics.clusters import Clusters, clusters
from micebench.metrics.difference import both, difference, difference_limits
from micebench.metrics.intervals import Interval, Resampling, Target, bca
from micebench.metrics.outcomes import Consistency, Side, outcomes
from micebench.metrics.ratios import ALL_TURNS, Key, Layout, layout
from micebench.metrics.significance import permutation_p
from micebench.metrics.summary import Cell, by_metric, having, percent
from micebench.metrics.verdict_table import BoolArray, FloatArray, IntArray, VerdictTable

POWER = 0.8
_BLANK: Cell = {**dict.fromkeys(("a", "b", "difference", "low", "high", "p", "mde")), "n": 0, "of": 0, "missing": 0}


@dataclass(frozen=True)
class Match:
    """Session ids, sorted: in both runs alike; in one only; in both but with other turns, types or track."""

    shared: tuple[str, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    changed: tuple[str, ...]


class _Pair(NamedTuple):
    """Both runs reduced to their shared sessions and metrics, and grouped alike."""

    a: VerdictTable
    b: VerdictTable
    in_a: Clusters
    in_b: Clusters
    plan: Layout

    def pieces(self, side: Side = "value") -> Iterator[Columns]:
        """Terms of the sessions: numerators [a, b] and denominators [both, both], each (sessions, 2 m)."""
        chunks_b = chunks(self.b, self.in_b, self.plan, side)
        for one, other in zip(chunks(self.a, self.in_a, self.plan, side), chunks_b, strict=True):
            a, b, both = self._where_both(one, other)
            yield Columns(one.group, np.hstack([a, b]), np.hstack([both, both]))

    def _where_both(self, one: Columns, other: Columns) -> tuple[FloatArray, FloatArray, FloatArray]:
        both = ((one.denominators > 0) & (other.denominators > 0)).astype(np.float64)
        a, b = one.numerators * both, other.numerators * both
        # A type's pooled success is paired edit by edit: the sum of its turns, not of its sessions.
        for column, key in enumerate(self.plan.ratios):
            if key.edit_type and key.turn == ALL_TURNS:
                turns = [i for i, k in enumerate(self.plan.ratios) if k.name == key.name and k.turn]
                for terms in (a, b, both):
                    terms[:, column] = terms[:, turns].sum(axis=1)
        return a, b, both


def match(a: VerdictTable, b: VerdictTable, differing: Collection[str] = ()) -> Match:
    """Which sessions two runs share; `differing`: ids known to mean something else in each run."""
    told_a, told_b = _descriptions(a), _descriptions(b)
    common = sorted(told_a.keys() & told_b.keys())
    changed = {name for name in common if told_a[name] != told_b[name]} | set(differing)
    return Match(
        tuple(name for name in common if name not in changed),
        tuple(sorted(told_a.keys() - told_b.keys())),
        tuple(sorted(told_b.keys() - told_a.keys())),
        tuple(name for name in common if name in changed),
    )


def paired(
    a: VerdictTable,
    b: VerdictTable,
    *,
    consistency: Consistency = "edival",
    differing: Collection[str] = (),
    permutations: int = 9999,
    how: Resampling | None = None,
) -> dict[str, Any]:
    """b minus a, in percentage points.

    Returns:
        ``{"n_a", "n_b", "n_paired", "only_a", "only_b", "changed": [ids], "level", "resamples",
        "permutations", "seed", "content_consistency", "metrics": {NAME: {TURN: CELL}},
        "tracks": {track: {NAME: {TURN: CELL}}}, "edit_types": {type: CELL},
        "flipped": {"gained", "lost": [ids], "n", "of"}}`` with
        CELL = ``{"a", "b", "difference", "low", "high", "p", "mde", "n", "of", "missing"}``; None where undefined.

        a, b: the two runs on the sessions scored in both. low, high: BCa interval, see `difference_limits`.
        p: two-sided sign-flip permutation test (the runs of each session are swapped with probability 1/2;
        exact under exchangeability, smallest value 1 / (permutations + 1)); not adjusted for the number of
        cells. mde: the true difference this n would find with probability POWER at this level, from the
        jackknife's standard error of the paired difference; None where that is 0.
        n, of: sessions (edit types: edits) scored in both runs, of those that have the turn. missing: those of
        the rest whose verdicts are unparsed, refused, failed or not there in either run; of composites, of the
        part where most are.
        flipped: sessions whose turn success at their last turn was gained or lost (repeats: their majority),
        of the n determined in both runs, those with the largest change first (`_change`).

    Raises:
        ValueError: no session is shared.
    """
    how = how or Resampling()
    matched = match(a, b, differing)
    if not matched.shared:
        raise ValueError("the two runs share no session")
    pair = _pair(a, b, matched.shared, consistency)
    plan, names = pair.plan, pair.in_a.names
    members: list[tuple[int, ...]] = [tuple(range(len(names))), *((group,) for group in range(len(names)))]
    sums = totals(pair.pieces(), plan, len(names))
    wholes = [add_up(sums, chosen, plan) for chosen in members]
    if_known = totals(pair.pieces("at_least"), plan, len(names))
    gaps = [
        _missing(plan, add_up(if_known, chosen, plan), whole) for chosen, whole in zip(members, wholes, strict=True)
    ]
    targets = [
        Target(chosen, partial(difference, plan=plan, used=whole.used(plan)))
        for chosen, whole in zip(members, wholes, strict=True)
    ]
    intervals = bca(pair.pieces, targets, how)
    chances = permutation_p(pair.pieces, targets, permutations, how.seed)
    cells = [
        _cells(pair, chosen, whole, gap, interval, chance, how.level)
        for chosen, whole, gap, interval, chance in zip(members, wholes, gaps, intervals, chances, strict=True)
    ]
    kinds = sorted({key.name for key in plan.ratios if key.edit_type})
    return {
        "n_a": len(set(a.sessions.tolist())),
        "n_b": len(set(b.sessions.tolist())),
        "n_paired": len(matched.shared),
        "only_a": list(matched.only_a),
        "only_b": list(matched.only_b),
        "changed": list(matched.changed),
        "level": how.level,
        "resamples": how.resamples,
        "permutations": permutations,
        "seed": how.seed,
        "content_consistency": consistency,
        "metrics": by_metric(cells[0], having(pair.a, pair.in_a, members[0]), _BLANK),
        "tracks": {
            name: by_metric(cells[group + 1], having(pair.a, pair.in_a, (group,)), _BLANK)
            for group, name in enumerate(names)
        },
        "edit_types": {kind: cells[0][Key(kind, ALL_TURNS, True)] for kind in kinds},
        "flipped": _flipped(pair),
    }


def _descriptions(table: VerdictTable) -> dict[str, tuple[Any, ...]]:
    return {
        name: (track, turns, *kinds[:turns])
        for name, track, turns, kinds in zip(
            table.sessions.tolist(),
            table.tracks.tolist(),
            table.turns.tolist(),
            table.edit_types.tolist(),
            strict=True,
        )
    }


def _pair(a: VerdictTable, b: VerdictTable, shared: Sequence[str], consistency: Consistency) -> _Pair:
    metrics = [metric for metric in a.values if metric in b.values]
    width = min(a.width, b.width)
    kept = [
        VerdictTable(
            part.sessions,
            part.tracks,
            part.edit_types[:, :width],
            part.turns,
            {metric: part.values[metric][:, :width] for metric in metrics},
            {metric: part.status[metric][:, :width] for metric in metrics},
        )
        for part in (table.select(np.isin(table.sessions, list(shared))) for table in (a, b))
    ]
    return _Pair(kept[0], kept[1], clusters(kept[0]), clusters(kept[1]), layout(kept[0], consistency))


def _missing(plan: Layout, known: Sums, sums: Sums) -> IntArray:
    """(cells,) sessions or edits that only verdicts nobody knows keep out; `known`: sums as if they were there."""
    missing = known.n(plan) - sums.n(plan)
    for place, composite in enumerate(plan.composites, start=len(plan.ratios)):
        missing[place] = max(missing[part] for part in composite.made_of)
    return missing


def _cells(
    pair: _Pair,
    groups: Sequence[int],
    sums: Sums,
    missing: IntArray,
    interval: Interval,
    p: FloatArray,
    level: float,
) -> dict[Key, Cell]:
    plan = pair.plan
    first, second = both(sums.numerators, sums.denominators, plan, sums.used(plan))
    low, high = difference_limits(plan, sums, interval, p, level)
    few = sums.scored < 2
    normal = NormalDist()
    detectable = (normal.inv_cdf((1.0 + level) / 2.0) + normal.inv_cdf(POWER)) * interval.error
    columns = {
        "a": first,
        "b": second,
        "difference": second - first,
        "low": low,
        "high": high,
        "mde": np.where(few | (interval.error <= 0.0), np.nan, detectable),
    }
    shown = {name: percent(column) for name, column in columns.items()}
    n, of = sums.n(plan), possible(pair.a, pair.in_a.first_rows(groups), plan)
    return {
        key: {
            "a": shown["a"][cell],
            "b": shown["b"][cell],
            "difference": shown["difference"][cell],
            "low": shown["low"][cell],
            "high": shown["high"][cell],
            "p": None if few[cell] or np.isnan(second[cell]) else float(p[cell]),
            "mde": shown["mde"][cell],
            "n": int(n[cell]),
            "of": int(of[cell]),
            "missing": int(missing[cell]),
        }
        for cell, key in enumerate(plan.cells)
    }


def _flipped(pair: _Pair) -> dict[str, Any]:
    """Sessions whose success at their last turn changed sides of one half."""
    first, second = (
        _last_success(table, grouped, pair.plan.consistency)
        for table, grouped in ((pair.a, pair.in_a), (pair.b, pair.in_b))
    )
    change = _change(pair)

    def ordered(chosen: BoolArray, sign: float) -> list[str]:
        places = np.flatnonzero(chosen).tolist()
        places.sort(key=lambda place: (*(sign * change[:, place]), pair.in_a.ids[place]))
        return [pair.in_a.ids[place] for place in places]

    return {
        "gained": ordered((first <= 0.5) & (second > 0.5), -1.0),
        "lost": ordered((first > 0.5) & (second <= 0.5), 1.0),
        "n": int((~np.isnan(first) & ~np.isnan(second)).sum()),
        "of": pair.in_a.sessions,
    }


def _change(pair: _Pair) -> FloatArray:
    """(2, sessions) how much sessions changed, b minus a: turns done, then consistency, each summed over turns.

    Turns done counts the turns k with turns 1..k all followed: a session that fails earlier has lost more. Terms
    that are not scored in both runs add nothing.
    """
    m = len(pair.plan.ratios)
    pieces = list(pair.pieces())
    change = np.concatenate([piece.numerators[:, m:] - piece.numerators[:, :m] for piece in pieces])
    names = ["" if key.edit_type else key.name for key in pair.plan.ratios]
    done = change[:, [name == "turn_success" for name in names]].sum(axis=1)
    kept = change[:, [name.startswith("consistency") for name in names]].sum(axis=1)
    return np.stack([done, kept]).round(9).astype(np.float64) + 0.0


def _last_success(table: VerdictTable, grouped: Clusters, consistency: Consistency) -> FloatArray:
    """(sessions,) turn success at each session's last turn, mean over repeats; NaN where undetermined."""
    ordered = table.select(grouped.order)
    if "IF" not in table.values:
        return np.full(grouped.sessions, np.nan)
    outcome = outcomes(ordered, consistency)["turn_success"]
    value, weight = session_mean(outcome, grouped.starts[:-1], ordered.rows)
    last = (np.arange(grouped.sessions), ordered.turns[grouped.starts[:-1]] - 1)
    return np.where(weight[last] > 0, value[last], np.nan)
