"""A sample with NaN or infinity has no reward and no trace; nothing is learnt from it, and no weight becomes NaN."""

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("peft")

from accelerate import Accelerator  # noqa: E402

from micebench.editors.base import Edited  # noqa: E402
from micebench.errors import RunError  # noqa: E402
from micebench.training.rl.update import Learner  # noqa: E402
from micebench.training.rl.minibatches import Lesson  # noqa: E402
from micebench.training.rl.recipe import LearnRecipe  # noqa: E402
from micebench.training.rl.rewards import RewardOutage, Rewards  # noqa: E402
from micebench.training.rl.rollout import roll_out  # noqa: E402
from tests.training.rl.policies.diffusion_policies import SDE, policy_of, small  # noqa: E402
from tests.training.rl.test_rollout import Policy, some, spec  # noqa: E402
from tests.toy import Meter  # noqa: E402


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_only_the_spoilt_sample_loses_image_and_trace(tiny_card, value):
    policy = policy_of(tiny_card)
    decode = policy.editor.pipeline.vae.decode

    def spoilt(latents, *arguments, **options):
        latents[1].view(-1)[0] = value
        return decode(latents, *arguments, **options)

    policy.editor.pipeline.vae.decode = spoilt
    (_, first), (bad, none), (_, last) = policy.sample([small(number) for number in range(3)], SDE, [0, 0, 0])
    assert isinstance(bad, Edited)
    assert bad.failed.startswith("the pipeline's result has NaN or infinite values")
    assert none is None
    assert first is not None
    assert last is not None


@pytest.mark.parametrize("part", ["latents", "log_probs"])
def test_a_trajectory_with_nan_is_no_sample_whatever_its_image(tiny_card, monkeypatch, part):
    from micebench.training.rl.policies.trajectories import Recording

    real = Recording.traces

    def traces(self, trajectory):
        made = real(self, trajectory)
        getattr(made[0], part)[0] = float("nan")
        return made

    monkeypatch.setattr(Recording, "traces", traces)
    (bad, none), (_, fine) = policy_of(tiny_card).sample([small(0), small(1)], SDE, [0, 0])
    assert isinstance(bad, Edited)
    assert bad.failed == "the edit's trajectory has NaN or infinite values"
    assert none is None
    assert fine is not None


def test_such_samples_are_masked_and_counted_and_too_many_name_the_editor():
    class Spoilt(Policy):
        def __call__(self, requests, starts):
            return [(Edited(None, failed="NaN"), None) for _ in requests]

    rewards = Rewards(Meter(), ("IF",), limit=0.5)
    try:
        roll_out(Spoilt(), some(), spec(), iteration=0, on_turn=rewards.submit)
        with pytest.raises(RewardOutage, match=r"e\.g\. no image: NaN\); fix the editor and start again"):
            rewards.collect()
    finally:
        rewards.close()


def test_a_gradient_with_nan_stops_before_a_weight_is_touched(monkeypatch):
    policy = SimpleNamespace(denoiser=torch.nn.Linear(2, 1))
    policy.parameters = lambda: list(policy.denoiser.parameters())
    diverged = SimpleNamespace(losses=lambda policy, module, batch: (module.weight.sum()[None] * float("nan"), {}))
    monkeypatch.setattr(Learner, "_batches", lambda *_: [SimpleNamespace(counts=True)])
    learner = Learner(Accelerator(cpu=True), policy, diverged, LearnRecipe(lr=1.0, batch=1), seed=0)
    before = policy.denoiser.weight.clone()
    with pytest.raises(RunError, match="iteration 4: the gradient has NaN or infinite values"):
        learner.learn([Lesson((0, 0, 0), 0)], None, 0, None, iteration=3)
    assert torch.equal(policy.denoiser.weight, before)
