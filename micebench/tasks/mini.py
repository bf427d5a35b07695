"""mice-mini: sessions of the embedded world, in the record schema of MICE-Bench."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Literal

from micebench.cards import TaskCard
from micebench.errors import CardError
from micebench.instructions import EDIT_TYPES, EditType
from micebench.metrics.exposure import turn_id
from micebench.mini.generate import Plan, Split, plans
from micebench.mini.world import Scene
from micebench.sessions import ImageFile, Session, Track, Turn
from micebench.utils.png import encode_png

Start = Literal["source", "reference"]
"""Where a session begins: at its source image, or (every turn on its own) at the reference state before a turn."""


def sessions(
    card: TaskCard,
    folder: Path | None,
    *,
    split: Split,
    turns: int,
    counts: Mapping[Track, int],
    seed: int = 0,
    weights: Mapping[EditType, float] | None = None,
    targets: bool = False,
    start: Start = "source",
) -> Iterator[Session]:
    """Generate a split: `counts` sessions of each track.

    Args:
        weights: how often an edit of a type stays, relative to the type with the largest weight; 1 if not named. A
            session stays with the product over its turns, so that those where an editor errs can be made common.
        targets: also render the reference state after every turn (`Turn.target_image`).
        start: with "reference", turn k of session S becomes the one-turn session ``S.tk`` that starts where a
            perfect editor would stand before it; plain track only, whose instructions need no past.

    Raises:
        CardError: an unknown `start`, or "reference" with another track than plain; wrong weights.
    """
    if start not in ("source", "reference"):
        raise CardError(f"task {card.id!r}: start is {start!r}; give source or reference")
    if start == "reference" and set(counts) != {"plain"}:
        others = ", ".join(track for track in counts if track != "plain") or "no track"
        raise CardError(f"task {card.id!r}: start: reference is for plain sessions; counts names {others}")
    kept = _kept(card, weights or {})
    streams: dict[Track, Iterator[Plan]] = {
        track: _thinned(plans(split, track, turns, seed), kept, f"{split}/{track}/{seed}") for track in counts
    }
    for number in range(max(counts.values())):  # tracks take turns, so that the first n sessions show them all
        for track, stream in streams.items():
            if number >= counts[track]:
                continue
            plan, name = next(stream), f"{track}-{number:04d}"
            if start == "source":
                yield to_session(plan, task=card.id, session_id=name, targets=targets)
                continue
            for turn in range(1, turns + 1):
                alone = one_turn(plan, turn)
                yield to_session(alone, task=card.id, session_id=turn_id(name, turn), targets=targets)


def _kept(card: TaskCard, weights: Mapping[EditType, float]) -> dict[EditType, float]:
    """Share of each type's edits that stays."""
    unknown = sorted(weights.keys() - set(EDIT_TYPES))
    if unknown or any(not 0 < weight <= 100 for weight in weights.values()):
        wrong = f"no edit type is called {unknown[0]!r}" if unknown else "weights lie in (0, 100]"
        raise CardError(f"task {card.id!r}, weights: {wrong}; types: {', '.join(EDIT_TYPES)}")
    given: dict[EditType, float] = {kind: weights.get(kind, 1.0) for kind in EDIT_TYPES}
    largest = max(given.values())
    return {kind: given[kind] / largest for kind in EDIT_TYPES}


def _thinned(stream: Iterator[Plan], kept: Mapping[EditType, float], seed: str) -> Iterator[Plan]:
    rng = random.Random(f"thinned/{seed}")
    for plan in stream:
        if rng.random() < prod(kept[step.edit.edit_type] for step in plan.steps):
            yield plan


def one_turn(plan: Plan, turn: int) -> Plan:
    """Turn `turn` (1-based) of a plain session as a session of its own, from the reference state before it.

    Same words; pools and background flag are those of the one turn: whatever the edit leaves alone is unchanged,
    also what an earlier turn of the whole session had made.
    """
    step = plan.steps[turn - 1]
    before = plan.source if turn == 1 else plan.steps[turn - 2].scene
    names = [thing.kind.name for thing in before.things]
    alone = replace(
        step,
        unchanged=tuple(thing.kind.name for thing in before.things if thing in step.scene.things),
        every=(*names, *(name for name in step.available if name not in names)),
        same_background=step.edit.edit_type != "background_change",
    )
    return Plan(plan.track, before, None, (alone,))


def to_session(plan: Plan, *, task: str, session_id: str, targets: bool = False) -> Session:
    """A generated plan as a session with its rendered source."""
    return Session(
        id=session_id,
        task=task,
        track=plan.track,
        image=_drawn(plan.source, f"{session_id}.png"),
        rule=plan.rule,
        provenance=f"{task}:{session_id}",
        turns=tuple(
            Turn(
                number=number,
                instruction=step.instruction,
                edit_type=step.edit.edit_type,
                formatted=step.formatted,
                unchanged_objects=step.unchanged,
                available_objects=step.available,
                all_objects=step.every,
                bg_consistency=step.same_background,
                target_image=_drawn(step.scene, f"{session_id}-turn-{number}.png") if targets else None,
            )
            for number, step in enumerate(plan.steps, start=1)
        ),
    )


def _drawn(scene: Scene, path: str) -> ImageFile:
    from PIL import Image

    from micebench.mini.render import render

    return ImageFile(path, data=encode_png(Image.fromarray(render(scene))))
