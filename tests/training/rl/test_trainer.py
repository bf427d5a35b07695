"""Signs and places, from the reward of an edit to the weights: a rewarded edit becomes likelier than the others of
its group, a punished one less likely, and the edits of other groups are hardly told apart."""

import copy

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("accelerate")

from micebench.training.rl.update import Learner  # noqa: E402
from micebench.training.rl.policies.diffusion import Policy  # noqa: E402
from micebench.training.rl.rewards import RewardTable  # noqa: E402
from micebench.training.rl.samplers import log_prob, transition  # noqa: E402
from micebench.training.rl.trainer import Iteration, _method  # noqa: E402
from micebench.tasks.load import load_task  # noqa: E402
from micebench.training.common.work_dir import accelerator_for  # noqa: E402
from tests.training.rl.tiny import tiny_editor, tiny_rl  # noqa: E402

SESSIONS, GROUP, TURNS = SHAPE = (2, 3, 3)
PLACES = [((0, 0, 1), (1, 2, 0)), ((0, 1, 2), (1, 0, 1)), ((1, 2, 1), (0, 1, 0))]
"""(session, rollout, turn) of the one edit that is rewarded, and of the one that is punished."""
RECIPES = {
    "nft": {"nft": {"draws": 8, "changed_share": 0.0}, "batch": 4},
    "grpo": {"grpo": {"clip_low": 0.2, "clip_high": 0.2}, "batch": 2},
}


def recipe_of(method):
    part = dict(RECIPES[method])
    learn = {"lr": 1e-3, "batch": part.pop("batch"), "micro": 4, "warmup": 1, "min_advantage": 0.0}
    whole = tiny_rl(method, advantages={"weights": {"IF": 1.0}, "broadcast": False}, learn=learn, **part)
    return whole.model_copy(update={"rollout": whole.rollout.model_copy(update={"group": GROUP})})


class Given:
    """In place of a judge's rewards: those given, whatever the images are."""

    def __init__(self, values):
        self.values = values

    def submit(self, turn, rollouts):
        self.rollouts = rollouts

    def collect(self):
        return RewardTable({"IF": self.values}, torch.zeros(SHAPE, dtype=torch.bool), {}, "", 0.0)


def denoised_well(policy, trace, _):
    """How near the policy comes to the edit's final latents from noise: what NFT has learnt from it."""
    sigma = trace.sigmas[:-1].repeat(4)
    noise = torch.randn(len(sigma), *trace.clean.shape, generator=torch.Generator().manual_seed(1))
    level = sigma[:, None, None]
    x = (1 - level) * trace.clean + level * noise
    predicted = x - level * policy.velocity(x, sigma, [trace] * len(sigma))
    return -(predicted - trace.clean).square().mean().item()


def likely(policy, trace, plan):
    """Log-probability of the edit's stochastic steps: what GRPO has learnt from it."""
    steps = range(trace.start, trace.start + plan.window)
    sigma, then = trace.sigmas[steps.start : steps.stop], trace.sigmas[steps.start + 1 : steps.stop + 1]
    v = policy.velocity(trace.latents[:-1], sigma, [trace] * plan.window)
    mean, std = transition(plan.kind, trace.latents[:-1], v, sigma, then, plan.noise_level, trace.sigmas[1])
    return log_prob(trace.latents[1:], mean, std).mean().item()


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A model of random weights, which every test starts from: its card, a policy, and the weights."""
    card = tiny_editor(tmp_path_factory.mktemp("tiny") / "weights")
    policy = Policy(card, None, copies=("old",), device="cpu")
    return card, policy, copy.deepcopy(policy.state_dict())


@torch.no_grad()
def liked(policy, rollouts, plan):
    """(S, G, T)."""
    score = likely if plan.window else denoised_well
    values = [[[score(policy, trace, plan) for trace in walk] for walk in row] for row in rollouts.traces]
    return torch.tensor(values, dtype=torch.float64)


def gains(method, start, values, folder):
    """(S, G, T) by how much an iteration with these rewards makes each edit likelier than the others of its group."""
    card, policy, weights = start
    recipe, given = recipe_of(method), Given(values)
    policy.load_state_dict(weights)
    accelerator, how = accelerator_for(folder, "no", "cpu"), _method(recipe)
    learner = Learner(accelerator, policy, how, recipe.learn, recipe.seed)
    sessions = load_task(recipe.task, limit=SESSIONS)
    Iteration(recipe, accelerator, card, sessions, policy, given, how, learner)(0)
    plan = recipe.rollout.sampling
    after = liked(policy, given.rollouts, plan)
    policy.load_state_dict(weights)
    gained = after - liked(policy, given.rollouts, plan)
    return gained - gained.mean(1, keepdim=True)


@pytest.mark.parametrize(("good", "bad"), PLACES)
@pytest.mark.parametrize("method", RECIPES)
def test_what_is_rewarded_becomes_likelier_and_what_is_punished_less_likely(method, good, bad, start, tmp_path):
    """All other edits are worth the same; so of all groups only two have anything to learn from."""
    values = torch.full(SHAPE, 0.5, dtype=torch.float64)
    values[good], values[bad] = 1.0, 0.0
    found = gains(method, start, values, tmp_path)
    told_apart = (found.amax(1) - found.amin(1)).flatten()  # (S * T,): how differently a group's edits have fared
    assert set(told_apart.topk(2).indices.tolist()) == {group_of(good), group_of(bad)}
    assert found[good[0], :, good[2]].argmax() == good[1]
    assert found[bad[0], :, bad[2]].argmin() == bad[1]


def group_of(place):
    session, _, turn = place
    return session * TURNS + turn
