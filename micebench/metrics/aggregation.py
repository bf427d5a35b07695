"""The terms that each session adds to the sums behind every ratio, and the sums themselves.

Repeats of a session are averaged first: each session counts once, however often it was run.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from micebench.metrics.clusters import Clusters
from micebench.metrics.outcomes import Outcome, Side, outcomes
from micebench.metrics.ratios import ALL_TURNS, Layout
from micebench.metrics.verdict_table import BoolArray, FloatArray, IntArray, VerdictTable

CHUNK_SESSIONS = 8192


class Columns(NamedTuple):
    """Per-session terms of the sums, (sessions, m) each; all sessions are of track `group`."""

    group: int
    numerators: FloatArray
    denominators: FloatArray


def chunks(table: VerdictTable, grouped: Clusters, plan: Layout, side: Side = "value") -> Iterator[Columns]:
    """The sessions' terms, in pieces of at most CHUNK_SESSIONS sessions of one track each."""
    for group in range(len(grouped.names)):
        begin, end = np.searchsorted(grouped.group, [group, group + 1])
        for start in range(int(begin), int(end), CHUNK_SESSIONS):
            stop = min(start + CHUNK_SESSIONS, int(end))
            rows = grouped.order[grouped.starts[start] : grouped.starts[stop]]
            owned = grouped.starts[start:stop] - grouped.starts[start]
            yield Columns(group, *_terms(table.select(rows), owned, plan, side))


def _terms(table: VerdictTable, starts: IntArray, plan: Layout, side: Side) -> tuple[FloatArray, FloatArray]:
    """(sessions, m) numerators and denominators of a piece whose session i begins at row starts[i]."""
    found = {
        name: session_mean(outcome, starts, table.rows)
        for name, outcome in outcomes(table, plan.consistency, side).items()
    }
    kinds = table.edit_types[starts]
    numerators = np.empty((len(starts), len(plan.ratios)))
    denominators = np.empty_like(numerators)
    chosen: dict[str, BoolArray] = {}
    for column, key in enumerate(plan.ratios):
        value, weight = found["marginal_success" if key.edit_type else key.name]
        if not key.edit_type:
            numerators[:, column], denominators[:, column] = value[:, key.turn - 1], weight[:, key.turn - 1]
            continue
        if key.name not in chosen:
            chosen[key.name] = kinds == key.name
        turns = slice(None) if key.turn == ALL_TURNS else slice(key.turn - 1, key.turn)
        of_kind = chosen[key.name][:, turns]
        numerators[:, column] = (value[:, turns] * of_kind).sum(axis=1)
        denominators[:, column] = (weight[:, turns] * of_kind).sum(axis=1)
    return numerators, denominators


def session_mean(outcome: Outcome, starts: IntArray, rows: int) -> tuple[FloatArray, FloatArray]:
    """(sessions, T) mean over the repeats where the outcome is defined, and 1.0 where there is any."""
    weight = outcome.defined.astype(np.float64)
    if len(starts) == rows:
        return outcome.value, weight
    count = np.add.reduceat(weight, starts, axis=0)
    total = np.add.reduceat(outcome.value, starts, axis=0)
    return total / np.maximum(count, 1.0), (count > 0).astype(np.float64)


@dataclass(frozen=True)
class Sums:
    """Sums over sessions: numerators and denominators as in Columns; `scored` (cells,) scored sessions."""

    numerators: FloatArray
    denominators: FloatArray
    scored: IntArray

    def used(self, plan: Layout) -> BoolArray:
        """(m,) ratios with a scored session."""
        return self.scored[: len(plan.ratios)] > 0

    def n(self, plan: Layout) -> IntArray:
        """(cells,) scored sessions, and for edit types scored edits."""
        counted = self.scored.copy()
        for cell, key in enumerate(plan.ratios):
            if key.edit_type:
                counted[cell] = round(float(self.denominators[cell]))
        return counted


def totals(pieces: Iterable[Columns], plan: Layout, groups: int) -> list[Sums]:
    """Sums of each track. A composite counts the sessions with any of its parts, see `add_up`."""
    width = len(plan.ratios)
    numerators: dict[int, FloatArray] = {}
    denominators: dict[int, FloatArray] = {}
    scored = np.zeros((groups, len(plan.cells)), dtype=np.int64)
    for piece in pieces:
        there = piece.denominators[:, :width] > 0
        scored[piece.group, :width] += there.sum(axis=0)
        for place, composite in enumerate(plan.composites, start=width):
            scored[piece.group, place] += there[:, list(composite.parts)].any(axis=1).sum()
        for sums, terms in ((numerators, piece.numerators), (denominators, piece.denominators)):
            sums[piece.group] = sums.get(piece.group, 0.0) + terms.sum(axis=0)
    return [Sums(numerators[group], denominators[group], scored[group]) for group in range(groups)]


def add_up(sums: Sequence[Sums], groups: Sequence[int], plan: Layout) -> Sums:
    """Sums over some tracks; sqrt(root x mean of parts) counts the sessions of its scarcer factor."""
    scored = np.sum([sums[group].scored for group in groups], axis=0)
    for place, composite in enumerate(plan.composites, start=len(plan.ratios)):
        if composite.root is not None:
            scored[place] = min(scored[place], scored[composite.root])
    return Sums(
        np.sum([sums[group].numerators for group in groups], axis=0),
        np.sum([sums[group].denominators for group in groups], axis=0),
        scored,
    )


def possible(table: VerdictTable, first_rows: IntArray, plan: Layout) -> IntArray:
    """(cells,) sessions that have the turn, and for edit types edits of that type; one row per session."""
    exists = table.exists[first_rows]
    having = exists.sum(axis=0)
    kinds = table.edit_types[first_rows]
    of = np.zeros(len(plan.cells), dtype=np.int64)
    by_kind: dict[str, IntArray] = {}
    for cell, key in enumerate(plan.cells):
        if not key.edit_type:
            of[cell] = having[key.turn - 1]
            continue
        if key.name not in by_kind:
            by_kind[key.name] = ((kinds == key.name) & exists).sum(axis=0)
        per_turn = by_kind[key.name]
        of[cell] = per_turn.sum() if key.turn == ALL_TURNS else per_turn[key.turn - 1]
    return of
