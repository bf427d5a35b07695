"""The trainer's tensors are the pipeline's: same packing, same positions, same direction of time."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from diffusers import FlowMatchEulerDiscreteScheduler, FluxKontextPipeline  # noqa: E402

from micebench.training.supervised.flow import flow_loss, interpolate, pack, position_ids, sample_sigmas  # noqa: E402


def test_packing_is_the_pipelines():
    latents = torch.randn(2, 16, 12, 12)
    assert torch.equal(pack(latents), FluxKontextPipeline._pack_latents(latents, 2, 16, 12, 12))


def test_positions_are_the_pipelines():
    made = FluxKontextPipeline._prepare_latent_image_ids(1, 6, 6, torch.device("cpu"), torch.float32)
    context = made.clone()
    context[:, 0] = 1
    assert torch.equal(position_ids(6, 6, torch.device("cpu")), torch.cat([made, context]))


def test_the_scheduler_follows_the_true_velocity_back_to_the_image():
    clean, noise = torch.randn(3, 36, 64), torch.randn(3, 36, 64)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=1.0)
    scheduler.set_timesteps(sigmas=[1.0, 0.75, 0.5, 0.25])
    x = noise
    for t in scheduler.timesteps:
        assert torch.allclose(x, interpolate(clean, noise, (t / 1000).expand(3)), atol=1e-5)
        x = scheduler.step(noise - clean, t, x, return_dict=False)[0]
    assert torch.allclose(x, clean, atol=1e-5)


def test_the_loss_weighs_what_changes():
    velocity = torch.zeros(1, 4, 2)
    predicted = torch.tensor([[[1.0, 1.0], [0, 0], [0, 0], [0, 0]]])
    changed = torch.tensor([[True, False, False, False]])
    assert flow_loss(predicted, velocity, changed, 0.0).item() == pytest.approx(0.25)
    assert flow_loss(predicted, velocity, changed, 1.0).item() == pytest.approx(1.0)
    assert flow_loss(predicted, velocity, changed, 0.5).item() == pytest.approx(0.625)
    nothing = torch.zeros(1, 4, dtype=torch.bool)
    assert flow_loss(predicted, velocity, nothing, 0.5).item() == pytest.approx(0.25)


def test_noise_levels_lie_between_the_ends():
    torch.manual_seed(0)
    sigmas = sample_sigmas(10_000, 1.0, 1.2, torch.device("cpu"))
    assert 0 < sigmas.min() < 0.1
    assert 0.98 < sigmas.max() < 1
    assert sigmas.median().item() == pytest.approx(0.731, abs=0.02)  # sigmoid(1)
