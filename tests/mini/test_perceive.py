"""`perceive` reads every rendered scene of every split without a single error."""

from itertools import islice

import numpy as np
import pytest

from micebench.mini.generate import Plan, plans
from micebench.mini.perceive import perceive
from micebench.mini.render import render
from micebench.mini.world import Scene


def as_set(scene: Scene) -> tuple[str, frozenset[object]]:
    return scene.background, frozenset((thing.kind, thing.slots, thing.letter) for thing in scene.things)


def states(plan: Plan) -> list[Scene]:
    return [plan.source, *(step.scene for step in plan.steps)]


@pytest.mark.parametrize(
    ("split", "turns", "seed", "sessions"),
    [("test", 3, 0, 240), ("test", 10, 1, 34), ("validation", 3, 0, 60), ("train", 3, 0, 120), ("train", 10, 0, 20)],
)
@pytest.mark.parametrize("track", ["plain", "cm", "cu"])
def test_every_state_of_every_session_is_read_exactly(split, turns, seed, sessions, track):
    scenes = [scene for plan in islice(plans(split, track, turns, seed), sessions) for scene in states(plan)]
    reading = perceive(np.stack([render(scene) for scene in scenes]))
    wrong = [
        index
        for index, scene in enumerate(scenes)
        if (seen := reading.scene(index)) is None or as_set(seen) != as_set(scene)
    ]
    assert wrong == []
    assert reading.confidence.min() > 0.9


def test_one_image_and_none_are_read_too():
    image = render(next(plans("train", "plain", 3, 0)).source)
    assert len(perceive(image)) == 1
    assert len(perceive(np.zeros((0, 48, 48, 3), np.uint8))) == 0


@pytest.mark.parametrize("bad", [np.zeros((64, 64, 3), np.uint8), np.zeros((48, 48, 3), np.float32)])
def test_other_shapes_and_dtypes_are_refused(bad):
    with pytest.raises(ValueError, match="mini images are uint8"):
        perceive(bad)


def test_what_else_is_in_the_batch_changes_no_residual():
    """Quality is made of residuals: the same image has the same one alone, and a perfect image has none at all."""
    scenes = [scene for plan in islice(plans("test", "plain", 3, 0), 20) for scene in states(plan)]
    clean = np.stack([render(scene) for scene in scenes])
    noise = np.random.default_rng(0).normal(0, 6, clean.shape)
    soiled = np.clip(clean + noise, 0, 255).astype(np.uint8)
    together = perceive(np.concatenate([clean, soiled]))
    alone = [perceive(image) for image in (*clean, *soiled)]
    for name in ("residual", "roughness"):
        np.testing.assert_array_equal(getattr(together, name), np.concatenate([getattr(one, name) for one in alone]))
    assert together.roughness[: len(clean)].max() < 1e-6
