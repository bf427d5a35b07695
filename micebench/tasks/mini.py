"""mice-mini: sessions of the embedded world, in the record schema of MICE-Bench."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path

from micebench.cards import TaskCard
from micebench.mini.generate import Plan, Split, plans
from micebench.mini.world import Scene
from micebench.sessions import ImageFile, Session, Track, Turn


def sessions(
    card: TaskCard,
    folder: Path | None,
    *,
    split: Split,
    turns: int,
    counts: Mapping[Track, int],
    seed: int = 0,
    targets: bool = False,
) -> Iterator[Session]:
    """Generate a split: `counts` sessions of each track.

    Args:
        targets: also render the reference state after every turn (`Turn.target_image`).
    """
    streams: dict[Track, Iterator[Plan]] = {track: plans(split, track, turns, seed) for track in counts}
    for number in range(max(counts.values())):  # tracks take turns, so that the first n sessions show them all
        for track, stream in streams.items():
            if number < counts[track]:
                yield to_session(next(stream), task=card.id, session_id=f"{track}-{number:04d}", targets=targets)


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

    buffer = io.BytesIO()
    Image.fromarray(render(scene)).save(buffer, "PNG", compress_level=1)
    return ImageFile(path, data=buffer.getvalue())
