"""Similarity of two feature maps. Cosines are clipped at 0, so that every value lies in [0, 1]."""

import math

import numpy as np
from numpy.typing import NDArray

from micebench.judges.models.base import FeatureMap
from micebench.judges.protocols.consistency.regions import Mask, patch_weights

Floats = NDArray[np.float32]


def object_similarity(
    one: FeatureMap, other: FeatureMap, *, class_share: float, registers_as_patches: bool = False
) -> float:
    """class_share · cos(class tokens) + (1 - class_share) · cos(mean patches), in [0, 1].

    `registers_as_patches` puts the register tokens into the mean, as EdiVal's script does.
    """
    classes = _cosine(one.cls, other.cls)
    means = [_tokens(features, registers_as_patches).mean(0) for features in (one, other)]
    return _clipped(class_share * classes + (1.0 - class_share) * _cosine(means[0], means[1]))


def pooled_similarity(
    one: FeatureMap, other: FeatureMap, mask: Mask, *, patch_floor: float, registers_as_patches: bool
) -> float | None:
    """The published background similarity: cosine of two vectors, each the weighted mean of its unit patch tokens.

    Blind to layout: patches may change places. None if no patch is background for at least `patch_floor`.
    With `registers_as_patches` the tokens are laid out on the grid upstream guesses from their number.
    """
    tokens = [_tokens(features, registers_as_patches) for features in (one, other)]
    height, width = one.patches.shape[:2]
    grid = guessed_grid(len(tokens[0]), height / width) if registers_as_patches else (height, width)
    weights = _kept(patch_weights(mask, grid, one.covers), patch_floor)
    if not weights.any():
        return None
    pooled = [(_unit(rows) * weights.reshape(-1, 1)).sum(0) for rows in tokens]
    return _clipped(_cosine(pooled[0], pooled[1]))


def patchwise_similarity(one: FeatureMap, other: FeatureMap, mask: Mask, *, patch_floor: float) -> float | None:
    """Mean over background patches of the cosine with the patch at the same place, weighted by its background.

    None if no patch is background for at least `patch_floor`.
    """
    weights = _kept(patch_weights(mask, one.patches.shape[:2], one.covers), patch_floor)
    if not weights.any():
        return None
    cosines = np.clip((_unit(one.patches) * _unit(other.patches)).sum(-1), 0.0, 1.0)
    return _clipped(float((cosines * weights).sum() / weights.sum()))


def guessed_grid(tokens: int, aspect: float) -> tuple[int, int]:
    """(rows, columns) with rows · columns = tokens whose ratio is nearest to `aspect` (height / width).

    How upstream finds its grid: right for 196 tokens (14 x 14), wrong for the 200 it has with four registers
    (10 x 20).
    """
    pairs = [
        pair
        for columns in range(1, math.isqrt(tokens) + 1)
        if tokens % columns == 0
        for pair in ((tokens // columns, columns), (columns, tokens // columns))
    ]
    return min(pairs, key=lambda pair: abs(pair[0] / pair[1] - aspect))


def _tokens(features: FeatureMap, registers_as_patches: bool) -> Floats:
    patches = features.patches.reshape(-1, features.patches.shape[-1])
    return np.concatenate([features.registers, patches]) if registers_as_patches else patches


def _kept(weights: Floats, floor: float) -> Floats:
    return np.where(weights >= floor, weights, 0.0).astype(np.float32)


def _unit(rows: Floats) -> Floats:
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-8)


def _cosine(one: Floats, other: Floats) -> float:
    return float(np.dot(_unit(one).astype(np.float64), _unit(other).astype(np.float64)))


def _clipped(value: float) -> float:
    if not math.isfinite(value):  # min and max would make a 0 of it
        raise ValueError("the features are not finite")
    return min(1.0, max(0.0, value))
