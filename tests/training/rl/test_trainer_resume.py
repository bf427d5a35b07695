"""Post-training resumes as if nothing had happened, whoever stops it: a kill, a judge that is down."""

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("accelerate")
pytest.importorskip("tensorboard")

import numpy as np  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

import micebench.training.rl.preflight as preflight  # noqa: E402
from micebench.errors import RunError  # noqa: E402
from micebench.training.rl.losses import old_policy_decay  # noqa: E402
from micebench.training.rl.policies.diffusion import Policy  # noqa: E402
from micebench.training.rl.rewards import RewardOutage  # noqa: E402
from micebench.training.rl.trainer import train_rl  # noqa: E402
from micebench.verdicts import Status, Verdict  # noqa: E402
from tests.training.rl.tiny import tiny_editor, tiny_rl  # noqa: E402


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    return tiny_editor(tmp_path_factory.mktemp("tiny") / "weights")


@pytest.fixture(scope="module", params=["nft", "grpo"])
def method(request):
    return request.param


@pytest.fixture(scope="module")
def straight(card, method, tmp_path_factory):
    """Work folder and log of an uninterrupted training."""
    work, said = tmp_path_factory.mktemp("straight") / "work", {}
    train_rl(tiny_rl(method), work, card=card, show=said.__setitem__, device="cpu")
    return work, said


def weights(work):
    return load_file(work / "best" / "transformer" / "diffusion_pytorch_model.safetensors")


def assert_same(one, other):
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_something_is_learnt(card, straight):
    work, said = straight
    before = load_file(f"{card.weights}/transformer/diffusion_pytorch_model.safetensors")
    after = weights(work)
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert all(numbers["learn/lessons"] > 0 for numbers in said.values())
    lines = [json.loads(line) for line in (work / "curve.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]


def test_the_first_update_is_on_policy(method, straight):
    _, said = straight
    if method == "grpo":  # before the first optimizer step the policy is the one that sampled
        assert said[1]["learn/ratio"] == pytest.approx(1, abs=1e-3)
    else:
        assert said[1]["learn/distance_to_old"] < said[3]["learn/distance_to_old"] * 10
        assert said[1]["learn/kl"] >= 0


class Killed(Exception):
    pass


def kill(step, numbers):
    """After the second iteration, before its checkpoint."""
    if step == 2:
        raise Killed


def test_an_interrupted_training_goes_on(card, method, straight, tmp_path):
    with pytest.raises(Killed):
        train_rl(tiny_rl(method), tmp_path / "work", card=card, show=kill, device="cpu")
    train_rl(tiny_rl(method), tmp_path / "work", card=card, device="cpu")
    assert_same(tmp_path / "work", straight[0])


def test_a_judge_that_is_down_stops_it_and_costs_nothing(card, method, straight, tmp_path, monkeypatch):
    build, seen = preflight.judge_source, {"calls": 0, "down": True}

    class Judge:
        def __init__(self, whole):
            self.whole = whole

        def judge(self, questions):
            seen["calls"] += 1
            if seen["down"] and seen["calls"] > 3:  # three turns an iteration: from the second on
                return [Verdict.missing(Status.ERROR, "503 Service Unavailable")] * len(questions)
            return self.whole.judge(questions)

    class Source:
        def __init__(self, *arguments):
            self.source = build(*arguments)
            self.metrics = self.source.metrics

        def build(self):
            return Judge(self.source.build())

    monkeypatch.setattr(preflight, "judge_source", Source)
    with pytest.raises(RewardOutage, match="503 Service Unavailable"):
        train_rl(tiny_rl(method), tmp_path / "work", card=card, device="cpu")
    seen["down"] = False
    train_rl(tiny_rl(method), tmp_path / "work", card=card, device="cpu")
    assert_same(tmp_path / "work", straight[0])


def test_a_training_may_be_made_longer(card, method, straight, tmp_path):
    train_rl(tiny_rl(method, iterations=1), tmp_path / "work", card=card, device="cpu")
    train_rl(tiny_rl(method), tmp_path / "work", card=card, device="cpu")
    assert_same(tmp_path / "work", straight[0])
    with pytest.raises(RunError, match="a training of 3 iterations, more than the 2 asked for"):
        train_rl(tiny_rl(method, iterations=2), tmp_path / "work", card=card, device="cpu")


def test_an_old_policy_on_a_schedule_follows_it_after_an_interruption(card, tmp_path, monkeypatch):
    decays, move = [], Policy.move_old
    monkeypatch.setattr(Policy, "move_old", lambda policy, decay: decays.append(decay) or move(policy, decay))
    recipe, said = tiny_rl("nft", nft={"old_policy": "slow"}), {}
    train_rl(recipe, tmp_path / "straight", card=card, show=said.__setitem__, device="cpu")
    steps = np.cumsum([-(-said[n]["learn/lessons"] // recipe.learn.batch) for n in (1, 2, 3)])
    assert decays == [old_policy_decay(int(step), "slow") for step in steps]
    assert 0 < decays[0] < decays[1] < decays[2]
    straight = decays.copy()
    decays.clear()

    with pytest.raises(Killed):
        train_rl(recipe, tmp_path / "work", card=card, show=kill, device="cpu")
    train_rl(recipe, tmp_path / "work", card=card, device="cpu")
    assert decays == [*straight[:2], *straight[1:]]
    assert_same(tmp_path / "work", tmp_path / "straight")


def test_another_recipe_in_the_same_folder_is_refused(card, method, straight):
    with pytest.raises(RunError, match="another recipe"):
        train_rl(tiny_rl(method, seed=5), straight[0], card=card, device="cpu")
