"""From a raw measure to a verdict: a similarity in [0, 1], and the raw number in the reason.

A verdict's value lies in [0, 1], and 1 is the best for every measure, distances included. Apart from values beyond
the clip the maps are affine, so that a published mean is recovered from a mean of values:

    L1 = 1 - value     L2 = 1 - value     LPIPS = 1 - value     PSNR = 50 dB x value
    SSIM, CLIP, DINO, CLIP.text = value   CLIP.direction = 2 x value - 1

Clipped are a PSNR above 50 dB (equal images have none: infinity), an LPIPS above 1, and cosines and SSIM below 0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from micebench.verdicts import Verdict

PSNR_TOP = 50.0
"""dB that count as the same image: two 8-bit images that differ by less than one level."""


@dataclass(frozen=True, slots=True)
class Scale:
    """`similarity`: raw -> value, before clipping; `words`: how the raw number is said."""

    similarity: Callable[[float], float]
    words: str


def _distance(raw: float) -> float:
    return 1.0 - raw


def _itself(raw: float) -> float:
    return raw


SCALES: dict[str, Scale] = {
    "L1": Scale(_distance, "L1 {:.5f}"),
    "L2": Scale(_distance, "L2 {:.6f}"),
    "PSNR": Scale(lambda raw: raw / PSNR_TOP, "PSNR {:.2f} dB"),
    "SSIM": Scale(_itself, "SSIM {:.4f}"),
    "LPIPS": Scale(_distance, "LPIPS {:.4f}"),
    "CLIP": Scale(_itself, "cosine {:.4f}"),
    "CLIP.text": Scale(_itself, "cosine {:.4f}"),
    "CLIP.direction": Scale(lambda raw: (1.0 + raw) / 2.0, "cosine {:.4f}"),
    "DINO": Scale(_itself, "cosine {:.4f}"),
}
"""Scale of a measure by the first part of its name, or by its whole name."""


def scored(measure: str, raw: float, note: str = "") -> Verdict:
    """The verdict of a raw measure. Raises ValueError for NaN, which no clip may hide."""
    if math.isnan(raw):
        raise ValueError(f"{measure} is not a number")
    scale = SCALES.get(measure) or SCALES[measure.partition(".")[0]]
    words = scale.words.format(raw)
    return Verdict.ok(min(1.0, max(0.0, scale.similarity(raw))), f"{words} ({note})" if note else words)
