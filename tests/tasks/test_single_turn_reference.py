"""mice-mini-reference: every turn of mice-mini's plain sessions, alone, with the words and pixels they have there."""

from itertools import islice

import numpy as np
import pytest

from micebench.cards import TaskCard, load_card
from micebench.errors import CardError
from micebench.mini.generate import plans
from micebench.mini.perceive import perceive
from micebench.mini.world import parse_name
from micebench.tasks.load import open_sessions
from micebench.tasks.mini import one_turn, to_session


@pytest.fixture(scope="module")
def cards():
    return load_card(TaskCard, "mice-mini"), load_card(TaskCard, "mice-mini-reference")


def test_words_are_those_of_mice_mini_and_each_turn_starts_where_the_reference_stood(cards):
    """Shown on the first 60 plain sessions, whose reference states mice-mini renders with targets: true."""
    whole, alone = cards
    drawn = whole.model_copy(update={"options": {**whole.options, "targets": True, "counts": {"plain": 60}}})
    turns = {session.id: session for session in open_sessions(alone, None)}
    assert len(turns) == 720
    for session in open_sessions(drawn, None):
        starts = [session.image, *(turn.target_image for turn in session.turns)]
        for turn, start in zip(session.turns, starts, strict=False):
            one = turns[f"{session.id}.t{turn.number}"]
            assert (one.track, one.rule, len(one.turns)) == ("plain", None, 1)
            said = one.turns[0]
            assert (said.instruction, said.formatted, said.edit_type, said.number) == (
                turn.instruction, turn.formatted, turn.edit_type, 1,
            )  # fmt: skip
            assert one.image.open().tobytes() == start.open().tobytes()
            assert said.bg_consistency == (turn.edit_type != "background_change")
            assert set(said.unchanged_objects) >= set(turn.unchanged_objects)


def test_turn_one_alone_is_turn_one():
    for plan in islice(plans("test", "plain", 3, 0), 40):
        alone = one_turn(plan, 1)
        assert (alone.source, alone.steps[0]) == (plan.source, plan.steps[0])


def test_pools_are_those_of_the_one_turn():
    """Unchanged is all but the edited object, read from pixels before and after."""
    for plan in islice(plans("test", "plain", 3, 0), 40):
        for number in (1, 2, 3):
            session = to_session(one_turn(plan, number), task="t", session_id="s", targets=True)
            (turn,) = session.turns
            pair = np.stack([np.asarray(image.open()) for image in (session.image, turn.target_image)])
            before, after = (perceive(pair).scene(row) for row in (0, 1))
            same = {thing.kind.name for thing in before.things if thing in after.things}
            assert set(turn.unchanged_objects) == same
            assert set(turn.available_objects) == {thing.kind.name for thing in after.things}
            assert set(turn.all_objects) == {thing.kind.name for thing in (*before.things, *after.things)}
            assert turn.bg_consistency == (before.background == after.background)
            for name in turn.available_objects:
                assert len(after.find(parse_name(name))) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"start": "refrence"}, "start is 'refrence'; give source or reference"),
        ({"start": "reference", "counts": {"plain": 2, "cm": 2}}, "is for plain sessions; counts names cm"),
    ],
)
def test_options_that_make_no_sense_are_refused(cards, options, said):
    card = cards[1].model_copy(update={"options": {**cards[1].options, **options}})
    with pytest.raises(CardError, match=said):
        next(open_sessions(card, None))
