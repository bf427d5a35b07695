"""A stochastic step is Euler's without noise, carries the noise its formula says, and has a Gaussian's density."""

import math
from itertools import pairwise

import pytest

torch = pytest.importorskip("torch")

from micebench.training.rl.samplers import log_prob, transition  # noqa: E402

GRID = [1.0, 0.9, 0.7, 0.4, 0.15, 0.0]
STEPS = list(pairwise(GRID))[:-1]  # all but the last


def latents(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("kind", ["sde", "cps"])
@pytest.mark.parametrize(("sigma", "sigma_next"), [*STEPS, (0.15, 0.0)])
def test_without_noise_a_step_is_eulers_bit_for_bit(kind, sigma, sigma_next):
    x, v = latents(2, 7, 3), latents(2, 7, 3, seed=1)
    mean, std = transition(kind, x, v, sigma, sigma_next, 0.0, GRID[1])
    sigma, sigma_next = torch.tensor(sigma), torch.tensor(sigma_next)
    assert torch.equal(mean, x + (sigma_next - sigma) * v)
    assert torch.equal(mean, transition("euler", x, v, sigma, sigma_next, 0.7, GRID[1])[0])
    assert std.abs().max() == 0


@pytest.mark.parametrize("noise_level", [0.3, 0.7, 1.0])
@pytest.mark.parametrize(("sigma", "sigma_next"), STEPS)
def test_means_are_the_published_formulas(sigma, sigma_next, noise_level):
    x, v = latents(2, 7, 3, dtype=torch.float64), latents(2, 7, 3, seed=1, dtype=torch.float64)
    delta = sigma_next - sigma
    s = noise_level * math.sqrt(sigma / (1 - (GRID[1] if sigma == 1 else sigma)))
    mean, std = transition("sde", x, v, sigma, sigma_next, noise_level, GRID[1])
    by_hand = x * (1 + s**2 * delta / (2 * sigma)) + v * (1 + s**2 * (1 - sigma) / (2 * sigma)) * delta
    torch.testing.assert_close(mean, by_hand)
    assert std.item() == pytest.approx(s * math.sqrt(-delta))

    s = sigma_next * math.sin(noise_level * math.pi / 2)
    mean, std = transition("cps", x, v, sigma, sigma_next, noise_level, GRID[1])
    clean, noise = x - sigma * v, x + (1 - sigma) * v
    torch.testing.assert_close(mean, (1 - sigma_next) * clean + math.sqrt(max(0, sigma_next**2 - s**2)) * noise)
    assert std.item() == pytest.approx(s)


def noise_after(kind, sigma, sigma_next, noise_level, sigma_max):
    """Standard deviation of the noise in x_next, and the share of the clean image, by a network that is right."""
    one, zero = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)

    def mean_of(clean, noise):
        x, v = (1 - sigma) * clean + sigma * noise, noise - clean
        return transition(kind, x, v, sigma, sigma_next, noise_level, sigma_max)

    (kept, std), (share, _) = mean_of(zero, one), mean_of(one, zero)
    return math.hypot(kept.item(), std.item()), share.item()


@pytest.mark.parametrize("noise_level", [0.3, 0.7, 1.3])
@pytest.mark.parametrize(("sigma", "sigma_next"), STEPS)
def test_sde_inflates_the_noise_as_derived(sigma, sigma_next, noise_level):
    q = noise_level**2 * sigma / (1 - (GRID[1] if sigma == 1 else sigma)) * (sigma - sigma_next)
    noise, clean = noise_after("sde", sigma, sigma_next, noise_level, GRID[1])
    assert noise == pytest.approx(math.sqrt((sigma_next - q / (2 * sigma)) ** 2 + q), rel=1e-12)
    excess = q * (sigma - sigma_next) / sigma + (q / (2 * sigma)) ** 2
    assert noise**2 - sigma_next**2 == pytest.approx(excess, rel=1e-9)
    assert clean == pytest.approx(1 - sigma_next)


def test_sde_inflation_on_a_published_grid():
    """15 points, shift 3: at noise level 1.3 the first steps are off by a third, at 0.7 by a twentieth."""
    plain = [1 - i / 14 for i in range(15)]
    grid = [3 * t / (1 + 2 * t) for t in plain]

    def ratios(level):
        return [noise_after("sde", grid[i], grid[i + 1], level, grid[1])[0] / grid[i + 1] for i in range(5)]

    assert ratios(1.3) == pytest.approx([1.34, 1.42, 1.15, 1.09, 1.07], abs=0.005)
    assert ratios(0.7) == pytest.approx([1.04, 1.05, 1.02, 1.01, 1.01], abs=0.006)


@pytest.mark.parametrize("noise_level", [0.1, 0.8, 1.0])
@pytest.mark.parametrize(("sigma", "sigma_next"), STEPS)
def test_cps_carries_exactly_the_noise_of_the_grid(sigma, sigma_next, noise_level):
    noise, clean = noise_after("cps", sigma, sigma_next, noise_level, GRID[1])
    assert noise == pytest.approx(sigma_next, rel=1e-12)
    assert clean == pytest.approx(1 - sigma_next, rel=1e-12)


def test_drawn_steps_have_that_noise():
    """The same, measured on a hundred thousand draws."""
    noise, z = latents(1, 100_000), latents(1, 100_000, seed=1)
    for kind, expected in (("cps", 0.7), ("sde", noise_after("sde", 0.9, 0.7, 1.0, 0.9)[0])):
        clean = torch.full_like(noise, 2.0)
        mean, std = transition(kind, 0.1 * clean + 0.9 * noise, noise - clean, 0.9, 0.7, 1.0, 0.9)
        drawn = mean + std * z
        assert drawn.std().item() == pytest.approx(expected, rel=0.01)
        assert drawn.mean().item() == pytest.approx(0.3 * 2.0, abs=0.01)


@pytest.mark.parametrize("kind", ["sde", "cps"])
def test_noise_levels_may_differ_between_items(kind):
    x, v = latents(4, 5, 3), latents(4, 5, 3, seed=1)
    sigma, sigma_next = (torch.tensor(values) for values in zip(*STEPS, strict=True))
    mean, std = transition(kind, x, v, sigma, sigma_next, 0.7, GRID[1])
    assert std.shape == (4, 1, 1)
    for i, (one, next_one) in enumerate(STEPS):
        alone, its_std = transition(kind, x[i : i + 1], v[i : i + 1], one, next_one, 0.7, GRID[1])
        assert torch.equal(mean[i : i + 1], alone)
        assert torch.equal(std[i : i + 1], its_std)


def test_low_precision_is_computed_in_float32():
    x, v = latents(1, 5, 3).bfloat16(), latents(1, 5, 3, seed=1).bfloat16()
    mean, std = transition("sde", x, v, 0.9, 0.7, 0.7, 0.9)
    assert mean.dtype == std.dtype == torch.float32
    assert torch.equal(mean, transition("sde", x.float(), v.float(), 0.9, 0.7, 0.7, 0.9)[0])


def test_log_prob_is_the_gaussians_averaged_over_dimensions():
    x, mean = latents(3, 7, 5), latents(3, 7, 5, seed=1)
    std = torch.tensor([0.2, 1.0, 3.0]).reshape(3, 1, 1)
    expected = torch.distributions.Normal(mean, std.expand_as(mean)).log_prob(x).mean((1, 2))
    torch.testing.assert_close(log_prob(x, mean, std), expected)
    assert log_prob(x, mean, std).dtype == torch.float32


def test_log_prob_has_the_gradient_of_the_velocity():
    x, v = latents(2, 5, 3, dtype=torch.float64), latents(2, 5, 3, seed=1, dtype=torch.float64).requires_grad_()
    x_next = latents(2, 5, 3, seed=2, dtype=torch.float64)

    def value(velocity):
        return log_prob(x_next, *transition("sde", x, velocity, 0.9, 0.7, 0.7, 0.9))

    assert torch.autograd.gradcheck(value, (v,))
