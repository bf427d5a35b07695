"""What learns is sampled as it will be evaluated; every trace belongs to its edit."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("peft")

from micebench.editors.base import Edited  # noqa: E402
from micebench.editors.diffusers import DiffusersEditor  # noqa: E402
from micebench.training.rl.samplers import transition  # noqa: E402
from tests.editors.conftest import difference, request  # noqa: E402
from tests.training.rl.policies.diffusion_policies import EULER, KINDS, LORA, SDE, card_of, policy_of, sampled, small  # noqa: E402


@pytest.mark.parametrize("kind", KINDS)
def test_images_are_the_plain_editors(tiny_card, kind):
    requests = [small(number) for number in range(2)]
    plain = DiffusersEditor(card_of(tiny_card, kind)).edit(requests)
    ours = policy_of(tiny_card, kind, LORA).sample(requests, EULER, [0, 0])
    assert [difference(a, b) for (a, _), b in zip(ours, plain, strict=True)] == [0, 0]
    assert all(trace is not None and trace.latents is None for _, trace in ours)


def test_the_plan_sets_the_steps_and_the_card_is_left_alone(tiny_card):
    policy = policy_of(tiny_card, changes={"steps": 3})
    before = policy.editor.edit([small()])[0]
    (_, trace), = policy.sample([small()], EULER, [0])  # fmt: skip
    assert len(trace.sigmas) - 1 == len(trace.timesteps) == policy.editor.steps(EULER) == 4
    assert policy.editor.steps(EULER.model_copy(update={"steps": None})) == 3
    assert difference(policy.editor.edit([small()])[0], before) == 0


class Troubled:
    """A pipeline with room for two images, that cannot do the prompt "fail"."""

    def __init__(self, pipeline) -> None:
        vars(self)["pipeline"] = pipeline

    def __getattr__(self, name):
        return getattr(self.pipeline, name)

    def __setattr__(self, name, value) -> None:
        setattr(self.pipeline, name, value)

    def __call__(self, **arguments):
        if len(arguments["prompt"]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        made = self.pipeline(**arguments)
        if "fail" in arguments["prompt"]:
            raise ValueError("failed when all was done")
        return made


def test_a_trace_belongs_to_its_edit_however_the_batch_is_split(tiny_card):
    policy = policy_of(tiny_card)
    twice = small(4)
    requests = [
        small(0),
        request("fail", number=1, width=64, height=64),
        request(number=2, width=96, height=64),
        small(3),
        twice,
        twice,
    ]
    starts = [0, 0, 1, 1, 0, 1]
    alone = [policy.sample([one], SDE, [start])[0][1] for one, start in zip(requests, starts, strict=True)]
    policy.editor.pipeline = Troubled(policy.editor.pipeline)
    together = policy.sample(requests, SDE, starts)
    assert [trace is None for _, trace in together] == [number == 1 for number in range(6)]
    assert isinstance(together[1][0], Edited)
    assert together[1][0].failed == "ValueError: failed when all was done"
    for number in (0, 2, 3, 4, 5):
        trace, own = together[number][1], alone[number]
        assert trace.start == own.start == starts[number]
        for name in ("clean", "latents", "context", "log_probs"):
            torch.testing.assert_close(getattr(trace, name), getattr(own, name), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(together[4][1].clean, together[5][1].clean, atol=0.05)


def test_the_noise_of_the_sampler_is_not_that_of_the_first_latents(tiny_card):
    """One seed for both would draw the same numbers twice, if in another order."""
    policy = policy_of(tiny_card)
    (trace,) = sampled(policy, starts=[0])
    before, after = trace.latents[:1], trace.latents[1:2]
    sigma, then, second = trace.sigmas[:1], trace.sigmas[1:2], trace.sigmas[1]
    with torch.no_grad():
        velocity = policy.velocity(before, sigma, [trace])
    mean, std = transition("sde", before, velocity, sigma, then, SDE.noise_level, second)
    drawn = ((after - mean) / std).flatten().sort().values
    assert drawn.std() == pytest.approx(1, abs=0.1)
    assert (drawn - before.flatten().sort().values).abs().max() > 0.01
