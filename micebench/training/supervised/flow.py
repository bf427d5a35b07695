"""Flow matching, as pure functions.

x_sigma = (1 - sigma) x_0 + sigma noise; the network predicts the velocity noise - x_0 (Lipman et al. 2023,
Liu et al. 2023), which is what `FlowMatchEulerDiscreteScheduler` integrates.
"""

import torch
from torch import Tensor


def sample_sigmas(count: int, mean: float, std: float, device: torch.device) -> Tensor:
    """(count,) noise levels in (0, 1): sigmoid of a normal variable (logit-normal; Esser et al. 2024)."""
    return torch.sigmoid(mean + std * torch.randn(count, device=device))


def interpolate(clean: Tensor, noise: Tensor, sigmas: Tensor) -> Tensor:
    """Point of each straight path at its noise level; clean, noise (B, N, C), sigmas (B,)."""
    weight = sigmas[:, None, None]
    return (1 - weight) * clean + weight * noise


def pack(latents: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H/2 * W/2, 4C): 2 x 2 patches in the order `FluxKontextPipeline` uses."""
    count, channels, height, width = latents.shape
    patches = latents.reshape(count, channels, height // 2, 2, width // 2, 2)
    return patches.permute(0, 2, 4, 1, 3, 5).reshape(count, height * width // 4, 4 * channels)


def position_ids(height: int, width: int, device: torch.device) -> Tensor:
    """(2 * height * width, 3) rotary positions: the image to be made (0, y, x), then its context (1, y, x)."""
    grid = torch.zeros(2, height, width, 3, device=device)
    grid[1, ..., 0] = 1
    grid[..., 1] = torch.arange(height, device=device)[:, None]
    grid[..., 2] = torch.arange(width, device=device)
    return grid.reshape(-1, 3)


def flow_loss(predicted: Tensor, velocity: Tensor, changed: Tensor, changed_share: float) -> Tensor:
    """Mean squared velocity error; `changed_share` of it on the tokens that the edit changes.

    Args:
        predicted, velocity: (B, N, C).
        changed: (B, N) bool.
    """
    error = (predicted.float() - velocity).square().mean(-1)
    everywhere = error.mean(1)
    count = changed.sum(1)
    there = (error * changed).sum(1) / count.clamp(min=1)
    there = torch.where(count > 0, there, everywhere)
    return ((1 - changed_share) * everywhere + changed_share * there).mean()
