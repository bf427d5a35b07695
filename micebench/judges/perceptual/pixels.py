"""Measures of two images, pixel by pixel: arrays (H, W, 3) of float64 in [0, 1], of one size.

L1, L2      mean absolute, mean squared difference (MagicBrush, arXiv:2306.10012, reports both)
PSNR        -10 log10(L2), in dB; infinity for equal images
SSIM        Wang, Bovik, Sheikh, Simoncelli 2004: Gaussian window of 11 x 11 (sigma 1.5), K1 = 0.01, K2 = 0.03,
            population covariances; the mean over channels and over all windows that lie within the image
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float64]

_SIGMA, _RADIUS = 1.5, 5
_C1, _C2 = 0.01**2, 0.03**2


class TooSmall(ValueError):
    """The images are smaller than the measure's window."""


def l1(a: Pixels, b: Pixels) -> float:
    """In [0, 1]."""
    return float(np.abs(a - b).mean())


def l2(a: Pixels, b: Pixels) -> float:
    """In [0, 1]."""
    return float(np.square(a - b).mean())


def psnr(a: Pixels, b: Pixels) -> float:
    """In dB; infinity for equal images."""
    error = l2(a, b)
    return math.inf if error == 0 else -10.0 * math.log10(error)


def ssim(a: Pixels, b: Pixels) -> float:
    """In [-1, 1]. Raises TooSmall for images with a side below 11 pixels."""
    if min(a.shape[:2]) < 2 * _RADIUS + 1:
        raise TooSmall(f"SSIM needs {2 * _RADIUS + 1} pixels a side")
    mean_a, mean_b = _smooth(a), _smooth(b)
    variance_a = _smooth(a * a) - mean_a * mean_a
    variance_b = _smooth(b * b) - mean_b * mean_b
    covariance = _smooth(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a * mean_a + mean_b * mean_b + _C1)
    structure = (2 * covariance + _C2) / (variance_a + variance_b + _C2)
    return float((luminance * structure).mean())


def _smooth(image: Pixels) -> Pixels:
    """Gaussian mean of every window that lies within the image, (H - 10, W - 10, 3)."""
    import scipy.ndimage  # pyright: ignore[reportMissingTypeStubs]

    filters: Any = scipy.ndimage
    return filters.gaussian_filter(image, (_SIGMA, _SIGMA, 0), radius=(_RADIUS, _RADIUS, 0))[
        _RADIUS:-_RADIUS, _RADIUS:-_RADIUS
    ]


PIXEL_MEASURES: dict[str, Callable[[Pixels, Pixels], float]] = {"L1": l1, "L2": l2, "PSNR": psnr, "SSIM": ssim}
