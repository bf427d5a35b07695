"""Where pixels do not tell, `perceive` says unreadable; where it does answer, its confidence is earned."""

import io
from itertools import islice

import numpy as np
import pytest
from PIL import Image, ImageFilter

from micebench.mini.generate import plans
from micebench.mini.perceive import UNREADABLE, perceive
from micebench.mini.render import render
from micebench.mini.world import COLORS, MATERIALS


@pytest.fixture(scope="module")
def renders() -> np.ndarray:
    scenes = [step.scene for plan in islice(plans("validation", "plain", 3, 5), 50) for step in plan.steps]
    return np.stack([render(scene) for scene in scenes])


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(sigma)))


def noise(image: np.ndarray, std: float) -> np.ndarray:
    rng = np.random.default_rng(image.sum())
    return np.clip(image + rng.normal(0, 255 * std, image.shape), 0, 255).astype(np.uint8)


def cast(image: np.ndarray, amount: float) -> np.ndarray:
    return np.clip(image + 255 * amount * np.array([1, 0, -1]), 0, 255).astype(np.uint8)


HARM = [
    (jpeg, 90), (jpeg, 50), (jpeg, 20),
    (blur, 0.6), (blur, 1.0), (blur, 1.5),
    (noise, 0.03), (noise, 0.08), (noise, 0.15),
    (cast, 0.05), (cast, 0.1), (cast, 0.15),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "amount"), HARM)
def test_answers_under_harm_are_right_or_withheld(renders, harm, amount):
    truth = perceive(renders)
    seen = perceive(np.stack([harm(image, amount) for image in renders]))
    answered = seen.kind != UNREADABLE
    wrong = answered & ((seen.kind != truth.kind) | (seen.letter != truth.letter))
    assert wrong.mean() < 0.01
    lost = seen.background != UNREADABLE
    assert (seen.background[lost] == truth.background[lost]).all()


@pytest.mark.parametrize(
    ("harm", "amount"),
    [(jpeg, 70), (blur, 1.0), (noise, 0.06), (cast, 0.08)],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_light_harm_is_read_through(renders, harm, amount):
    truth = perceive(renders)
    seen = perceive(np.stack([harm(image, amount) for image in renders]))
    assert (seen.kind == truth.kind).mean() > 0.98


def test_confidence_is_calibrated(renders):
    """Among answers of confidence c, about a share c (or more) is right: no bin falls short by over 0.1."""
    truth = perceive(renders)
    confidence, right = [], []
    for harm, amount in HARM:
        seen = perceive(np.stack([harm(image, amount) for image in renders]))
        answered = seen.kind != UNREADABLE
        confidence.append(seen.confidence[answered])
        right.append(((seen.kind == truth.kind) & (seen.letter == truth.letter))[answered])
    scores, hits = np.concatenate(confidence), np.concatenate(right)
    for low, high in [(0.8, 0.9), (0.9, 0.97), (0.97, 0.999), (0.999, 1.01)]:
        inside = (scores >= low) & (scores < high)
        assert inside.sum() > 20
        assert hits[inside].mean() > scores[inside].mean() - 0.1


def test_garbage_is_unreadable():
    rng = np.random.default_rng(0)
    garbage = rng.integers(0, 256, (20, 48, 48, 3), dtype=np.uint8)
    flat = np.full((1, 48, 48, 3), 128, np.uint8)
    seen = perceive(np.concatenate([garbage, flat]))
    assert (seen.kind == UNREADABLE).all()
    assert (seen.background == UNREADABLE).all()


def test_halfway_between_two_shapes_is_unreadable(renders):
    """A blend of two objects of different shape is neither, and must be withheld."""
    first, second = perceive(renders[:-1]), perceive(renders[1:])
    mixed = (renders[:-1].astype(np.uint16) + renders[1:]) // 2
    seen = perceive(mixed.astype(np.uint8))
    per_shape = len(COLORS) * len(MATERIALS)
    both = (first.kind >= 0) & (second.kind >= 0) & (first.background == second.background)[:, None]
    differ = both & (first.kind // per_shape != second.kind // per_shape)
    assert differ.sum() > 20
    assert (seen.kind[differ] == UNREADABLE).mean() > 0.95
