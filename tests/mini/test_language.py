"""Whatever the generator says, a listener understands; whatever the brackets say, the parser reads back."""

import random
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micebench.instructions import EDIT_TYPES, parse_instruction
from micebench.mini.generate import format_edit, plans
from micebench.mini.language import Listener, join_rule, name_after, say, say_rule
from micebench.mini.wordings import WORDINGS


@pytest.mark.parametrize("track", ["plain", "cm", "cu"])
def test_the_dialogue_tells_every_edit(track):
    for plan in islice(plans("train", track, 10, 3), 40):
        listener, scene = Listener(), plan.source
        for step in plan.steps:
            heard = listener.hear(step.instruction, scene)
            assert heard is not None, step.instruction
            assert heard.edit_type == step.edit.edit_type
            assert (heard.value, heard.count, heard.relation) == (
                step.edit.value,
                step.edit.count,
                step.edit.relation,
            )
            scene = step.scene
        if plan.rule is not None:
            assert (listener.rule.attribute, listener.rule.value) == (plan.rule.attribute, plan.rule.value)


def test_bracketed_forms_round_trip():
    for track in ("plain", "cm", "cu"):
        for plan in islice(plans("train", track, 10, 4), 40):
            for step in plan.steps:
                assert parse_instruction(step.edit.edit_type, step.formatted) == step.edit
                assert format_edit(step.edit) == step.formatted


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**9))
def test_every_wording_is_unambiguous(seed):
    """A sentence means one thing, whichever of the wordings said it."""
    rng = random.Random(seed)
    plan = next(plans("train", "plain", 3, seed % 50))
    for step in plan.steps:
        heard = Listener().hear(say(step.edit, rng))
        assert heard == step.edit


def test_rules_are_heard():
    rng = random.Random(0)
    for attribute, value in [("color", "red"), ("material", "wood")] * 10:
        listener = Listener()
        listener.hear(join_rule(say_rule(attribute, value, rng), "Remove the wood red circle"))
        assert (listener.rule.attribute, listener.rule.value) == (attribute, value)


def test_a_pronoun_without_a_past_is_not_understood():
    assert Listener().hear("Make it red") is None
    assert Listener().hear("Do something nice") is None


def test_all_nine_types_have_words():
    assert {kind for kind, _, _ in WORDINGS} == set(EDIT_TYPES)


def test_pronouns_follow_the_edited_object():
    listener = Listener()
    listener.hear("Replace the wood red circle with a metal blue square")
    edit = listener.hear("Make it green")
    assert edit.target == "metal blue square"
    assert name_after(edit) == "metal green square"
    listener.hear("Remove it")
    assert listener.hear("Add a stone pink heart there").anchor == "metal green square"
