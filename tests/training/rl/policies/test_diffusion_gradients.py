"""Gradients reach what is to learn and nothing else; the earlier selves stay until they are moved."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("peft")

from tests.editors.conftest import difference  # noqa: E402
from tests.training.rl.policies.diffusion_policies import EULER, KINDS, LEARNT, LORA, SDE, disturb, log_ratio, policy_of, sampled, small  # noqa: E402

WHICH = ("current", "old", "reference")


def velocities(policy, traces) -> dict[str, torch.Tensor]:
    x = torch.stack([trace.latents[0] for trace in traces])
    sigma = torch.stack([trace.sigmas[trace.start] for trace in traces])
    return {which: policy.velocity(x, sigma, traces, weights=which).detach() for which in WHICH}


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-5, atol=1e-6)


def learn(policy, traces) -> None:
    """As learning does it: in mixed precision, the earlier selves asked before and between forward and backward."""
    with torch.autocast("cpu", torch.bfloat16):
        log_ratio(policy, traces, 0, weights="old")
        loss = -log_ratio(policy, traces, 0).sum()
        log_ratio(policy, traces, 0, weights="reference")
    loss.backward()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lora", LEARNT, ids=["full", "lora"])
def test_gradients_reach_what_learns_and_nothing_else(tiny_card, kind, lora):
    policy = policy_of(tiny_card, kind, lora)
    disturb(policy, 0.01)  # the second factor of a fresh LoRA is zero, and hides the first from its gradient
    learn(policy, sampled(policy))
    learnt = {id(parameter) for parameter in policy.parameters()}
    every = [
        (f"{name}.{inner}", parameter)
        for name, part in policy.editor.pipeline.components.items()
        if isinstance(part, torch.nn.Module)
        for inner, parameter in part.named_parameters()
    ]
    assert learnt == {
        id(p) for name, p in every if name.startswith("transformer.") and (not lora or ".default." in name)
    }
    assert {name for name, p in every if p.requires_grad != (id(p) in learnt)} == set()
    assert {name for name, p in every if p.grad is not None} <= {name for name, p in every if id(p) in learnt}
    moved = [p.grad is not None and bool(p.grad.abs().max() > 0) for p in policy.parameters()]
    assert sum(moved) > 0.6 * len(moved), "the rest works on text tokens alone, whose last outputs nobody reads"


@pytest.mark.parametrize("lora", LEARNT, ids=["full", "lora"])
def test_current_old_and_reference_go_their_own_ways(tiny_card, lora):
    policy = policy_of(tiny_card, lora=lora)
    traces = sampled(policy)
    start = velocities(policy, traces)
    assert same(start["current"], start["old"])
    assert same(start["current"], start["reference"])
    learn(policy, traces)
    torch.optim.SGD(policy.parameters(), lr=1.0).step()
    disturb(policy)
    after = velocities(policy, traces)
    assert not same(after["current"], start["current"])
    assert same(after["old"], start["old"])
    assert same(after["reference"], start["reference"])
    before = {name: tensor.clone() for name, tensor in policy.state_dict()["old"].items()}
    policy.move_old(0.25)
    state = policy.state_dict()
    for name, tensor in state["old"].items():
        torch.testing.assert_close(tensor, 0.25 * before[name] + 0.75 * state["current"][name])
    assert not same(velocities(policy, traces)["old"], start["old"])
    policy.move_old(0)
    moved = velocities(policy, traces)
    assert same(moved["old"], moved["current"])
    assert same(moved["reference"], start["reference"])


@pytest.mark.parametrize("lora", LEARNT, ids=["full", "lora"])
def test_sampling_asks_the_self_it_is_told_to(tiny_card, lora):
    policy = policy_of(tiny_card, lora=lora)

    def images() -> list:
        return [policy.sample([small()], EULER, [0], weights=which)[0][0] for which in WHICH]

    before = images()
    disturb(policy, 0.3)
    after = images()
    assert [difference(a, b) > 2 for a, b in zip(before, after, strict=True)] == [True, False, False]
    assert difference(policy.editor.edit([small()])[0], after[0]) == 0, "the current self is back"
    assert all(parameter.requires_grad for parameter in policy.parameters())


@pytest.mark.parametrize("lora", LEARNT, ids=["full", "lora"])
def test_a_state_brings_all_selves_back(tiny_card, lora, tmp_path):
    policy = policy_of(tiny_card, lora=lora)
    traces = sampled(policy)
    disturb(policy)
    policy.move_old(0.5)
    torch.save(policy.state_dict(), tmp_path / "state")
    other = policy_of(tiny_card, lora=lora)
    assert not same(velocities(other, traces)["old"], velocities(policy, traces)["old"])
    other.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    for which, velocity in velocities(other, traces).items():
        assert torch.equal(velocity, velocities(policy, traces)[which])


@pytest.mark.parametrize("lora", LEARNT, ids=["full", "lora"])
def test_checkpointing_gives_the_same_gradients(tiny_card, lora):
    gradients = []
    for checkpointing in (False, True):
        policy = policy_of(tiny_card, lora=lora, checkpointing=checkpointing)
        disturb(policy, 0.01)
        learn(policy, sampled(policy))
        assert policy.denoiser.gradient_checkpointing == checkpointing
        gradients.append([p.grad for p in policy.parameters() if p.grad is not None])
    torch.testing.assert_close(*gradients)


def test_gradients_flow_through_a_wrapped_denoiser(tiny_card):
    """As accelerate wraps it; copies are asked as they are."""
    policy = policy_of(tiny_card, lora=LORA)
    traces = sampled(policy)

    class Wrapped(torch.nn.Module):
        calls = 0

        def __init__(self, inner) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, **arguments):
            self.calls += 1
            return self.inner(**arguments)

    wrapped = Wrapped(policy.denoiser)
    ratio = log_ratio(policy, traces, SDE.window - 1, module=wrapped)
    log_ratio(policy, traces, 0, module=wrapped, weights="reference")
    assert wrapped.calls == 1
    assert ratio.requires_grad
