"""Replayed on what was recorded, the policy makes every step again: the first ratio is one."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from micebench.training.rl.policies.diffusion import shape_of  # noqa: E402
from tests.editors.conftest import request  # noqa: E402
from tests.training.rl.policies.diffusion_policies import KINDS, SDE, STEPS, log_ratio, policy_of, sampled, small  # noqa: E402


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_ratio_is_one_in_batches_made_of_several_calls(tiny_card, kind):
    policy = policy_of(tiny_card, kind, changes={"max_batch": 2} if kind == "FluxKontextPipeline" else {})
    traces = sampled(policy, starts=[0, 1, 0])
    assert len({shape_of(trace) for trace in traces}) == 1
    for step in range(SDE.window):
        with torch.no_grad():
            assert log_ratio(policy, traces, step).abs().max() < 1e-5
            contexts = [trace.context for trace in traces]
            swapped = [
                replace(trace, context=c) for trace, c in zip(traces, contexts[1:] + contexts[:1], strict=True)
            ]
            assert log_ratio(policy, swapped, step).abs().max() > 1e-5, "the images shown matter"


def test_the_last_step_from_what_was_recorded_ends_at_the_clean_latents(tiny_card):
    policy = policy_of(tiny_card)
    last = STEPS - 1
    traces = sampled(policy, starts=[last - SDE.window] * 2)
    x = torch.stack([trace.latents[-1] for trace in traces])
    sigma = torch.stack([trace.sigmas[last] for trace in traces])
    with torch.no_grad():
        ended = x - sigma[:, None, None] * policy.velocity(x, sigma, traces)
    torch.testing.assert_close(ended, torch.stack([trace.clean for trace in traces]), rtol=1e-4, atol=1e-4)


def test_mixed_precision_rounds_time_and_the_replay_rounds_it_too(tiny_card):
    """Of eight steps those at 0.75 and 0.375 are shown to the network as 0.754 and 0.377."""
    policy = policy_of(tiny_card)
    asked = []
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        traces = sampled(policy, starts=[2, 5], plan=SDE.model_copy(update={"steps": 8}))
        policy.denoiser.register_forward_pre_hook(lambda _, __, a: asked.append(a["timestep"]), with_kwargs=True)
        assert log_ratio(policy, traces, 0).abs().max() < 1e-6
        assert log_ratio(policy, traces, 1).abs().max() < 1e-6
    assert asked[0].tolist() == [trace.timesteps[trace.start] for trace in traces]
    assert asked[0].tolist() != [trace.sigmas[trace.start] for trace in traces]


def test_between_the_samplers_noise_levels_time_goes_on_evenly(tiny_card):
    policy = policy_of(tiny_card)
    (trace,) = sampled(policy, starts=[0])
    asked = []
    policy.denoiser.register_forward_pre_hook(lambda _, __, a: asked.append(a["timestep"]), with_kwargs=True)
    sigma = torch.tensor([1.0, 0.75, 0.6, 0.1])
    policy.velocity(trace.clean.expand(4, -1, -1), sigma, [trace] * 4)
    torch.testing.assert_close(asked[0], sigma)


def test_traces_that_do_not_go_together_have_other_shapes(tiny_card):
    """Two images of equally many tokens, one tall and one wide, differ in their position ids alone."""
    policy = policy_of(tiny_card)
    wide, tall = request(width=96, height=64), request(width=64, height=96)
    (_, wide), (_, tall) = policy.sample([wide, tall], SDE, [0, 0])
    assert wide.clean.shape == tall.clean.shape
    assert shape_of(wide) != shape_of(tall)


def test_guidance_that_was_not_foreseen_gives_no_trace(tiny_card):
    policy = policy_of(tiny_card)
    options = policy.editor.options
    guided = {"negative_prompt": "x", "call": {**options.call, "true_cfg_scale": 2.0}}
    policy.editor.options = options.model_copy(update=guided)
    ((edited, trace),) = policy.sample([small()], SDE, [0])
    assert trace is None
    assert "8 calls of the denoiser in 4 steps" in edited.failed
