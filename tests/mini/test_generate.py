"""Training never sees a test scene, nor a held-out combination of attributes; equal seeds give equal sessions."""

from itertools import islice

import pytest

from micebench.mini.generate import HELD_OUT, plans, split_of
from micebench.mini.render import every_kind
from micebench.mini.world import parse_name

TRACKS = ("plain", "cm", "cu")


@pytest.mark.parametrize("track", TRACKS)
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_sources_belong_to_their_split_and_come_once(split, track):
    sources = [plan.source for plan in islice(plans(split, track, 3, 0), 150)]
    assert {split_of(source) for source in sources} == {split}
    assert len(set(sources)) == len(sources)


def test_held_out_looks_appear_in_test_only():
    def looks(split):
        return {
            thing.kind
            for track in TRACKS
            for plan in islice(plans(split, track, 3, 0), 240)
            for scene in [plan.source, *(step.scene for step in plan.steps)]
            for thing in scene.things
        }

    assert not looks("train") & HELD_OUT
    assert not looks("validation") & HELD_OUT
    assert looks("test") >= HELD_OUT
    words = {attribute for kind in HELD_OUT for attribute in (kind.shape, kind.color, kind.material)}
    assert words == {attribute for kind in every_kind() for attribute in (kind.shape, kind.color, kind.material)}


def test_equal_arguments_give_equal_sessions():
    assert list(islice(plans("train", "cu", 3, 7), 20)) == list(islice(plans("train", "cu", 3, 7), 20))
    assert next(plans("train", "cu", 3, 7)) != next(plans("train", "cu", 3, 8))


@pytest.mark.parametrize("track", TRACKS)
def test_pools_follow_the_scene(track):
    """Unchanged objects are those of the source no turn touched; names of the pools fit exactly one object."""
    for plan in islice(plans("test", track, 10, 2), 30):
        for step in plan.steps:
            assert set(step.unchanged) <= set(step.available) <= set(step.every)
            for name in step.available:
                assert len(step.scene.find(parse_name(name))) == 1, (name, step.scene)
            untouched = {thing for thing in plan.source.things if thing in step.scene.things}
            assert {thing.kind.name for thing in untouched} >= set(step.unchanged)


def test_cm_sessions_bind_something_and_never_ask_for_the_rule_itself():
    for plan in islice(plans("test", "cm", 3, 0), 240):
        types = [step.edit.edit_type for step in plan.steps]
        assert sum(kind in ("subject_remove", "background_change") for kind in types) <= 1
        assert ("color_alter" if plan.rule.attribute == "color" else "material_alter") not in types


def test_cu_sessions_refer_by_pronoun_from_turn_two():
    pronouns = {"it", "its", "them", "their", "there", "that"}
    for plan in islice(plans("test", "cu", 3, 0), 240):
        for step in plan.steps[1:]:
            assert pronouns & set(step.instruction.lower().split()), step.instruction
