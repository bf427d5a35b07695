"""Real photographs that test libraries install, and ways to spoil them."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

Spoil = Callable[[Image.Image, float], Image.Image]


def photographs(side: int = 256) -> dict[str, Image.Image]:
    """Name -> RGB photograph, at most `side` pixels a side. Skips where the sample images are not installed."""
    skimage, sklearn = pytest.importorskip("skimage"), pytest.importorskip("sklearn")
    import matplotlib

    folder = Path(skimage.__file__).parent / "data"
    names = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
    paths = [folder / name for name in names]
    paths += sorted((Path(sklearn.__file__).parent / "datasets" / "images").glob("*.jpg"))
    paths.append(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")
    found = {}
    for path in paths:
        with Image.open(path) as image:
            photograph = image.convert("RGB")
        photograph.thumbnail((side, side))
        found[path.stem] = photograph
    assert len(found) >= 7
    return found


@dataclass
class Shown:
    """A LazyImage over a PIL image."""

    image: Image.Image

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.image.tobytes() + str(self.image.size).encode()).hexdigest()

    def load(self) -> Image.Image:
        return self.image


def blur(image: Image.Image, sigma: float) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(sigma))


def noise(image: Image.Image, sigma: float) -> Image.Image:
    grain = np.random.default_rng(0).normal(0, sigma, (image.height, image.width, 3))
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


def jpeg(image: Image.Image, quality: float) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(quality))
    return Image.open(buffer).convert("RGB")


def cast(image: Image.Image, share: float) -> Image.Image:
    return Image.fromarray(np.clip(np.asarray(image) * np.array([1 + share, 1, 1 - share]), 0, 255).astype(np.uint8))


def contrast(image: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(factor)


def saturation(image: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Color(image).enhance(factor)


LADDERS: dict[str, tuple[Spoil, tuple[float, ...]]] = {
    "blur": (blur, (0.5, 1, 2, 4, 8)),
    "noise": (noise, (4, 8, 16, 32, 64)),
    "jpeg": (jpeg, (90, 60, 40, 20, 10, 5)),
    "cast": (cast, (0.05, 0.1, 0.2, 0.4, 0.8)),
    "fading": (contrast, (0.9, 0.6, 0.3, 0.1, 0.0)),
    "greying": (saturation, (0.8, 0.5, 0.2, 0.0)),
    "burning": (contrast, (1.3, 2, 4, 8)),
}
"""Ways to spoil a photograph, each from mild to severe."""
