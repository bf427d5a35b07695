"""One denoising step as a Gaussian, its log-probability, and which steps of a trajectory are drawn at random.

Flow convention: x_sigma = (1 - sigma) x_0 + sigma noise, velocity v = noise - x_0, sigma falls from 1 to 0. So
x_0 = x - sigma v and noise = x + (1 - sigma) v, and both stochastic samplers are one form:

    mean = Euler step - removed * (predicted noise),        x_next = mean + std * z,  z ~ N(0, I)

the step takes a part of the predicted noise away and puts fresh noise in its place. With a = noise_level:

- ``sde`` (Flow-GRPO, Liu et al. 2025): std = a sqrt(sigma / (1 - sigma)) sqrt(sigma - sigma_next), removed =
  std^2 / (2 sigma). It puts back more than it takes: the noise after the step is sqrt((sigma_next - removed)^2 +
  std^2) >= sigma_next, by a third in the first steps of a short grid at a = 1.3.
- ``cps`` (coefficients preserving; Wang and Yu 2025): std = sigma_next sin(a pi / 2), removed = sigma_next
  (1 - cos(a pi / 2)). The noise after the step is sigma_next exactly.
"""

import math
from collections.abc import Sequence
from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from micebench.errors import MicebenchError
from micebench.store.keys import derive_seed

SamplerName = Literal["euler", "sde", "cps"]


def transition(
    kind: SamplerName,
    x: Tensor,
    v: Tensor,
    sigma: float | Tensor,
    sigma_next: float | Tensor,
    noise_level: float,
    sigma_max: float | Tensor,
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of x at `sigma_next`, given x at `sigma`.

    Args:
        kind: ``euler`` has std 0, and so have the others at `noise_level` 0: the mean is then Euler's, bit for bit.
        x, v: (B, ...) latents and predicted velocity; computed in float32 (float64 stays float64).
        sigma, sigma_next: numbers or (B,); 1 >= sigma > sigma_next >= 0.
        noise_level: >= 0; at most 1 for ``cps``.
        sigma_max: second value of the grid, in place of `sigma` in sqrt(1 - sigma) where sigma is 1 (``sde``).

    Returns:
        Mean like x, differentiable in v; std (B or 1, 1, ...).
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    x, v = x.to(dtype), v.to(dtype)
    sigma, sigma_next, sigma_max = (_beside(value, x) for value in (sigma, sigma_next, sigma_max))
    euler = x + (sigma_next - sigma) * v
    if kind == "euler":
        return euler, torch.zeros_like(sigma)
    if kind == "sde":
        finite = torch.where(sigma < 1, sigma, sigma_max)
        std = noise_level * (sigma / (1 - finite)).sqrt() * (sigma - sigma_next).sqrt()
        removed = std.square() / (2 * sigma)
    else:
        angle = noise_level * math.pi / 2
        std = sigma_next * math.sin(angle)
        removed = sigma_next * (2 * math.sin(angle / 2) ** 2)  # 1 - cos, without cancellation
    return euler - removed * (x + (1 - sigma) * v), std


def log_prob(x_next: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(B,) log-density of `x_next` under N(mean, std^2), averaged (not summed) over all dimensions but the first.

    The mean keeps the size of log-ratios independent of the image's; clip ranges are tiny for that reason.
    Undefined at std 0.
    """
    per_dimension = -((x_next - mean) / std).square() / 2 - std.log() - math.log(2 * math.pi) / 2
    return per_dimension.flatten(1).mean(1)


class SamplingPlan(BaseModel):
    """How rollouts are sampled: a window of stochastic steps in an otherwise deterministic trajectory."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: SamplerName = Field(default="euler", description="what the steps of the window are; euler has no window")
    noise_level: float = Field(default=0.7, gt=0, description="a of the sampler's formula; at most 1 for cps")
    window: int = Field(default=0, ge=0, description="stochastic steps of a trajectory; only these are stored")
    window_range: tuple[int, int] | None = Field(
        default=None,
        description="steps [first, end) the window lies in; null: all but the last, which has no density",
    )
    steps: int | None = Field(default=None, ge=1, description="denoising steps; null: as the editor's card says")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.kind == "euler") != (self.window == 0):
            raise ValueError("kind euler has no stochastic steps, the others need some: set kind and window together")
        if self.kind == "cps" and self.noise_level > 1:
            raise ValueError(f"noise_level is {self.noise_level}; cps takes at most 1")
        if self.window_range is not None:
            first, end = self.window_range
            if not 0 <= first <= end - self.window:
                raise ValueError(f"window_range [{first}, {end}] has no room for a window of {self.window} steps")
        if self.steps is not None and (trouble := self._trouble(self.steps)):
            raise ValueError(trouble)
        return self

    def starts(self, steps: int) -> range:
        """First steps that a window may have in a trajectory of `steps` steps.

        Raises:
            MicebenchError: the window could reach the last step, which goes to sigma 0 and has no density.
        """
        if trouble := self._trouble(steps):
            raise MicebenchError(trouble)
        first, end = self.window_range or (0, steps - 1)
        return range(first, end - self.window + 1)

    def _trouble(self, steps: int) -> str:
        end = self.window_range[1] if self.window_range else self.window
        if self.window == 0 or end < steps:
            return ""
        where = f"window_range {list(self.window_range)}" if self.window_range else f"window {self.window}"
        return (
            f"{where} reaches the last of {steps} steps, which ends at sigma 0 and has no density; "
            f"end it at step {steps - 1}, or raise steps"
        )


def draw_windows(plan: SamplingPlan, steps: int, session_keys: Sequence[str], seed: int) -> list[int]:
    """First stochastic step per item: one draw per key, the same for all rollouts of a session.

    A draw depends on (seed, key) alone: not on process, order or what else is in the batch. Give another `seed` in
    every iteration, or a session has the same window for ever. Zeros for a plan without a window.
    """
    if plan.window == 0:
        return [0] * len(session_keys)
    choices = plan.starts(steps)
    return [choices[derive_seed("rl window", key, 0, 0, seed) % len(choices)] for key in session_keys]


def _beside(value: float | Tensor, x: Tensor) -> Tensor:
    """A number or (B,) as (1 or B, 1, ...), of x's dtype and device."""
    return torch.as_tensor(value, dtype=x.dtype, device=x.device).reshape(-1, *[1] * (x.ndim - 1))
