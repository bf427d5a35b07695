"""The numbers of EdiVal-Bench's own tables (analysis.ipynb of EdiVal @ a7bbdec), from unrounded verdicts.

Multipass (every turn edits the output before it): image success at k is that of turns 1..k, each in its own image;
task success is that of turn k alone. Singlepass (context ``composed``): image k is asked about the instructions 1..k,
image success is that of all of them, task success pools them, marginal success is that of the last one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from micebench.metrics.aggregation import session_mean
from micebench.metrics.clusters import clusters
from micebench.metrics.outcomes import Outcome, earlier_instructions, marginal_success, outcomes
from micebench.metrics.verdict_table import BoolArray, FloatArray, VerdictTable


class Rate(NamedTuple):
    """A mean in percent (None where nothing is scored) over `n` of the `of` items it is about."""

    value: float | None
    n: int
    of: int


Rates = tuple[Rate, ...]
"""One rate per turn."""


@dataclass(frozen=True, slots=True)
class EdivalRates:
    """What EdiVal's notebook prints, turn by turn; repeats of a session are averaged first.

    Attributes:
        singlepass: the verdicts are those of a singlepass run.
        image_success, task_success, marginal_success: see the module; marginal is task success in multipass.
        objects, background: content consistency, each over the images that have it.
        consistency: mean of these two means (the one there is, where there is only one).
        overall: square root of image success x consistency.
        edit_types: task success per edit type.
    """

    singlepass: bool
    image_success: Rates
    task_success: Rates
    marginal_success: Rates
    objects: Rates
    background: Rates
    consistency: Rates
    overall: Rates
    edit_types: dict[str, Rates]


class _Items(NamedTuple):
    """(S,) or (S, T) each: value of the items that are scored, which are, and which there are at all."""

    value: FloatArray
    scored: BoolArray
    there: BoolArray

    def at(self, place: Any) -> "_Items":
        return _Items(self.value[place], self.scored[place], self.there[place])


def edival_rates(table: VerdictTable) -> EdivalRates:
    """All of them. Nothing is imputed: an item that is not scored leaves its own mean, and no other."""
    grouped = clusters(table)
    ordered, starts = table.select(grouped.order), grouped.starts[:-1]
    there, kinds = ordered.exists[starts], ordered.edit_types[starts]

    def items(outcome: Outcome | None) -> _Items:
        if outcome is None:
            return _Items(np.zeros(there.shape), np.zeros(there.shape, np.bool_), there)
        value, weight = session_mean(outcome, starts, ordered.rows)
        return _Items(value, weight > 0, there)

    found = outcomes(ordered, "edival")
    own = items(found.get("marginal_success"))
    earlier = {number: items(marginal_success(said)) for number, said in earlier_instructions(ordered).items()}
    objects, background = (items(found.get(f"consistency.{part}")) for part in ("object", "background"))
    turns = range(table.width)
    asked = [[(kinds[:, n - 1], said) for n, said in earlier.items() if n <= turn] for turn in turns]
    for turn in turns:
        asked[turn].append((kinds[:, turn], own))

    def pooled(turn: int, kind: str | None = None) -> Rate:
        chosen = [said.at((slice(None) if kind is None else kinds == kind, turn)) for kinds, said in asked[turn]]
        return _rate(_Items(*(np.concatenate(column) for column in zip(*chosen, strict=True))))

    image = _by_turn(items(found.get("turn_success")))
    parts = _by_turn(objects), _by_turn(background)
    either = (objects.scored | background.scored).sum(axis=0)
    both = tuple(_mean([one[turn] for one in parts], int(either[turn])) for turn in turns)
    return EdivalRates(
        singlepass=bool(earlier),
        image_success=image,
        task_success=tuple(map(pooled, turns)),
        marginal_success=_by_turn(own),
        objects=parts[0],
        background=parts[1],
        consistency=both,
        overall=tuple(_overall(*pair) for pair in zip(image, both, strict=True)),
        edit_types={kind: tuple(pooled(turn, kind) for turn in turns) for kind in _names(kinds)},
    )


def _names(kinds: NDArray[Any]) -> list[str]:
    return [str(kind) for kind in np.unique(kinds) if kind]


def _by_turn(items: _Items) -> Rates:
    return tuple(_rate(items.at((slice(None), turn))) for turn in range(items.there.shape[1]))


def _rate(items: _Items) -> Rate:
    n = int(items.scored.sum())
    value = 100.0 * float(items.value[items.scored].sum()) / n if n else None
    return Rate(value, n, int(items.there.sum()))


def _mean(parts: Sequence[Rate], n: int) -> Rate:
    known = [part.value for part in parts if part.value is not None]
    return Rate(sum(known) / len(known) if known else None, n, parts[0].of)


def _overall(image: Rate, consistency: Rate) -> Rate:
    n = min(image.n, consistency.n)
    if image.value is None or consistency.value is None:
        return Rate(None, n, image.of)
    return Rate((image.value * consistency.value) ** 0.5, n, image.of)
