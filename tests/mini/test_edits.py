"""Properties over random scenes and edits: what an edit must change, what it must not, what can be read back."""

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from micebench.mini.edits import ImpossibleEdit, apply_edit
from micebench.mini.generate import plans
from micebench.mini.perceive import perceive
from micebench.mini.render import join_slots, render, split_slots
from micebench.mini.world import (
    BACKGROUNDS,
    COLORS,
    LETTERS,
    MATERIALS,
    SHAPES,
    SLOTS,
    Kind,
    Scene,
    Thing,
    parse_name,
    plural,
)

KINDS = st.builds(Kind, st.sampled_from(SHAPES), st.sampled_from(COLORS), st.sampled_from(MATERIALS))


@st.composite
def scenes(draw) -> Scene:
    kinds = draw(st.lists(KINDS, max_size=6, unique=True))
    order = draw(st.permutations(range(SLOTS)))
    things = [
        Thing(kind, (slot,), draw(st.none() | st.sampled_from(LETTERS)))
        for kind, slot in zip(kinds, order, strict=False)
    ]
    return Scene(draw(st.sampled_from(BACKGROUNDS)), tuple(things))


@settings(max_examples=300, deadline=None)
@given(scenes())
def test_any_scene_is_read_back(scene):
    seen = perceive(render(scene)).scene(0)
    assert seen is not None
    assert (seen.background, set(seen.things)) == (scene.background, set(scene.things))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["plain", "cm", "cu"]))
def test_an_edit_changes_its_object_and_nothing_else(seed, track):
    plan = next(plans("train", track, 3, seed))
    before = plan.source
    for step in plan.steps:
        kept = [thing for thing in before.things if thing in step.scene.things]
        assert len(before.things) - len(kept) <= 1
        assert len(step.scene.things) - len(kept) <= 1
        if step.edit.edit_type != "background_change":
            old, new = split_slots(render(before)), split_slots(render(step.scene))
            for thing in kept:
                assert (old[list(thing.slots)] == new[list(thing.slots)]).all()
        else:
            assert kept == list(before.things)
        assert render(before).tolist() != render(step.scene).tolist()
        before = step.scene


@settings(max_examples=100, deadline=None)
@given(scenes(), st.integers(0, 1000))
def test_edits_of_other_scenes_are_refused_or_sound(scene, seed):
    step = random.Random(seed).choice(next(plans("train", "plain", 3, seed)).steps)
    try:
        after = apply_edit(scene, step.edit)
    except ImpossibleEdit:
        return
    slots = [slot for thing in after.things for slot in thing.slots]
    assert len(slots) == len(set(slots))
    assert len({thing.kind for thing in after.things}) == len(after.things)


@given(KINDS)
def test_names_round_trip(kind):
    assert parse_name(kind.name) == kind
    assert parse_name(plural(kind.name)) == kind
    assert kind.with_("color", None).fits(kind)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_slots_and_images_are_two_views_of_one_thing(seed):
    image = np.random.default_rng(seed).integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)
    assert (join_slots(split_slots(image).reshape(2, 3, 3, 16, 16, 3)) == image).all()
