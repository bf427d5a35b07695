"""Every number of a report as a smooth function of sums over sessions.

A *ratio* is (sum over sessions of a numerator) / (sum over sessions of a denominator). A *composite* is made of
ratios: edival's content consistency is the mean of two, overall is sqrt(turn success x content consistency).
So a bootstrap resample is a vector of session weights, and all numbers of all turns share it.

Repeats of a session are averaged first: each session counts once, however often it was run.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from micebench.metrics.outcomes import Consistency, Outcome, Side, outcomes
from micebench.metrics.table import BoolArray, FloatArray, IntArray, VerdictTable

ALL_TURNS = 0
"""Turn number of a ratio that pools all turns (success per edit type)."""
CHUNK_SESSIONS = 8192


class Key(NamedTuple):
    """What a number is: a metric, or an edit type's success (`edit_type` True), at a turn (0: all turns)."""

    name: str
    turn: int
    edit_type: bool = False


class Composite(NamedTuple):
    """Mean of the ratios `parts`, or sqrt(ratio `root` x that mean)."""

    key: Key
    parts: tuple[int, ...]
    root: int | None = None


@dataclass(frozen=True)
class Layout:
    """The m ratios of a table and the composites on top; `cells` = ratios, then composites."""

    consistency: Consistency
    ratios: tuple[Key, ...]
    composites: tuple[Composite, ...]

    @property
    def cells(self) -> tuple[Key, ...]:
        return self.ratios + tuple(composite.key for composite in self.composites)

    def evaluate(self, numerators: FloatArray, denominators: FloatArray, used: BoolArray) -> FloatArray:
        """(..., m) sums -> (..., cells) values in [0, 1]; NaN where a denominator is empty.

        `used` (m,) names the ratios that are measured at all: a composite is the mean over its measured
        parts, and is undefined where none is, or where a measured one is empty in this very resample.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(denominators > 0, numerators / denominators, np.nan)
        values = np.full((*ratios.shape[:-1], len(self.ratios) + len(self.composites)), np.nan)
        values[..., : len(self.ratios)] = ratios
        for place, composite in enumerate(self.composites, start=len(self.ratios)):
            parts = [part for part in composite.parts if used[part]]
            if not parts or (composite.root is not None and not used[composite.root]):
                continue
            mean = sum((ratios[..., part] for part in parts[1:]), ratios[..., parts[0]]) / len(parts)
            if composite.root is not None:
                mean = np.sqrt(np.maximum(ratios[..., composite.root] * mean, 0.0))
            values[..., place] = mean
        return values


def layout(table: VerdictTable, consistency: Consistency) -> Layout:
    """All ratios and composites that the table's metrics and edit types allow."""
    names = list(outcomes(table.select(slice(0, 0)), consistency))
    turns = range(1, table.width + 1)
    ratios = [Key(name, turn) for name in names for turn in turns]
    if "marginal_success" in names:
        first = table.edit_types
        kinds = [str(kind) for kind in np.unique(first) if kind]
        ratios += [Key(kind, turn, True) for kind in kinds for turn in (ALL_TURNS, *turns)]
    place = {key: index for index, key in enumerate(ratios)}
    parts = [name for name in names if name.startswith("consistency")]
    composites: list[Composite] = []
    for turn in turns:
        made_of = tuple(place[Key(name, turn)] for name in parts)
        if made_of:
            composites.append(Composite(Key("content_consistency", turn), made_of))
        if made_of and "turn_success" in names:
            root = place[Key("turn_success", turn)]
            composites.append(Composite(Key("overall", turn), made_of, root))
    return Layout(consistency, tuple(ratios), tuple(composites))


@dataclass(frozen=True)
class Clusters:
    """Rows sorted by track and session; session i owns rows order[starts[i] : starts[i + 1]].

    Attributes: order (R,); starts (S + 1,); ids, tracks (S,) str; names: the tracks, sorted;
    group (S,) index of each session's track in names, non-decreasing.
    """

    order: IntArray
    starts: IntArray
    ids: tuple[str, ...]
    names: tuple[str, ...]
    group: IntArray

    @property
    def sessions(self) -> int:
        return len(self.ids)


def clusters(table: VerdictTable) -> Clusters:
    """Group the rows of each session. The order of a table's rows never matters to any result.

    Raises:
        ValueError: repeats of one session that differ in track, number of turns or edit types.
    """
    order = np.lexsort((table.sessions, table.tracks))
    ids, tracks = table.sessions[order], table.tracks[order]
    new = np.ones(len(ids), dtype=np.bool_)
    new[1:] = ids[1:] != ids[:-1]
    starts = np.flatnonzero(new)
    first = order[starts][np.cumsum(new) - 1]
    same = (table.turns[order] == table.turns[first]) & (tracks == table.tracks[first])
    same &= (table.edit_types[order] == table.edit_types[first]).all(axis=1)
    unique = ids[starts]
    if not same.all() or len(set(unique.tolist())) != len(unique):
        raise ValueError("repeats of one session differ in their track, number of turns or edit types")
    names, group = np.unique(tracks[starts], return_inverse=True)
    return Clusters(
        order,
        np.append(starts, len(ids)),
        tuple(str(name) for name in unique),
        tuple(str(name) for name in names),
        group.astype(np.int64),
    )


class Columns(NamedTuple):
    """Per-session terms of the sums: `numerators` and `denominators`, both (sessions, m), of track `group`."""

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


def _terms(
    table: VerdictTable, starts: IntArray, plan: Layout, side: Side
) -> tuple[FloatArray, FloatArray]:
    """(sessions, m) numerators and denominators of a piece whose session i begins at row starts[i]."""
    found = {
        name: _session_mean(outcome, starts, table.rows)
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


def _session_mean(outcome: Outcome, starts: IntArray, rows: int) -> tuple[FloatArray, FloatArray]:
    """(sessions, T) mean over the repeats where the outcome is defined, and 1.0 where there is any."""
    weight = outcome.defined.astype(np.float64)
    if len(starts) == rows:
        return outcome.value, weight
    count = np.add.reduceat(weight, starts, axis=0)
    total = np.add.reduceat(outcome.value, starts, axis=0)
    return total / np.maximum(count, 1.0), (count > 0).astype(np.float64)


@dataclass(frozen=True)
class Sums:
    """Sums over a set of sessions: numerators, denominators (m,) and `scored` (cells,) sessions with a part."""

    numerators: FloatArray
    denominators: FloatArray
    scored: IntArray

    @property
    def used(self) -> BoolArray:
        """(m,) ratios with a scored session."""
        return self.denominators > 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.numerators + other.numerators,
            self.denominators + other.denominators,
            self.scored + other.scored,
        )


def totals(pieces: Iterator[Columns], plan: Layout, groups: int) -> list[Sums]:
    """Sums of each track. A composite of root and parts counts the sessions of its scarcer side."""
    width = len(plan.ratios)
    zero = Sums(np.zeros(width), np.zeros(width), np.zeros(len(plan.cells), dtype=np.int64))
    sums = [zero for _ in range(groups)]
    for piece in pieces:
        there = piece.denominators > 0
        scored = np.empty(len(plan.cells), dtype=np.int64)
        scored[:width] = there.sum(axis=0)
        for place, composite in enumerate(plan.composites, start=width):
            scored[place] = there[:, list(composite.parts)].any(axis=1).sum()
        sums[piece.group] = sums[piece.group] + Sums(
            piece.numerators.sum(axis=0), piece.denominators.sum(axis=0), scored
        )
    return sums


def scored_cells(sums: Sums, plan: Layout) -> IntArray:
    """(cells,) scored sessions; for a composite with a root, of the scarcer of its two factors."""
    scored = sums.scored.copy()
    for place, composite in enumerate(plan.composites, start=len(plan.ratios)):
        if composite.root is not None:
            scored[place] = min(scored[place], scored[composite.root])
    return scored
