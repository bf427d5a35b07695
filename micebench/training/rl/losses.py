"""What is minimised: flow-GRPO's clipped ratio, DiffusionNFT's loss, and two distances to a reference.

All are per item, (B,), in float32 (float64 stays float64): the caller weighs and averages.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor


def nft_loss(
    v: Tensor,
    v_old: Tensor,
    x: Tensor,
    clean: Tensor,
    sigma: Tensor,
    advantage: Tensor,
    *,
    beta: float,
    clip: float,
    changed: Tensor | None = None,
    changed_share: float = 0.0,
) -> Tensor:
    """DiffusionNFT (Zheng et al. 2025): pull the velocity towards good samples and push it from bad ones.

    With r = 1/2 + clamp(advantage, +-clip) / (2 clip), the implicit policies v+ = beta v + (1 - beta) v_old and
    v- = (1 + beta) v_old - beta v are both fitted to the sample, v+ with weight r and v- with 1 - r. At v = v_old the
    gradient is clamp(advantage) times that of v+'s term: advantage-weighted flow matching.

    Args:
        v: (B, N, C) predicted velocity at x; the only argument with a gradient.
        v_old: (B, N, C) velocity of the policy that sampled `clean`.
        x: (B, N, C) = (1 - sigma) clean + sigma noise.
        clean: (B, N, C) sampled latents.
        sigma: (B,) noise levels in (0, 1].
        advantage: (B,).
        beta: strength of guidance, > 0; 1 fits v itself, smaller values move it further per sample.
        clip: largest advantage; the loss is multiplied by it.
        changed: (B, N) bool, tokens the edit changed; `changed_share` of the loss is on them.

    Returns:
        (B,) clip * (r l+ + (1 - r) l-) / beta, where l is the squared error of the implied clean latents over its own
        mean absolute error (a constant of the gradient).
    """
    v, v_old, x, clean = (_wide(tensor) for tensor in (v, v_old.detach(), x, clean))
    weights = _token_weights(clean, changed, changed_share)
    level = sigma.to(v.dtype).reshape(-1, 1, 1)

    def error(velocity: Tensor) -> Tensor:
        off = x - level * velocity - clean
        size = (off.detach().abs().mean(-1) * weights).sum(1).clamp(min=1e-5)
        return (off.square().mean(-1) * weights).sum(1) / size

    good = error(beta * v + (1 - beta) * v_old)
    bad = error((1 + beta) * v_old - beta * v)
    share = 0.5 + advantage.to(v.dtype).clamp(-clip, clip) / (2 * clip)
    return clip * (share * good + (1 - share) * bad) / beta


class RatioStatistics(NamedTuple):
    """0-dimensional tensors without gradient.

    Attributes:
        ratio: mean probability ratio.
        off: largest |ratio - 1|; 0 before the first update.
        clipped: share of entries whose gradient the clipping stops.
    """

    ratio: Tensor
    off: Tensor
    clipped: Tensor


def grpo_loss(
    log_prob: Tensor,
    old_log_prob: Tensor,
    advantage: Tensor,
    *,
    clip_low: float,
    clip_high: float,
    advantage_clip: float,
) -> tuple[Tensor, RatioStatistics]:
    """PPO's clipped surrogate (Schulman et al. 2017) of denoising steps, as in Flow-GRPO (Liu et al. 2025).

    Args:
        log_prob: (B,) or (B, w) under the policy, with gradient.
        old_log_prob: the same under the policy that sampled.
        advantage: (B,), or like `log_prob`.
        clip_low, clip_high: the ratio counts within [1 - clip_low, 1 + clip_high]; log-probabilities are means over
            dimensions, so 1e-5 to 1e-4 is usual.
        advantage_clip: advantages are clamped to this.

    Returns:
        Loss like `log_prob`, and statistics of the ratio.
    """
    ratio = (_wide(log_prob) - _wide(old_log_prob.detach())).exp()
    worth = advantage.to(ratio.dtype).clamp(-advantage_clip, advantage_clip)
    worth = worth.reshape(*worth.shape, *[1] * (ratio.ndim - worth.ndim))
    free, bounded = -worth * ratio, -worth * ratio.clamp(1 - clip_low, 1 + clip_high)
    with torch.no_grad():
        statistics = RatioStatistics(ratio.mean(), (ratio - 1).abs().max(), (bounded > free).to(ratio.dtype).mean())
    return torch.maximum(free, bounded), statistics


def gaussian_kl(mean: Tensor, reference_mean: Tensor, std: Tensor) -> Tensor:
    """(B,) KL divergence of two Gaussians with the same `std` (of the whole step), averaged over dimensions."""
    return ((_wide(mean) - _wide(reference_mean)) / std).square().flatten(1).mean(1) / 2


def velocity_kl(v: Tensor, v_ref: Tensor) -> Tensor:
    """(B,) mean squared difference of velocities: a distance for samplers without density."""
    return (_wide(v) - _wide(v_ref)).square().flatten(1).mean(1)


Decay = Literal["on_policy", "slow", "slower"]
_DECAYS: dict[Decay, tuple[int, float, float]] = {
    "on_policy": (0, 0.0, 0.0),
    "slow": (0, 0.001, 0.5),
    "slower": (75, 0.0075, 0.999),
}
"""Steps at 0, rise per step after them, ceiling: decay types 0, 1 and 2 of DiffusionNFT's code."""


def old_policy_decay(step: int, kind: Decay | float) -> float:
    """How much of itself the sampling policy keeps, in [0, 1], when it moves towards the trained one.

    Args:
        step: optimiser steps done.
        kind: a schedule, or a constant.
    """
    if not isinstance(kind, str):
        return float(kind)
    flat, rise, ceiling = _DECAYS[kind]
    return min(max(step - flat, 0) * rise, ceiling)


def _wide(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _token_weights(like: Tensor, changed: Tensor | None, share: float) -> Tensor:
    """(B, N) weights that sum to 1: equal, plus `share` of all on changed tokens, where an item has any."""
    count, tokens = like.shape[:2]
    equal = like.new_full((count, tokens), 1 / tokens)
    if changed is None:
        return equal
    number = changed.sum(1, keepdim=True)
    mixed = (1 - share) / tokens + share * changed.to(like.dtype) / number.clamp(min=1)
    return torch.where(number > 0, mixed, equal)
