"""Each context shows exactly what it names, re-read from the stored PNG, and nothing of the judge's side."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from micebench.editors.base import EditRequest
from micebench.engine.evaluate import evaluate
from micebench.engine.run_reader import Run
from micebench.execution.images import decode_png
from tests.toy import SECRET, Meter, Painter, toy_cards


class Witness(Painter):
    """Remembers what it was shown, then spoils it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[tuple[str, int], tuple[EditRequest, list[np.ndarray]]] = {}

    def edit(self, requests: Sequence[EditRequest]) -> list[Image.Image]:
        for request in requests:
            shown = [np.array(image) for image in request.images]
            self.seen[request.session_id, request.turn] = (request, shown)
        results = super().edit(requests)
        for request in requests:
            for image in request.images:
                image.paste((0, 0, 0), (0, 0, *image.size))
        return results


def run(tmp_path: Path, context: str) -> tuple[Witness, Run]:
    witness = Witness()
    cards = [toy_cards(tmp_path / "cards")]
    return witness, evaluate("toy", witness, out=tmp_path / "run", judge=Meter(), cards=cards, context=context)


def stored(run: Run, session: str) -> list[np.ndarray]:
    """Source and outputs of a session, as the blobs have them."""
    source = next(planned for planned in run.sessions() if planned.id == session)
    outputs = [run.blob(edit.image) for edit in run.edits() if edit.session == session and edit.image]
    return [np.asarray(decode_png(png)) for png in (source.image.read(), *outputs)]


@pytest.mark.parametrize(
    ("context", "instructions", "shown"),
    [
        ("last", ["paint 2 in turn 3"], [2]),
        ("history", ["paint 2 in turn 1", "paint 2 in turn 2", "paint 2 in turn 3"], [0, 1, 2]),
        ("composed", ["paint 2 in turn 1. paint 2 in turn 2. paint 2 in turn 3"], [0]),
    ],
)
def test_third_turn_of_each_context(tmp_path: Path, context: str, instructions: list[str], shown: list[int]) -> None:
    witness, finished = run(tmp_path, context)
    request, images = witness.seen["s002", 3]
    assert list(request.instructions) == instructions
    assert request.instruction == instructions[-1]
    pixels = stored(finished, "s002")
    assert len(pixels) == 4
    assert len(images) == len(shown)
    for image, number in zip(images, shown, strict=True):
        assert np.array_equal(image, pixels[number])


def test_nothing_of_the_judges_side_reaches_an_editor(tmp_path: Path) -> None:
    witness, finished = run(tmp_path, "history")
    assert len(witness.seen) == 17
    assert any(SECRET in str(session) for session in finished.sessions())
    for request, _ in witness.seen.values():
        assert {field.name for field in fields(request)} == {"session_id", "turn", "instructions", "images", "seed"}
        assert SECRET not in repr(request)
        assert all(image.info == {} for image in request.images)


def test_every_edit_has_a_seed_of_its_own_that_is_the_same_next_time(tmp_path: Path) -> None:
    first, _ = run(tmp_path / "a", "last")
    again, _ = run(tmp_path / "b", "last")
    seeds = {place: request.seed for place, (request, _) in first.seen.items()}
    assert len(set(seeds.values())) == len(seeds) == 17
    assert seeds == {place: request.seed for place, (request, _) in again.seen.items()}
