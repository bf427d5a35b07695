"""How far a photograph has decayed: statistics of an image, held against those of the session's source image.

    quality = min over seven respects of a share in [0, 1]; 1 = in no respect worse than the source

    sharpness    min(1, s / s0)            s: standard deviation of the Laplacian after a 3 x 3 mean
    noise        exp(-(n - n0)+ / 0.05)    n: Immerkaer's estimate of the noise's standard deviation (1996)
    blocking     exp(-(b - b0)+ / 0.03)    b: mean step across the edges of an 8 x 8 grid less that elsewhere
    contrast     min(c, c0) / max(c, c0)   c: standard deviation of L* / 100, plus 0.01
    saturation   exp(-|v - v0| / 0.3)      v: mean HSV saturation of the pixels with V > 0.1
    clipping     exp(-(k - k0)+ / 0.3)     k: share of channel values at 0 or 255
    cast         exp(-d / 30)              d: distance of the mean (a*, b*) from the source's

Grey, gradients and noise are of gamma-encoded luma in [0, 1]; (x)+ is max(0, x); the index 0 marks the source.
Sharpness, saturation, contrast and over-exposure are what EdiVal-Bench reports as drift (EdiVal @ a7bbdec,
quality detector); noise, blocking and cast are what repeated editing adds. The scales (0.05, 0.03, 0.3, 30) are
ours: noise of 16 / 255, JPEG at quality 15 and a cast of 20 in CIELAB each leave about half.

An edit that was asked for moves these numbers too ("make it night"): a low quality is drift only on average, and
only beside the instructions. `destroyed` therefore looks at four respects that no instruction excuses (sharpness,
noise, contrast, clipping), far down. It is a screen that costs nothing; LME-Bench's own question goes to a
vision-language model (card `lme`).
"""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

Floats = NDArray[np.float64]

_LUMA = np.array([0.299, 0.587, 0.114])
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])
_NOISE_MASK = np.array([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]])
_GRID = 8


@dataclass(frozen=True, slots=True)
class Statistics:
    """What is measured in one image; symbols as in the module's docstring. `tint` is the mean (a*, b*)."""

    sharpness: float
    noise: float
    blocking: float
    contrast: float
    saturation: float
    clipping: float
    tint: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Respects:
    """Each in [0, 1]; 1 = as good as the source."""

    sharpness: float
    noise: float
    blocking: float
    contrast: float
    saturation: float
    clipping: float
    cast: float

    def worst(self, *names: str) -> tuple[str, float]:
        """(name, value) of the lowest, of all or of `names`."""
        values: dict[str, float] = asdict(self)
        return min(((name, values[name]) for name in names or values), key=lambda pair: pair[1])


FATAL = ("sharpness", "noise", "contrast", "clipping")
"""The respects that can destroy an image."""


def respects(source: "Image", current: "Image") -> Respects:
    """Compare two RGB images. If their sizes differ, the larger is first reduced to the smaller's."""
    from PIL.Image import Resampling

    size = min(source.size, current.size, key=lambda side: side[0] * side[1])
    first, second = (
        image if image.size == size else image.resize(size, Resampling.LANCZOS) for image in (source, current)
    )
    return compared(statistics(first), statistics(second))


def compared(source: Statistics, current: Statistics) -> Respects:
    """The formulas above."""
    low, high = sorted((source.contrast, current.contrast))
    return Respects(
        sharpness=min(1.0, current.sharpness / source.sharpness) if source.sharpness > 0 else 1.0,
        noise=_fading(current.noise - source.noise, 0.05),
        blocking=_fading(current.blocking - source.blocking, 0.03),
        contrast=low / high,
        saturation=_fading(abs(current.saturation - source.saturation), 0.3),
        clipping=_fading(current.clipping - source.clipping, 0.3),
        cast=_fading(float(np.hypot(*np.subtract(current.tint, source.tint))), 30.0),
    )


def _fading(excess: float, scale: float) -> float:
    return float(np.exp(-max(0.0, excess) / scale))


def statistics(image: "Image") -> Statistics:
    """Measure one RGB image. Images with a side below 3 pixels have no sharpness and no noise."""
    import scipy.ndimage  # pyright: ignore[reportMissingTypeStubs]

    filters: Any = scipy.ndimage
    levels = np.asarray(image, np.uint8)
    rgb = levels.astype(np.float64) / 255.0
    grey = rgb @ _LUMA
    detail = np.abs(filters.convolve(grey, _NOISE_MASK))[1:-1, 1:-1]
    lab = _lab(rgb)
    tint = lab[..., 1:].mean(axis=(0, 1))
    return Statistics(
        sharpness=float(filters.laplace(filters.uniform_filter(grey, 3)).std()),
        noise=float(np.sqrt(np.pi / 2) / 6 * detail.mean()) if detail.size else 0.0,
        blocking=(_grid_step(grey) + _grid_step(grey.T)) / 2,
        contrast=float(lab[..., 0].std()) / 100 + 0.01,
        saturation=_saturation(rgb),
        clipping=float(((levels == 0) | (levels == 255)).mean()),
        tint=(float(tint[0]), float(tint[1])),
    )


def _grid_step(grey: Floats) -> float:
    """How much larger the steps across the columns of the grid are than the others; 0 if they are not."""
    steps = np.abs(np.diff(grey, axis=1)).mean(axis=0)
    edges = np.arange(len(steps)) % _GRID == _GRID - 1
    return max(0.0, float(steps[edges].mean() - steps[~edges].mean())) if edges.any() else 0.0


def _saturation(rgb: Floats) -> float:
    value = rgb.max(axis=-1)
    seen = value > 0.1
    return float(((value - rgb.min(axis=-1))[seen] / value[seen]).mean()) if seen.any() else 0.0


def _lab(rgb: Floats) -> Floats:
    """sRGB in [0, 1] -> CIELAB (D65), (H, W, 3)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_XYZ.T / _WHITE
    delta = 6 / 29
    f = np.where(xyz > delta**3, np.cbrt(xyz), xyz / (3 * delta**2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
