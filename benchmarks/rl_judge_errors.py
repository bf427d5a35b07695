"""What a judge's errors do to what is learnt from: bias, noise, misjudgements, coarse scales, votes, outages.

    python benchmarks/rl_judge_errors.py [--recipe ablation-per-turn] [--sessions 96] [--group 8] [--seed 0]

One iteration of the recipe is rolled out; nothing is learnt. The same rollouts are judged by the exact judge, and by
`noisy` wrappers around it, one kind of error each. Of the advantages that follow:

- correlation with those of the exact judge, over all edits: what share of the deviations is still about the edits;
- of the edits that would be learnt from (|advantage| >= `learn.min_advantage`): how many there are, the share that is
  pushed the wrong way, and the share of which the exact judge would have taught nothing.

The wrapper draws with one seed: rows with as many votes differ by the size of an error alone. A table goes to
stderr, one JSON line to stdout.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch

from micebench.cards import EditorCard, JudgeCard, load_card
from micebench.judges.base import Judge
from micebench.judges.wrappers.noisy import NoisyJudge
from micebench.sessions import Session
from micebench.tasks.load import iter_sessions, load_task
from micebench.training.rl.advantages import Advantages, advantages
from micebench.training.rl.policies.diffusion import Policy, Trace
from micebench.training.rl.recipe import RlRecipe, load_rl_recipe
from micebench.training.rl.rewards import Rewards, RewardTable
from micebench.training.rl.rollout import Rollouts, RolloutSpec, roll_out
from micebench.utils.malloc import keep_freed_memory

ERRORS: dict[str, dict[str, Any]] = {
    "none": {},
    "IF: one in twenty wrong": {"flip": {"IF": 0.05}},
    "IF: one in ten wrong": {"flip": {"IF": 0.1}},
    "IF: one in five wrong": {"flip": {"IF": 0.2}},
    "IF: one in five wrong, 3 votes": {"flip": {"IF": 0.2}, "votes": 3},
    "IF: one in five wrong, 9 votes": {"flip": {"IF": 0.2}, "votes": 9},
    "IF: 0.3 too high": {"bias": {"IF": 0.3}},
    "IF: 0.3 too low": {"bias": {"IF": -0.3}},
    "CC: noise 0.02": {"noise": {"CC.object": 0.02, "CC.background": 0.02}},
    "CC: noise 0.1": {"noise": {"CC.object": 0.1, "CC.background": 0.1}},
    "CC: 0.1 too low": {"bias": {"CC.object": -0.1, "CC.background": -0.1}},
    "CC: in steps of 0.25": {"levels": {"CC.object": 5, "CC.background": 5}},
    "4 % of answers missing": {"outage": 0.04},
}


def main() -> None:
    recipe, options = asked(__doc__, sessions=96)
    rollouts = rolled_out(recipe, options.sessions, options.group)
    exact = judged(recipe, rollouts, {})
    rows = [
        {"error": words, **compared(exact, judged(recipe, rollouts, error), recipe.learn.min_advantage)}
        for words, error in ERRORS.items()
    ]
    show(rows)
    said = {"sessions": options.sessions, "group": options.group, "edits": int(rollouts.edited.sum())}
    print(
        json.dumps({"benchmark": "rl_judge_errors", "recipe": recipe.id, "seed": recipe.seed, **said, "rows": rows})
    )


def asked(description: str | None, sessions: int) -> tuple[RlRecipe, argparse.Namespace]:
    """The recipe on the command line, and how many `sessions` and rollouts of each (`group`)."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="ablation-per-turn", help="id or file; of sessions that `exact` judges")
    parser.add_argument("--sessions", type=int, default=sessions)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    return load_rl_recipe(options.recipe, {"seed": options.seed, "validation": None}), options


def rolled_out(recipe: RlRecipe, sessions: int, group: int) -> Rollouts[Trace]:
    """One iteration of the start."""
    keep_freed_memory()
    card = load_card(EditorCard, recipe.model)
    policy = Policy(card, recipe.lora, copies=(), device=torch.device("cpu"))
    plan = recipe.rollout.sampling
    spec = RolloutSpec(group, card.context, plan, policy.editor.steps(plan), recipe.seed)
    chosen: Sequence[Session] = list(islice(iter_sessions(load_task(recipe.task)), sessions))
    with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bf16"):
        return roll_out(lambda requests, starts: policy.sample(requests, plan, starts), chosen, spec, iteration=0)


def judged(recipe: RlRecipe, rollouts: Rollouts[Trace], error: dict[str, Any]) -> Advantages:
    """Advantages by the exact judge with an error."""
    noisy = load_card(JudgeCard, "noisy-exact")
    kept = {name: noisy.options[name] for name in ("judge", "version")}
    card = noisy.model_copy(update={"id": "noisy", "options": {**kept, **error}})
    table = rewards(rollouts, NoisyJudge(card), list(recipe.advantages.weights), card.metrics)
    return advantages(table.values, table.failed, recipe.advantages)


def rewards(rollouts: Rollouts[Any], judge: Judge, metrics: Sequence[str], known: Sequence[str]) -> RewardTable:
    """Of all turns."""
    told = Rewards(judge, metrics, known=known, limit=0.5)
    try:
        for turn in range(1, rollouts.turns + 1):
            told.submit(turn, rollouts)
        return told.collect()
    finally:
        told.close()


def compared(exact: Advantages, found: Advantages, least: float) -> dict[str, float]:
    """See the module."""
    both = exact.used & found.used
    true, said = exact.values[both], found.values[both]
    learnt = said.abs() >= least
    nothing = true.abs() < least
    wrong = (true.sign() != said.sign()) & ~nothing
    count = max(1, int(learnt.sum()))
    return {
        "correlation": round(torch.corrcoef(torch.stack([true, said]))[0, 1].item(), 3),
        "learnt": int(learnt.sum()),
        "wrong_way": round(int((wrong & learnt).sum()) / count, 3),
        "of_nothing": round(int((nothing & learnt).sum()) / count, 3),
    }


def show(rows: Sequence[dict[str, Any]]) -> None:
    """The table."""
    print(f"{'error':34}{'correlation':>12}{'learnt':>8}{'wrong way':>11}{'of nothing':>12}", file=sys.stderr)
    for row in rows:
        shares = f"{row['wrong_way']:>11.1%}{row['of_nothing']:>12.1%}"
        print(f"{row['error']:34}{row['correlation']:>12.2f}{row['learnt']:>8}{shares}", file=sys.stderr)


if __name__ == "__main__":
    main()
