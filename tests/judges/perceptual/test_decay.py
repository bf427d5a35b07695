"""Quality falls with every step of every kind of damage, on real photographs; identity is 1."""

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from micebench.judges.perceptual.decay import FATAL, respects
from tests.judges.photographs import LADDERS, blur, cast, jpeg, noise, photographs, saturation

DESTROYED_BELOW = 0.1
RUINED = {"blur": (blur, 10), "noise": (noise, 90)}


@pytest.fixture(scope="module")
def photos():
    return photographs(128)


def test_identity_is_perfect(photos):
    for name, photo in photos.items():
        assert respects(photo, photo.copy()).worst()[1] == 1.0, name


@pytest.mark.parametrize("kind", LADDERS)
def test_more_damage_is_less_quality(photos, kind):
    spoil, levels = LADDERS[kind]
    for name, photo in photos.items():
        qualities = [1.0, *(respects(photo, spoil(photo, level)).worst()[1] for level in levels)]
        assert all(after < before for before, after in pairwise(qualities)), (name, qualities)


def test_damage_is_named(photos):
    photo = photos["china"]
    for spoil, level, name in (
        (blur, 2, "sharpness"),
        (noise, 16, "noise"),
        (jpeg, 10, "blocking"),
        (cast, 0.2, "cast"),
    ):
        assert respects(photo, spoil(photo, level)).worst()[0] == name
    assert respects(photo, saturation(photo, 0.2)).worst()[0] == "saturation"


@pytest.mark.parametrize("level", [0, 90, 255])
def test_blank_frames_are_destroyed(photos, level):
    for name, photo in photos.items():
        blank = Image.fromarray(np.full((photo.height, photo.width, 3), level, np.uint8))
        assert respects(photo, blank).worst(*FATAL)[1] < DESTROYED_BELOW, name


@pytest.mark.parametrize("kind", RUINED)
def test_ruins_are_destroyed_and_worn_images_are_not(photos, kind):
    spoil, level = RUINED[kind]
    for name, photo in photos.items():
        assert respects(photo, spoil(photo, level)).worst(*FATAL)[1] < DESTROYED_BELOW, name
        assert respects(photo, spoil(photo, level / 8)).worst(*FATAL)[1] > 2 * DESTROYED_BELOW, name


def test_another_scene_is_not_a_destroyed_one(photos):
    """What an image shows is none of this measure's business, black and white least of all."""
    for first, photo in photos.items():
        assert respects(photo, saturation(photo, 0.0)).worst(*FATAL)[1] > 0.8
        for other in photos.values():
            assert respects(photo, other.resize(photo.size)).worst(*FATAL)[1] > 2 * DESTROYED_BELOW, first


def test_a_smaller_copy_is_compared_at_its_own_size(photos):
    photo = photos["astronaut"]
    small = photo.resize((photo.width // 2, photo.height // 2), Image.Resampling.LANCZOS)
    assert respects(photo, small).worst()[1] == 1.0
