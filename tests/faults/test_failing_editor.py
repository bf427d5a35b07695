"""What an editor does wrong is recorded for the guilty session; all others are finished and judged."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from micebench.editors.base import EditRequest
from micebench.engine.evaluate import evaluate
from micebench.errors import CardError
from tests.toy import Meter, Painter, toy_cards

NAN = np.full((8, 8, 3), np.nan)


class Faulty(Painter):
    """Paints, unless turn 2 of s001 is among the requests."""

    def __init__(self, bad: object) -> None:
        super().__init__()
        self.bad = bad

    def edit(self, requests: Sequence[EditRequest]) -> list:
        results: list = super().edit(requests)
        for place, request in enumerate(requests):
            if (request.session_id, request.turn) == ("s001", 2):
                if isinstance(self.bad, Exception):
                    raise self.bad
                if isinstance(self.bad, str):
                    return results[:-1]
                results[place] = self.bad
        return results


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (NAN, "the editor returned an image with 192 values that are NaN or infinite"),
        (np.zeros((8, 9, 3), np.uint8), "the editor returned an image of 9 x 8 pixels for an input of 8 x 8"),
        (None, "the editor returned None; expected a PIL image or an array (height, width, 3)"),
        (RuntimeError("out\nof memory"), "RuntimeError: out of memory"),
        (MemoryError(), "MemoryError"),
        ("short", "the editor returned 0 images for 1 requests"),
    ],
    ids=["nan", "size", "none", "raises", "memory", "short"],
)
@pytest.mark.parametrize("batch", [1, 4])
def test_one_bad_edit_fails_one_session(tmp_path: Path, bad: object, said: str, batch: int) -> None:
    cards = [toy_cards(tmp_path / "cards")]
    run = evaluate("toy", Faulty(bad), out=tmp_path / "run", judge=Meter(), cards=cards, batch=batch)
    assert [tuple(failure) for failure in run.failures()] == [("s001", 0, 2, said)]
    made = [(edit.session, edit.turn) for edit in run.edits() if edit.status == "ok"]
    assert len(made) == 17 - 2
    assert ("s001", 1) in made
    assert ("s001", 3) not in {(edit.session, edit.turn) for edit in run.edits()}
    judged = {(verdict.session, verdict.turn) for verdict in run.verdicts()}
    assert judged == set(made)
    summary = run.summary()
    assert summary["coverage"]["IF"]["missing"] == 2
    first = summary["metrics"]["marginal_success"]
    assert (first["1"]["n"], first["2"]["n"], first["2"]["of"]) == (6, 5, 6)


def test_a_lone_bad_request_does_not_disturb_the_good_ones_of_its_batch(tmp_path: Path) -> None:
    cards = [toy_cards(tmp_path / "cards")]
    good = evaluate("toy", Painter(), out=tmp_path / "good", judge=Meter(), cards=cards)
    bad = evaluate("toy", Faulty(ValueError("x")), out=tmp_path / "bad", judge=Meter(), cards=cards)
    wanted = {(edit.session, edit.turn): edit.image for edit in good.edits()}
    for edit in bad.edits():
        assert edit.image is None or edit.image == wanted[edit.session, edit.turn]


def test_a_task_may_allow_other_sizes(tmp_path: Path) -> None:
    cards = toy_cards(tmp_path / "cards")
    card = cards / "tasks/toy/task.yaml"
    card.write_text(card.read_text() + "same_size: false\n")
    run = evaluate("toy", Faulty(np.zeros((8, 9, 3), np.uint8)), out=tmp_path / "run", judge=Meter(), cards=[cards])
    assert [failure.turn for failure in run.failures()] == [3], "turn 2 was taken; the painter itself then trips"


@pytest.mark.parametrize("thing", [object(), "tests.toy:SECRET", "tests.toy:sessions"])
def test_what_is_no_editor_is_refused_before_anything_starts(tmp_path: Path, thing: object) -> None:
    with pytest.raises(CardError, match=r"is not an editor: it has no method 'edit'|not a class"):
        evaluate("toy", thing, out=tmp_path / "run", cards=[toy_cards(tmp_path / "cards")])
    assert not (tmp_path / "run").exists()
