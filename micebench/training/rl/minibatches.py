"""Which edits of an iteration are learnt from, in which order, and by which process."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from micebench.training.rl.advantages import Advantages
from micebench.training.rl.rollout import Place
from micebench.training.rl.policies.trajectories import Trace
from micebench.store.keys import derive_seed


class Lesson(NamedTuple):
    """One loss term: an edit, and which of its noise levels (NFT) or stochastic steps (GRPO)."""

    place: Place
    draw: int


@dataclass(frozen=True, slots=True)
class Batch:
    """B lessons of one shape for one forward pass.

    Attributes:
        traces: what was sampled.
        advantages: (B,) float32.
        draws: see `Lesson.draw`.
        seeds: of the edits, for what has to be drawn anew; from (run, iteration, place), so that neither the
            process nor the rest of the batch matters.
        counts: False for a batch that only keeps this process in step with the others.
    """

    traces: Sequence[Trace]
    advantages: Tensor
    draws: Sequence[int]
    seeds: Sequence[int]
    counts: bool = True


def choose(
    found: Advantages, edited: Tensor, draws: int, least: float, *, positives_only: bool, seed: str
) -> list[Lesson]:
    """Lessons of all processes in an order that each of them finds alike.

    Args:
        edited: (S, G, T) bool, there is an edit; what is broadcast also stands where a session is over already.
        draws: lessons per edit.
        least: edits with |advantage| below it teach nothing and cost a forward pass.
        positives_only: only what was better than its group.
    """
    worth = found.used & edited & (found.values.abs() >= least) & (found.values != 0)
    if positives_only:
        worth &= found.values > 0
    places = [(int(s), int(g), int(t)) for s, g, t in worth.nonzero().tolist()]
    chosen = [Lesson(place, draw) for place in places for draw in range(draws)]
    random.Random(f"lessons/{seed}").shuffle(chosen)
    return chosen


def updates(lessons: Sequence[Lesson], batch: int) -> Iterator[Sequence[Lesson]]:
    """Lessons of one optimizer step after the other, of nearly equal number, at most `batch`."""
    steps = -(-len(lessons) // batch)
    for step in range(steps):
        yield lessons[step * len(lessons) // steps : (step + 1) * len(lessons) // steps]


def edit_seed(run: int, iteration: int, session: str, place: Place) -> int:
    """Of what learning draws for an edit; another one than the edit was sampled with."""
    _, rollout, turn = place
    return derive_seed(f"rl learning {iteration}", session, turn + 1, rollout, run)
