"""All numbers of one run: value, interval, n scored / n, and bounds, in percent."""

from functools import partial
from typing import Any

import numpy as np

from micebench.metrics.aggregation import Sums, add_up, chunks, possible, totals
from micebench.metrics.clusters import Clusters, clusters
from micebench.metrics.coverage import coverage, first_failures
from micebench.metrics.intervals import Interval, Resampling, Target, all_equal_interval, bca
from micebench.metrics.outcomes import Consistency
from micebench.metrics.ratios import ALL_TURNS, Key, Layout, layout
from micebench.metrics.verdict_table import FloatArray, IntArray, VerdictTable
from micebench.verdicts import MEASURES

METRIC_NAMES: tuple[str, ...] = (
    "marginal_success",
    "turn_success",
    "content_consistency",
    "overall",
    "global_awareness",
    "cumulative_awareness",
    "collapse",
    "quality_drift",
)
"""Metrics of a summary, in order of display. Lower is better for collapse and quality_drift.

The measures a judge was asked for (`micebench.verdicts.MEASURES`) follow under their own names.
"""
Cell = dict[str, float | int | None]
_BLANK: Cell = {
    "value": None, "low": None, "high": None, "n": 0, "of": 0, "at_least": None, "at_most": None,
}  # fmt: skip


def summarize(
    table: VerdictTable,
    *,
    consistency: Consistency = "edival",
    seed: int = 0,
    resamples: int = 2000,
    level: float = 0.95,
) -> dict[str, Any]:
    """The numbers of summary.json.

    Returns:
        ``{"n_sessions", "level", "resamples", "seed", "content_consistency", "metrics": {NAME: {TURN: CELL}},
        "tracks": {track: {NAME: {TURN: CELL}}}, "edit_types": {type: CELL},
        "edit_types_by_turn": {type: {TURN: CELL}}, "first_failure": {TURN | "none" | "undetermined": rows},
        "coverage": {metric: {status: verdicts}}}`` with NAME in METRIC_NAMES, turns as strings and CELL =
        ``{"value", "low", "high", "n", "of", "at_least", "at_most"}``.

        value: percent, None where nothing is scored. Each session counts once, its repeats averaged.
        low, high: BCa interval over sessions (`intervals`). Where all sessions are equal (0 or 100 %) it is
        `all_equal_interval`, which for proportions is Clopper and Pearson's; a composite with such a part
        takes the limits of its parts, put through its formula. None for fewer than two sessions.
        n, of: sessions scored, of those that have this turn (for edit types: edits, each session's once).
        at_least, at_most: the number's smallest and largest value if the missing, unparsed, refused and
        failed verdicts were known; never narrower than the value itself.

    The same table, seed and resamples give the same numbers, whatever the order of the table's rows.
    """
    grouped = clusters(table)
    how = Resampling(resamples, seed, level)
    everything, by_track = _cells(table, grouped, layout(table, consistency), how)
    groups = range(len(grouped.names))
    kinds = sorted({key.name for key in everything if key.edit_type})
    turns = range(1, table.width + 1)
    return {
        "n_sessions": grouped.sessions,
        "level": level,
        "resamples": resamples,
        "seed": seed,
        "content_consistency": consistency,
        "metrics": by_metric(everything, having(table, grouped, tuple(groups)), _BLANK),
        "tracks": {
            grouped.names[group]: by_metric(by_track[group], having(table, grouped, (group,)), _BLANK)
            for group in groups
        },
        "edit_types": {kind: everything[Key(kind, ALL_TURNS, True)] for kind in kinds},
        "edit_types_by_turn": {
            kind: {str(turn): everything[Key(kind, turn, True)] for turn in turns} for kind in kinds
        },
        "first_failure": first_failures(table),
        "coverage": coverage(table),
    }


def _cells(
    table: VerdictTable, grouped: Clusters, plan: Layout, how: Resampling
) -> tuple[dict[Key, Cell], list[dict[Key, Cell]]]:
    """Cells of all sessions, and of each track."""
    count = len(grouped.names)
    if not count:
        return {}, []
    chosen = [tuple(range(count)), *((group,) for group in range(count))]
    value, least, most = (
        totals(chunks(table, grouped, plan, side), plan, count) for side in ("value", "at_least", "at_most")
    )
    wholes = [add_up(value, groups, plan) for groups in chosen]
    targets = [
        Target(groups, partial(plan.evaluate, used=whole.used(plan)))
        for groups, whole in zip(chosen, wholes, strict=True)
    ]
    intervals = bca(lambda: chunks(table, grouped, plan), targets, how)
    found: list[dict[Key, Cell]] = []
    for groups, whole, interval in zip(chosen, wholes, intervals, strict=True):
        point = _value(plan, whole)
        low, high = honest_limits(plan, whole, interval, how.level)
        bounds = [_value(plan, add_up(side, groups, plan)) for side in (least, most)]
        columns = {
            "value": point,
            "low": low,
            "high": high,
            "at_least": np.fmin.reduce([point, *bounds]),
            "at_most": np.fmax.reduce([point, *bounds]),
        }
        shown = {name: percent(column) for name, column in columns.items()}
        n, of = whole.n(plan), possible(table, grouped.first_rows(groups), plan)
        found.append(
            {
                key: {
                    "value": shown["value"][cell],
                    "low": shown["low"][cell],
                    "high": shown["high"][cell],
                    "n": int(n[cell]),
                    "of": int(of[cell]),
                    "at_least": shown["at_least"][cell],
                    "at_most": shown["at_most"][cell],
                }
                for cell, key in enumerate(plan.cells)
            }
        )
    return found[0], found[1:]


def _value(plan: Layout, sums: Sums) -> FloatArray:
    return plan.evaluate(sums.numerators, sums.denominators, sums.used(plan))


def honest_limits(plan: Layout, sums: Sums, interval: Interval, level: float) -> tuple[FloatArray, FloatArray]:
    """(cells,) limits in [0, 1]: BCa where the resamples vary, else what `summarize` says."""
    width = len(plan.ratios)
    low, high = interval.low.copy(), interval.high.copy()
    flat = interval.flat[:width]
    equal = all_equal_interval(interval.value[:width], sums.scored[:width], level)
    used = sums.used(plan)
    for limit, substitute in zip((low, high), equal, strict=True):
        limit[:width] = np.where(flat, substitute, limit[:width])
        through = plan.evaluate(np.nan_to_num(limit[:width]), np.ones(width), used)
        for place, composite in enumerate(plan.composites, start=width):
            if any(flat[part] and used[part] for part in composite.made_of):
                limit[place] = through[place]
    few = sums.scored < 2
    return np.where(few, np.nan, np.clip(low, 0.0, 1.0)), np.where(few, np.nan, np.clip(high, 0.0, 1.0))


def percent(values: FloatArray) -> list[float | None]:
    """Shares as JSON numbers in percent; None for NaN."""
    return [None if np.isnan(value) else 100.0 * float(value) for value in values]


def having(table: VerdictTable, grouped: Clusters, groups: tuple[int, ...]) -> IntArray:
    """(T,) sessions of these tracks that have each turn."""
    return table.exists[grouped.first_rows(groups)].sum(axis=0)


def by_metric(cells: dict[Key, Cell], of: IntArray, blank: Cell) -> dict[str, dict[str, Cell]]:
    """NAME -> TURN -> cell, for every metric (one that nobody was asked about is `blank`) and measure."""
    measured = {key.name for key in cells}.intersection(MEASURES)
    return {
        name: {
            str(turn): cells.get(Key(name, turn), {**blank, "of": int(count)})
            for turn, count in enumerate(of, start=1)
        }
        for name in (*METRIC_NAMES, *(name for name in MEASURES if name in measured))
    }
