"""Where an iteration of RL spends its time, and how much sooner it is done than in the structure of public code.

    python benchmarks/rl_iteration.py [--methods nft grpo] [--sessions 4] [--group 8] [--iterations 2]
        [--model kontext] [--threads 2] [--device cpu]

Both structures are the trainer's own `Iteration` on the same sessions, seeds, weights and recipe; one iteration of
each comes first and is not counted. They differ in three places only, where Edit-R2 (scripts/train_editr2.py and
flow_grpo/rewards.py of github.com/yuxiaooye/Edit-R2 @ 2dd266f) has loops:

- sampling: the pipeline is called for one edit at a time (its loop over `len(prompts)` in each turn), not for all
  rollouts of a turn at once;
- judging: one reward after another (its loop over the score functions) and one image after another, each asked for
  itself. It runs beside the sampling of the next turn, as theirs does in a thread pool;
- learning: one lesson per forward and backward pass (its loop over `bs`, and over the steps of the window), not
  `learn.micro` of them. Optimizer steps are as many, of as many lessons.

It is their structure, not their code: their model (BAGEL, 7 B), its rewriting of prompts, its cache of keys and
values and their servers are not in it. Their release has no NFT; there the three loops are put around ours.

A table goes to stderr, one JSON line per method to stdout. The structures take turns. `ratio` (goal >= 3) is seconds
of an iteration in that structure over seconds of ours, `ratio_cpu` the same of seconds that this process computed: on
a machine with other work `ratio` says little. `waiting` is the part of judging that sampling did not hide. What
batching gains depends on the machine: a CPU has no idle cores left to fill once a small batch keeps them busy, so a
ratio on a CPU says little about a GPU, and neither says anything about a judge behind a network.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Generator, Sequence
from itertools import count
from pathlib import Path
from statistics import mean
from time import perf_counter, process_time
from typing import Any

import torch

from micebench.cards import EditorCard, load_card
from micebench.judges.base import Judge
from micebench.registry.sources import judge_source
from micebench.tasks.load import load_task, load_task_card
from micebench.training.common.work_dir import accelerator_for
from micebench.training.rl.methods.grpo import Grpo
from micebench.training.rl.methods.nft import Nft
from micebench.training.rl.policies.diffusion import Policy
from micebench.training.rl.recipe import RlRecipe, load_rl_recipe
from micebench.training.rl.rewards import Rewards
from micebench.training.rl.trainer import Iteration
from micebench.training.rl.update import Learner, Method
from micebench.verdicts import Question, Verdict

PARTS = ("sampling", "waiting", "learning")


class OneByOne(Policy):
    """A policy that edits one image per call of its pipeline."""

    def sample(self, requests, plan, starts, *, weights="current"):
        return [
            super(OneByOne, self).sample([request], plan, [start], weights=weights)[0]
            for request, start in zip(requests, starts, strict=True)
        ]


class OneAfterAnother:
    """A judge that is asked metric after metric, and about one image at a time."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def judge(self, questions: Sequence[Question]) -> list[Verdict]:
        order = sorted(range(len(questions)), key=lambda number: questions[number].metric)
        verdicts = {number: self._judge.judge([questions[number]])[0] for number in order}
        return [verdicts[number] for number in range(len(questions))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", choices=("nft", "grpo"), default=["nft", "grpo"])
    parser.add_argument("--model", default="kontext", help="an editor of rendered scenes")
    parser.add_argument("--sessions", type=int, default=4, help="groups per iteration")
    parser.add_argument("--group", type=int, default=8, help="rollouts per session")
    parser.add_argument("--iterations", type=int, default=2, help="counted, the same ones of both structures")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: as torch says")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    for method in options.methods:
        said = measure(method, options)
        show(said)
        print(json.dumps(said), flush=True)


def measure(method: str, options: argparse.Namespace) -> dict[str, Any]:
    """Both structures in this process, taking turns."""
    recipe = load_rl_recipe(f"mt-editflow-{method}", {"model": options.model})
    rollout = recipe.rollout.model_copy(update={"sessions": options.sessions, "group": options.group})
    # `min_advantage` would leave out edits that the other structure learns from as well
    learn = recipe.learn.model_copy(update={"min_advantage": 0.0})
    recipe = recipe.model_copy(update={"rollout": rollout, "learn": learn, "validation": None})
    alone = recipe.model_copy(update={"learn": learn.model_copy(update={"micro": 1})})
    both = iterated(recipe, options.device), iterated(alone, options.device, one_by_one=True)
    turns = [[next(structure) for structure in both] for _ in range(options.iterations + 1)]
    ours, theirs = ([pair[number] for pair in turns[1:]] for number in (0, 1))
    for structure in both:
        structure.close()
    return {
        "benchmark": "rl_iteration",
        "method": method,
        "ratio": round(seconds(theirs) / seconds(ours), 2),
        "ratio_cpu": round(_mean(theirs, "cpu") / _mean(ours, "cpu"), 2),
        "ratio_sampling": round(_mean(theirs, "sampling") / _mean(ours, "sampling"), 2),
        "ratio_learning": round(_mean(theirs, "learning") / _mean(ours, "learning"), 2),
        "ours": report(ours),
        "published_structure": report(theirs),
        "sessions": options.sessions,
        "group": options.group,
        "turns": load_task_card(recipe.task).turns,
        "model": options.model,
        "device": torch.cuda.get_device_name() if options.device == "cuda" else platform.processor() or "cpu",
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
    }


def iterated(recipe: RlRecipe, device: str, *, one_by_one: bool = False) -> Generator[dict[str, float], None, None]:
    """Numbers of one iteration after the other; "wall" is all of its seconds, "cpu" those that it computed."""
    with tempfile.TemporaryDirectory(prefix="micebench-rl-") as folder:
        accelerator = accelerator_for(Path(folder), recipe.precision, "cpu" if device == "cpu" else None)
        torch.manual_seed(recipe.seed)
        task, card = load_task_card(recipe.task), load_card(EditorCard, recipe.model)
        method = method_of(recipe)
        policy = (OneByOne if one_by_one else Policy)(card, None, copies=method.copies, device=accelerator.device)
        learner = Learner(accelerator, policy, method, recipe.learn, recipe.seed)
        source = judge_source(recipe.judge, task)
        assert source is not None
        judge = OneAfterAnother(source.build()) if one_by_one else source.build()
        rewards = Rewards(judge, list(recipe.advantages.weights), known=source.metrics)
        iterate = Iteration(recipe, accelerator, card, load_task(task), policy, rewards, method, learner)
        try:
            for number in count():
                start, computed = perf_counter(), process_time()
                numbers = iterate(number)
                if device == "cuda":
                    torch.cuda.synchronize()
                spent = {"seconds/wall": perf_counter() - start, "seconds/cpu": process_time() - computed}
                yield {**numbers, **spent}
        finally:
            rewards.close()
            accelerator.free_memory()


def method_of(recipe: RlRecipe) -> Method:
    """NFT or GRPO, as the recipe says."""
    if recipe.nft is not None:
        return Nft(recipe.nft, recipe.advantages.clip)
    assert recipe.grpo is not None
    return Grpo(recipe.grpo, recipe.rollout.sampling, recipe.advantages.clip)


def seconds(said: Sequence[dict[str, float]]) -> float:
    """Of an iteration."""
    return _mean(said, "wall")


def report(said: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Shares of an iteration's time and what was done in it."""
    judging, waiting = _mean(said, "judging"), _mean(said, "waiting")
    return {
        "seconds": round(seconds(said), 2),
        "cpu_s": round(_mean(said, "cpu"), 2),
        **{f"share_{part}": round(_mean(said, part) / seconds(said), 4) for part in PARTS},
        "judging_s": round(judging, 3),
        "judging_hidden": round(1 - min(waiting / judging, 1), 3),
        "lessons": mean(numbers["learn/lessons"] for numbers in said),
        "n_iterations": len(said),
    }


def show(said: dict[str, Any]) -> None:
    """The table."""
    edits = said["sessions"] * said["group"] * said["turns"]
    print(f"{said['method']}: {edits} edits an iteration on {said['device']}", file=sys.stderr)
    print(f"{'':22}{'seconds':>9}{'sampling':>10}{'waiting':>10}{'learning':>10}{'lessons':>9}", file=sys.stderr)
    for name in ("ours", "published_structure"):
        row = said[name]
        shares = "".join(f"{row[f'share_{part}']:>10.1%}" for part in PARTS)
        print(f"{name:22}{row['seconds']:>9.1f}{shares}{row['lessons']:>9.0f}", file=sys.stderr)
    print(f"{'ratio':22}{said['ratio']:>9.2f}", file=sys.stderr)


def _mean(said: Sequence[dict[str, float]], part: str) -> float:
    return mean(numbers[f"seconds/{part}"] for numbers in said)


if __name__ == "__main__":
    main()
