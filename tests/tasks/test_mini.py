"""Sessions for training can be rich in the edits that an editor gets wrong."""

from collections import Counter

import pytest

from micebench.cards import TaskCard, load_card
from micebench.errors import CardError
from micebench.tasks.mini import sessions

CARD = load_card(TaskCard, "mice-mini-train")


def made(weights, count=150, card=CARD):
    return list(sessions(card, None, split="train", turns=3, counts={"plain": count}, weights=weights))


def types(of):
    return Counter(turn.edit_type for session in of for turn in session.turns)


def test_types_of_small_weight_become_rare():
    usual, favoured = types(made(None)), types(made({"text_change": 0.1, "subject_remove": 0.1, "subject_add": 2.0}))
    for kind in ("text_change", "subject_remove"):
        assert 0 < favoured[kind] < usual[kind] / 3
    assert favoured["subject_add"] > 1.5 * usual["subject_add"]


def test_equal_weights_change_nothing():
    assert made({"text_change": 3.0} | dict.fromkeys(types(made(None)), 3.0), 20) == made(None, 20)


def test_only_the_choice_differs():
    """What stays is from the same stream: the sessions as they would have been."""

    def words(of):
        return {tuple(turn.instruction for turn in session.turns) for session in of}

    assert words(made({"text_change": 0.5}, 20)) < words(made(None, 150))


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"colour_alter": 1.0}, "no edit type is called 'colour_alter'; types: .*color_alter"),
        ({"text_change": 0.0}, r"weights lie in \(0, 100\]"),
        ({"text_change": float("nan")}, r"weights lie in \(0, 100\]"),
    ],
)
def test_wrong_weights_are_named(weights, said):
    with pytest.raises(CardError, match=f"task 'mice-mini-train', weights: {said}"):
        made(weights, 1)
