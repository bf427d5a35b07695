"""Every number of a report as a smooth function of sums over sessions.

A *ratio* is (sum over sessions of a numerator) / (sum over sessions of a denominator). A *composite* is made
of ratios: edival's content consistency is the mean of two, overall is sqrt(turn success x consistency). So a
bootstrap resample is a vector of session weights, and all numbers of all turns share it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from micebench.metrics.outcomes import Consistency, outcomes
from micebench.metrics.verdict_table import BoolArray, FloatArray, VerdictTable

ALL_TURNS = 0
"""Turn number of a ratio that pools all turns (success per edit type)."""


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

    @property
    def made_of(self) -> tuple[int, ...]:
        return self.parts if self.root is None else (*self.parts, self.root)


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
