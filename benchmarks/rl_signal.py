"""How much of a gradient is signal: at which noise levels RL of an editor has something to learn from.

    python benchmarks/rl_signal.py [--recipe kontext-rl] [--sessions 48] [--group 8] [--weights IF=1] [--seed 0]

One iteration of the recipe is rolled out and judged; nothing is learnt. At each of the sampler's noise levels the
method's own loss is differentiated over the edits of half of the sessions, and over those of the other half. Both
gradients estimate the same one, and share nothing but the weights: if each is a common signal plus noise of its own,
their cosine is the signal's share of the squared length of a gradient of that many sessions. 0: the optimizer is
moved by chance. The range is the cosine's standard deviation over random halvings.

A table goes to stderr, one JSON line to stdout. For GRPO a level is a step of the window.
"""

import argparse
import json
import random
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice
from statistics import mean, stdev
from typing import Any

import torch
from accelerate import Accelerator

from micebench.cards import EditorCard, load_card
from micebench.registry.sources import judge_source
from micebench.tasks.load import iter_sessions, load_task, load_task_card
from micebench.training.rl.advantages import Advantages, advantages
from micebench.training.rl.methods.grpo import Grpo
from micebench.training.rl.methods.nft import Nft
from micebench.training.rl.minibatches import Batch, Lesson, choose, edit_seed
from micebench.training.rl.policies.diffusion import Policy, Trace
from micebench.training.rl.recipe import RlRecipe, load_rl_recipe
from micebench.training.rl.rewards import Rewards
from micebench.training.rl.rollout import Rollouts, RolloutSpec, roll_out
from micebench.utils.malloc import keep_freed_memory

HALVINGS = 8
MICRO = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="kontext-rl", help="id or file")
    parser.add_argument("--sessions", type=int, default=48)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--weights", nargs="+", metavar="METRIC=WEIGHT", help="in place of the recipe's")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    recipe = load_rl_recipe(options.recipe, {"seed": options.seed, "validation": None})
    if options.weights:
        weights = {name: float(weight) for name, weight in (said.split("=") for said in options.weights)}
        recipe = recipe.model_copy(update={"advantages": recipe.advantages.model_copy(update={"weights": weights})})
    said = measure(recipe, options.sessions, options.group)
    show(said)
    print(json.dumps(said))


def measure(recipe: RlRecipe, sessions: int, group: int) -> dict[str, Any]:
    """Cosines by noise level."""
    keep_freed_memory()
    accelerator = Accelerator(mixed_precision=recipe.precision, cpu=True)
    card = load_card(EditorCard, recipe.model)
    policy = Policy(card, recipe.lora, copies=("old",), device=accelerator.device)
    with accelerator.autocast():
        rollouts, found = rolled_out(recipe, card, policy, sessions, group)
        lessons = by_level(recipe, rollouts, found)
        rows = [row(recipe, policy, rollouts, found, level, those) for level, those in lessons.items()]
    return {
        "benchmark": "rl_signal",
        "recipe": recipe.id,
        "model": recipe.model,
        "task": recipe.task,
        "weights": dict(recipe.advantages.weights),
        "seed": recipe.seed,
        "sessions": sessions,
        "group": group,
        "levels": rows,
    }


def rolled_out(
    recipe: RlRecipe, card: EditorCard, policy: Policy, sessions: int, group: int
) -> tuple[Rollouts[Trace], Advantages]:
    """One iteration, and what it is worth."""
    task = load_task_card(recipe.task)
    source = judge_source(recipe.judge, task)
    assert source is not None
    rewards = Rewards(source.build(), list(recipe.advantages.weights), known=source.metrics)
    plan = recipe.rollout.sampling
    spec = RolloutSpec(group, card.context, plan, policy.editor.steps(plan), recipe.seed)
    chosen = list(islice(iter_sessions(load_task(task)), sessions))
    try:
        rollouts = roll_out(
            lambda requests, starts: policy.sample(requests, plan, starts),
            chosen,
            spec,
            iteration=0,
            on_turn=rewards.submit,
        )
        table = rewards.collect()
    finally:
        rewards.close()
    return rollouts, advantages(table.values, table.failed, recipe.advantages)


def by_level(recipe: RlRecipe, rollouts: Rollouts[Trace], found: Advantages) -> Mapping[float, Sequence[Lesson]]:
    """Noise level -> what is learnt there, highest first."""
    draws = recipe.rollout.sampling.window or 1
    edited = torch.from_numpy(rollouts.edited)
    chosen = choose(found, edited, draws, recipe.learn.min_advantage, positives_only=False, seed="signal")
    levels: defaultdict[float, list[Lesson]] = defaultdict(list)
    for (session, rollout, turn), draw in chosen:
        trace = rollouts.traces[session][rollout][turn]
        assert trace is not None
        steps = [trace.start + draw] if recipe.grpo else range(len(trace.sigmas) - 1)
        for step in steps:
            levels[round(float(trace.sigmas[step]), 4)].append(Lesson((session, rollout, turn), draw))
    return dict(sorted(levels.items(), reverse=True))


def row(
    recipe: RlRecipe,
    policy: Policy,
    rollouts: Rollouts[Trace],
    found: Advantages,
    level: float,
    lessons: Sequence[Lesson],
) -> dict[str, Any]:
    """The cosine of halves, from one gradient per session: sums of these are gradients of sessions."""
    own = method_at(recipe, level)
    of: defaultdict[int, list[Lesson]] = defaultdict(list)
    for lesson in lessons:
        of[lesson.place[0]].append(lesson)
    parts = [gradient(recipe, policy, own, rollouts, found, those) for those in of.values()]
    cosines = [_cosine(parts, number) for number in range(HALVINGS)]
    return {
        "level": level,
        "lessons": len(lessons),
        "sessions": len(parts),
        "cosine": round(mean(cosines), 3),
        "cosine_sd": round(stdev(cosines), 3),
        "norm": float(f"{(sum(parts[1:], parts[0]) / len(lessons)).norm():.3g}"),
    }


def method_at(recipe: RlRecipe, level: float) -> Nft | Grpo:
    """The recipe's method; NFT learns at one noise level alone."""
    clip = recipe.advantages.clip
    if recipe.nft is not None:
        # not checked: the level of noise alone, which no recipe may ask for, is measured too
        return Nft(recipe.nft.model_copy(update={"sigma_range": (level - 1e-3, level + 1e-3), "kl": 0.0}), clip)
    assert recipe.grpo is not None
    return Grpo(recipe.grpo.model_copy(update={"kl": 0.0}), recipe.rollout.sampling, clip)


def gradient(
    recipe: RlRecipe,
    policy: Policy,
    method: Nft | Grpo,
    rollouts: Rollouts[Trace],
    found: Advantages,
    lessons: Sequence[Lesson],
) -> torch.Tensor:
    """The summed loss's, flat."""
    policy.denoiser.zero_grad(set_to_none=True)
    for start in range(0, len(lessons), MICRO):
        part = lessons[start : start + MICRO]
        seeds = [edit_seed(recipe.seed, 0, rollouts.sessions[place[0]].id, place) for place, _ in part]
        traces = [trace for (s, g, t), _ in part if (trace := rollouts.traces[s][g][t]) is not None]
        worth = torch.stack([found.values[place] for place, _ in part]).float()
        losses, _ = method.losses(policy, policy.denoiser, Batch(traces, worth, [draw for _, draw in part], seeds))
        losses.sum().backward()
    grads = [parameter.grad for parameter in policy.parameters() if parameter.grad is not None]
    return torch.cat([grad.flatten() for grad in grads])


def show(said: dict[str, Any]) -> None:
    """The table."""
    rollouts = f"{said['sessions']} sessions x {said['group']} rollouts"
    print(f"{said['recipe']}: {rollouts} of {said['task']}, weights {said['weights']}", file=sys.stderr)
    print(f"{'noise level':>12}{'lessons':>9}{'cosine of halves':>18}{'norm':>10}", file=sys.stderr)
    for row in said["levels"]:
        cosine = f"{row['cosine']:+.3f} ± {row['cosine_sd']:.3f}"
        print(f"{row['level']:>12.3f}{row['lessons']:>9}{cosine:>18}{row['norm']:>10.3g}", file=sys.stderr)


def _cosine(parts: Sequence[torch.Tensor], number: int) -> float:
    order = random.Random(number).sample(range(len(parts)), len(parts))
    halves = [torch.stack([parts[n] for n in order[first::2]]).sum(0) for first in (0, 1)]
    return torch.nn.functional.cosine_similarity(halves[0], halves[1], dim=0).item()


if __name__ == "__main__":
    main()
