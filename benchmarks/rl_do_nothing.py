"""What doing nothing earns in training: an edit that returns its input changes nothing it should not.

    python benchmarks/rl_do_nothing.py [--recipe ablation-per-turn] [--sessions 48] [--group 8] [--seed 0]

One iteration of the recipe is rolled out; nothing is learnt. In every session one rollout is replaced by one that
returns the source image at every turn: nothing that had to stay was changed (CC), and nothing was done (IF). Of its
edits, by fusion and by weight of CC (the rest is IF's), each turn with its own advantage:

- the mean advantage: below 0, training moves away from doing nothing;
- the share that would be reinforced (advantage >= `learn.min_advantage`);
- that share where none of the others in the group follows the instruction, where some do, and where all do.

A table goes to stderr, one JSON line to stdout.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from rl_judge_errors import asked, rewards, rolled_out

from micebench.registry.sources import judge_source
from micebench.tasks.load import load_task_card
from micebench.training.rl.advantages import AdvantageOptions, advantages

FUSIONS = ("advantage", "reward")
CC_WEIGHTS = (0.0, 0.2, 0.5, 0.8, 1.0)


def main() -> None:
    recipe, options = asked(__doc__, sessions=48)
    source = judge_source(recipe.judge, load_task_card(recipe.task))
    assert source is not None
    rollouts = rolled_out(recipe, options.sessions, options.group)
    for walks in rollouts.images:
        walks[0] = [walks[0][0]] * len(walks[0])
    table = rewards(rollouts, source.build(), ["IF", "CC"], source.metrics)
    idle = {metric: value[:, 0] for metric, value in table.values.items()}
    others = table.values["IF"][:, 1:].mean(1)  # (S, T)
    where = {"all": others >= 0, "none follows": others == 0, "all follow": others == 1}
    where["some follow"] = where["all"] & ~where["none follows"] & ~where["all follow"]
    rows: list[dict[str, Any]] = []
    for fusion in FUSIONS:
        for weight in CC_WEIGHTS:
            chosen = AdvantageOptions(fusion=fusion, broadcast=False, weights={"IF": 1 - weight, "CC": weight})
            values = advantages(table.values, table.failed, chosen).values[:, 0]
            pays = values >= recipe.learn.min_advantage
            shares = {words: round(pays[among].double().mean().item(), 3) for words, among in where.items()}
            rows.append({"fusion": fusion, "CC": weight, "advantage": round(values.mean().item(), 3), **shares})
    counts = {words: int(among.sum()) for words, among in where.items()}
    means = {metric: round(float(np.nanmean(value)), 3) for metric, value in idle.items()}
    show(rows, counts)
    said = {"recipe": recipe.id, "seed": recipe.seed, "sessions": options.sessions, "group": options.group}
    print(json.dumps({"benchmark": "rl_do_nothing", **said, "edits": counts, "rewards": means, "rows": rows}))


def show(rows: Sequence[dict[str, Any]], counts: dict[str, int]) -> None:
    """The table."""
    heads = [f"{words} ({count})" for words, count in counts.items()]
    print(f"{'fusion':10}{'CC':>5}{'advantage':>11}" + "".join(f"{head:>20}" for head in heads), file=sys.stderr)
    for row in rows:
        shares = "".join(f"{row[words]:>20.1%}" for words in counts)
        print(f"{row['fusion']:10}{row['CC']:>5.1f}{row['advantage']:>11.2f}{shares}", file=sys.stderr)


if __name__ == "__main__":
    main()
