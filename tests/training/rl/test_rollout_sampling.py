"""Inside a real pipeline, rollouts differ from ordinary edits in their window alone, and can be replayed."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from diffusers import FlowMatchEulerDiscreteScheduler, FluxKontextPipeline  # noqa: E402

from micebench.errors import MicebenchError  # noqa: E402
from micebench.training.rl.losses import grpo_loss  # noqa: E402
from micebench.training.rl.samplers import SamplingPlan, log_prob, transition  # noqa: E402
from micebench.training.rl.scheduler import RolloutScheduler, rollout_scheduler  # noqa: E402
from tests.editors.conftest import photograph  # noqa: E402
from tests.editors.tiny_pipelines import save_tiny  # noqa: E402

STEPS = 6
SHIFTED = {"use_dynamic_shifting": True, "shift": 3.0, "base_image_seq_len": 16, "max_image_seq_len": 64}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny("FluxKontextPipeline", tmp_path_factory.mktemp("tiny") / "kontext")


@pytest.fixture
def pipeline(folder):
    made = FluxKontextPipeline.from_pretrained(folder)
    made.set_progress_bar_config(disable=True)
    made.scheduler = FlowMatchEulerDiscreteScheduler(**SHIFTED)
    return made


def generators(seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def edit(pipeline, seeds=(0, 1, 2)):
    """(images (B, H, W, 3), velocities [B, N, C] per step)."""
    velocities = []

    def listen(_, inputs, output):
        velocities.append(output[0])

    hook = pipeline.transformer.register_forward_hook(listen)
    images = pipeline(
        image=[photograph(32, 32, seed) for seed in seeds],
        prompt=[f"remove object {seed}" for seed in seeds],
        width=32,
        height=32,
        max_area=32 * 32,
        _auto_resize=False,
        num_inference_steps=STEPS,
        max_sequence_length=32,
        generator=generators(seeds),
        output_type="np",
    ).images
    hook.remove()
    return images, velocities


def roll_out(pipeline, plan, starts, seeds=(0, 1, 2)):
    with rollout_scheduler(pipeline, plan) as scheduler:
        scheduler.begin(starts, generators(seed + 1000 for seed in seeds))
        images, velocities = edit(pipeline, seeds)
        trajectory = scheduler.trajectory()
    tokens = trajectory.clean.shape[1]
    return images, [v[:, :tokens] for v in velocities], trajectory


def plan_of(kind="sde", window=2, **fields):
    return SamplingPlan(kind=kind, window=window, **fields)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("config", [{}, {"shift": 3.0}, SHIFTED])
def test_without_a_window_images_are_the_pipelines_own(pipeline, config, dtype):
    pipeline.to(dtype)
    pipeline.scheduler = own = FlowMatchEulerDiscreteScheduler(**config)
    expected, _ = edit(pipeline)
    images, _, trajectory = roll_out(pipeline, SamplingPlan(), [0, 0, 0])
    assert np.array_equal(images, expected)
    assert torch.equal(trajectory.sigmas, own.sigmas)
    assert trajectory.latents is None
    assert trajectory.log_probs is None
    assert pipeline.scheduler is own


def test_a_shift_set_by_hand_is_kept(pipeline):
    pipeline.scheduler = FlowMatchEulerDiscreteScheduler()
    pipeline.scheduler.set_shift(5.0)
    expected, _ = edit(pipeline)
    assert np.array_equal(roll_out(pipeline, SamplingPlan(), [0, 0, 0])[0], expected)


def test_clean_is_what_is_decoded(pipeline):
    images, _, trajectory = roll_out(pipeline, plan_of(), [0, 1, 2])
    latents = pipeline._unpack_latents(trajectory.clean, 32, 32, pipeline.vae_scale_factor)
    latents = latents / pipeline.vae.config.scaling_factor + pipeline.vae.config.shift_factor
    with torch.no_grad():
        decoded = pipeline.image_processor.postprocess(pipeline.vae.decode(latents)[0], output_type="np")
    assert np.array_equal(images, decoded)


@pytest.mark.parametrize("kind", ["sde", "cps"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_records_reproduce_the_steps(pipeline, kind, dtype):
    """mean + std z with the recorded velocity is the next latent, and its density the recorded one: ratios are 1."""
    pipeline.to(dtype)
    starts, plan = [0, 1, 3], plan_of(kind)
    _, velocities, trajectory = roll_out(pipeline, plan, starts)
    assert trajectory.starts.tolist() == starts
    assert trajectory.latents.shape == (3, 3, *trajectory.clean.shape[1:])
    assert trajectory.latents.dtype == trajectory.log_probs.dtype == trajectory.clean.dtype == torch.float32
    noise = generators([1000, 1001, 1002])
    for offset in range(2):
        steps = trajectory.starts + offset
        v = torch.stack([velocities[step][item] for item, step in enumerate(steps.tolist())])
        sigma, sigma_next = trajectory.sigmas[steps], trajectory.sigmas[steps + 1]
        x, x_next = trajectory.latents[:, offset], trajectory.latents[:, offset + 1]
        mean, std = transition(kind, x, v, sigma, sigma_next, plan.noise_level, trajectory.sigmas[1])
        z = torch.stack([torch.randn(x.shape[1:], generator=generator) for generator in noise])
        assert torch.equal(x_next, mean + std * z)
        again = log_prob(x_next, mean, std)
        torch.testing.assert_close(again, trajectory.log_probs[:, offset], rtol=0, atol=1e-6)
        _, ratio = grpo_loss(
            again, trajectory.log_probs[:, offset], torch.ones(3), clip_low=1e-5, clip_high=1e-5, advantage_clip=5
        )
        assert ratio.off < 1e-6
        assert ratio.clipped == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_network_saw_the_recorded_latents(pipeline, dtype):
    pipeline.to(dtype)
    seen = []
    hook = pipeline.transformer.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["hidden_states"]), with_kwargs=True
    )
    _, _, trajectory = roll_out(pipeline, plan_of(), [0, 1, 3])
    hook.remove()
    tokens = trajectory.clean.shape[1]
    for item, start in enumerate(trajectory.starts.tolist()):
        for offset in range(3):
            assert torch.equal(seen[start + offset][item, :tokens], trajectory.latents[item, offset].to(dtype))


def test_each_item_is_stochastic_in_its_own_window_alone(pipeline):
    """Up to its window an item is Euler's; its batch changes neither its latents nor its noise."""
    own = edit(pipeline)[1]
    starts, plan = [0, 2, 3], plan_of()
    images, velocities, trajectory = roll_out(pipeline, plan, starts)
    for item, start in enumerate(starts):
        tokens = trajectory.clean.shape[1]
        for step in range(STEPS):
            same = torch.equal(velocities[step][item], own[step][item, :tokens])
            assert same == (step <= start)
        alone, _, its = roll_out(pipeline, plan, [start], seeds=[item])
        torch.testing.assert_close(its.latents[0], trajectory.latents[item], rtol=1e-4, atol=1e-4)
        assert np.abs(alone[0] - images[item]).max() < 1e-3


def test_after_its_window_an_item_goes_on_by_eulers_steps(pipeline):
    _, velocities, trajectory = roll_out(pipeline, plan_of(), [0, 1, 3])
    for item, start in enumerate(trajectory.starts.tolist()):
        x = trajectory.latents[item, 2]
        for step in range(start + 2, STEPS):
            x = x + (trajectory.sigmas[step + 1] - trajectory.sigmas[step]) * velocities[step][item]
        assert torch.equal(x, trajectory.clean[item])


def test_a_seed_repeats_and_another_differs(pipeline):
    first, again = (roll_out(pipeline, plan_of(), [1, 1, 1])[2] for _ in range(2))
    assert torch.equal(first.clean, again.clean)
    with rollout_scheduler(pipeline, plan_of()) as scheduler:
        scheduler.begin([1, 1, 1], generators([7, 8, 9]))
        edit(pipeline)
        other = scheduler.trajectory()
    assert torch.equal(other.latents[:, 0], first.latents[:, 0])  # the same up to the window
    assert not torch.equal(other.latents[:, 1], first.latents[:, 1])


def test_a_window_outside_the_plan_is_refused(pipeline):
    for start in (4, -1):  # steps 4 and 5 of six: the last would be stochastic
        with pytest.raises(ValueError, match=f"cannot start at step {start}; the plan allows 0 to 3"):
            roll_out(pipeline, plan_of(), [0, 0, start])


def test_calls_that_were_not_announced_are_refused(pipeline):
    with rollout_scheduler(pipeline, plan_of()) as scheduler:
        with pytest.raises(RuntimeError, match="not announced"):
            edit(pipeline)
        scheduler.begin([0], generators([0]))
        with pytest.raises(RuntimeError, match="3 items was not announced"):
            edit(pipeline)
        with pytest.raises(RuntimeError, match="no finished call"):
            scheduler.trajectory()


def test_an_interrupted_call_leaves_nothing_behind(pipeline):
    with rollout_scheduler(pipeline, plan_of()) as scheduler:
        scheduler.begin([1, 1, 1], generators([1000, 1001, 1002]))
        hook = pipeline.transformer.register_forward_hook(_fail_at_step(3))
        with pytest.raises(RuntimeError, match="out of memory"):
            edit(pipeline)
        hook.remove()
        scheduler.begin([1, 1, 1], generators([1000, 1001, 1002]))
        edit(pipeline)
        after = scheduler.trajectory()
    assert torch.equal(after.clean, roll_out(pipeline, plan_of(), [1, 1, 1])[2].clean)


def _fail_at_step(last):
    calls = []

    def hook(*_):
        calls.append(1)
        if len(calls) > last:
            raise RuntimeError("out of memory")

    return hook


def test_other_schedulers_are_refused():
    from diffusers import EulerDiscreteScheduler

    for own, said in (
        (EulerDiscreteScheduler(), "samples with EulerDiscreteScheduler"),
        (FlowMatchEulerDiscreteScheduler(stochastic_sampling=True), "stochastic_sampling"),
        (FlowMatchEulerDiscreteScheduler(invert_sigmas=True), "invert_sigmas"),
    ):
        with pytest.raises(MicebenchError, match=said):
            RolloutScheduler.of(own, SamplingPlan())
