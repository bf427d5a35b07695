"""Endless training data: batch b of a seed is always the same, whichever process makes it."""
# pyright: reportPrivateImportUsage=false, reportArgumentType=false, reportAttributeAccessIssue=false
# (diffusers exports its classes lazily and annotates them too narrowly)

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from micebench.editors.base import one_prompt
from micebench.instructions import EditType
from micebench.mini.generate import Plan, Split, plans
from micebench.mini.render import render
from micebench.mini.world import Scene
from micebench.training.supervised.recipe import Context, FlowRecipe, round_of

_TURNS = 3


@dataclass(frozen=True, slots=True)
class Example:
    """One edit that can be understood from its prompt."""

    source: Scene
    target: Scene
    prompt: str
    edit_type: EditType


def examples(split: Split, seed: int, part: FlowRecipe, context: Context) -> Iterator[Example]:
    """Edits of random sessions, every turn from its reference state.

    Without history these are all turns of plain sessions, and turn 1 of the others: later turns need the past.
    """
    rng = random.Random(f"examples/{split}/{seed}")
    weights, top = part.weights, max(part.weights.values(), default=1.0)
    while True:
        track = rng.choice(part.tracks)
        plan = next(plans(split, track, _TURNS, rng.getrandbits(48)))
        told = len(plan.steps) if track == "plain" or context == "history" else 1
        for number, step in enumerate(plan.steps[:told], start=1):
            if rng.random() < weights.get(step.edit.edit_type, 1.0) / max(top, 1.0):
                before = plan.source if number == 1 else plan.steps[number - 2].scene
                yield Example(before, step.scene, prompt_of(plan, number, context), step.edit.edit_type)


def prompt_of(plan: Plan, turn: int, context: Context) -> str:
    """What the pipeline is told at a turn (1-based)."""
    first = turn - 1 if context == "last" else 0
    return one_prompt([step.instruction for step in plan.steps[first:turn]])


class Batches(Dataset[dict[str, Any]]):
    """Batch number -> sources and targets (B, 48, 48, 3) uint8, prompts."""

    def __init__(self, seed: int, rounds: Sequence[FlowRecipe], context: Context = "last") -> None:
        self.seed, self.rounds, self.context = seed, tuple(rounds), context

    def __len__(self) -> int:
        return sum(part.steps for part in self.rounds)

    def __getitem__(self, number: int) -> dict[str, Any]:
        part, _ = round_of(self.rounds, number)
        stream = examples("train", self.seed * 1_000_003 + number, part, self.context)
        drawn = [next(stream) for _ in range(part.batch)]
        return {
            "source": np.stack([render(example.source) for example in drawn]),
            "target": np.stack([render(example.target) for example in drawn]),
            "prompt": [example.prompt for example in drawn],
        }


def batches(data: Batches, start: int, workers: int = 1) -> Iterator[dict[str, Any]]:
    """Batches `start`, `start` + 1, ... made by worker processes."""
    loader = DataLoader(
        data,
        batch_size=None,
        sampler=range(start, len(data)),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        collate_fn=_as_is,
        generator=torch.Generator(),  # else it draws from the global one, and a resumed run differs
    )
    yield from loader


def _as_is(batch: dict[str, Any]) -> dict[str, Any]:
    return batch


def to_unit(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32 in [-1, 1], as the autoencoder takes it."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).astype(np.float32) / 127.5 - 1
