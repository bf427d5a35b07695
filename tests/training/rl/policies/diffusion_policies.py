"""Tiny policies of the real pipeline classes, with guidance by a second prediction off."""

import torch

from micebench.editors.base import EditRequest
from micebench.training.rl.policies.lora import LoraOptions
from micebench.training.rl.policies.diffusion import Policy, Trace
from micebench.training.rl.samplers import SamplingPlan, log_prob, transition
from tests.editors.conftest import request
from tests.editors.tiny_pipelines import OPTIONS

UNGUIDED = {
    "FluxKontextPipeline": {},
    "QwenImageEditPipeline": {"negative_prompt": None, "call": {"true_cfg_scale": 1.0}},
    "QwenImageEditPlusPipeline": {"negative_prompt": None, "call": {"true_cfg_scale": 1.0}},
    "Flux2KleinPipeline": {"call": {**OPTIONS["Flux2KleinPipeline"]["call"], "guidance_scale": 1.0}},
}
KINDS = sorted(UNGUIDED)
STEPS = 4
EULER = SamplingPlan(steps=STEPS)
SDE = SamplingPlan(kind="sde", window=2, noise_level=0.7, steps=STEPS)
LORA = LoraOptions(rank=4, alpha=8)
LEARNT = (None, LORA)


def card_of(tiny_card, kind: str = "FluxKontextPipeline", **changes):
    """A card that a policy can be made of."""
    return tiny_card(kind, **{"steps": STEPS, **UNGUIDED[kind], **changes})


def policy_of(tiny_card, kind: str = "FluxKontextPipeline", lora: LoraOptions | None = None, **how) -> Policy:
    torch.manual_seed(7)
    card = card_of(tiny_card, kind, **how.pop("changes", {}))
    return Policy(card, lora, copies=["old", "reference"], device="cpu", **how)


def small(number: int = 0) -> EditRequest:
    """An image of its own for every number, of few tokens."""
    return request(number=number, width=64, height=64)


def sampled(policy: Policy, starts=(0, 1), plan: SamplingPlan = SDE, **how) -> list[Trace]:
    """The traces of an edit for every start."""
    requests = [small(number) for number in range(len(starts))]
    traces = [trace for _, trace in policy.sample(requests, plan, starts, **how)]
    assert all(trace is not None for trace in traces)
    return traces


def log_ratio(policy: Policy, traces: list[Trace], step: int, **how) -> torch.Tensor:
    """(B,) of a step of the recorded windows: log-probability now minus when it was sampled."""
    x, after = (torch.stack([trace.latents[step + ahead] for trace in traces]) for ahead in (0, 1))
    sigma, then = (torch.stack([trace.sigmas[trace.start + step + ahead] for trace in traces]) for ahead in (0, 1))
    sampled_at = torch.stack([trace.log_probs[step] for trace in traces])
    mean, std = transition(
        "sde", x, policy.velocity(x, sigma, traces, **how), sigma, then, SDE.noise_level, traces[0].sigmas[1]
    )
    return log_prob(after, mean, std) - sampled_at


def disturb(policy: Policy, by: float = 0.1) -> None:
    """A large step of learning."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(by * torch.randn(parameter.shape, generator=generator))
