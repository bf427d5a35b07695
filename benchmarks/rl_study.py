"""What the choices of MT-EditFlow are worth: its ablation, trained with several seeds and read on held-out sessions.

    python benchmarks/rl_study.py [--seeds 0 1 2] [--iterations 20] [--jobs 2] [--out training/study]
    python benchmarks/rl_study.py --read [--out training/study]

Trains every recipe with every seed by `micebench train`, `--jobs` at once, each on its share of the cores. The same
command again goes on where it was stopped; `--read` trains nothing and reads what is complete. A training is read at
its last iteration, not at its best: nothing is chosen by what it is scored by.

Every training is paired with its own start (same held-out sessions, same sampling seeds). The seeds of a recipe are
repeats of the same sessions, pooled by the product's own `paired`: intervals are over sessions, and what the seeds
differ by is shown beside. `against` is the difference to the same seeds of `--against`.

Writes docs/figures/rl-study.{png,json} and prints a table.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import stdev
from typing import Any

import numpy as np

from micebench.cards import recipe_fields, recipe_path
from micebench.engine.run_reader import Run, open_run
from micebench.metrics import VerdictTable, paired
from micebench.publish.difference_tables import difference
from micebench.report.plots import COLOURS, GRID, INK, as_png, new_canvas
from micebench.tasks.load import load_task_card
from micebench.training.rl.recipe import load_rl_recipe

Place = tuple[str, int]
"""Recipe and iteration."""

RECIPES = (
    "ablation-per-turn",
    "mt-editflow-nft",
    "ablation-mean",
    "ablation-product",
    "ablation-last",
    "ablation-reward-fusion",
    "ablation-single-turn",
    "ablation-positives-only",
    "ablation-noisy",
    "ablation-content-only",
    "ablation-low-levels",
    "ablation-all-levels",
)
SHOWN = {  # what a recipe is read by -> metric and turn of a comparison; "" is the last turn
    "overall, last turn": ("overall", ""),
    "success, turn 1": ("marginal_success", "1"),
    "success, last turn": ("marginal_success", ""),
    "CC, last turn": ("content_consistency", ""),
}


IN_TABLE = (
    "overall, last turn",
    "overall, last turn, plain",
    "overall, last turn, cm",
    "success, turn 1",
    "CC, last turn",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=RECIPES, metavar="RECIPE")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1, help="trainings at once")
    parser.add_argument("--against", default="ablation-per-turn", help="recipe that the others are compared with")
    parser.add_argument("--read", action="store_true", help="read what is there, train nothing")
    parser.add_argument("--out", type=Path, default=Path("training/study"))
    parser.add_argument("--figures", type=Path, default=Path(__file__).parent.parent / "docs" / "figures")
    asked = parser.parse_args()
    study = Study(asked.out, asked.iterations)
    if not asked.read:
        with ThreadPoolExecutor(asked.jobs) as pool:
            wanted = [(recipe, seed) for seed in asked.seeds for recipe in asked.recipes]
            list(pool.map(lambda one: study.train(*one, threads=max(1, (os.cpu_count() or 1) // asked.jobs)), wanted))
    found = study.read(asked.recipes, asked.seeds, asked.against)
    asked.figures.mkdir(parents=True, exist_ok=True)
    (asked.figures / "rl-study.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (asked.figures / "rl-study.png").write_bytes(figure(found))
    print(table(found))


class Study:
    """Trainings of ``folder/RECIPE/seed-S``."""

    def __init__(self, folder: Path, iterations: int) -> None:
        self.folder, self.iterations = folder, iterations

    def work(self, recipe: str, seed: int) -> Path:
        return self.folder / recipe / f"seed-{seed}"

    def reading(self, recipe: str, seed: int, iteration: int) -> Path:
        return self.work(recipe, seed) / "validation" / f"{iteration:05d}"

    def complete(self, recipe: str, seed: int) -> bool:
        return self.reading(recipe, seed, self.iterations).with_suffix(".json").exists()

    def train(self, recipe: str, seed: int, threads: int) -> None:
        """One training, if it is not complete. Raises CalledProcessError."""
        if self.complete(recipe, seed):
            return
        self._take_start(recipe, seed)
        work = self.work(recipe, seed)
        work.mkdir(parents=True, exist_ok=True)
        given = {"--iterations": self.iterations, "--seed": seed, "--out": work}
        command = [
            sys.executable,
            "-m",
            "micebench",
            "train",
            recipe,
            *(str(x) for pair in given.items() for x in pair),
        ]
        print(recipe, "seed", seed, file=sys.stderr, flush=True)
        with (work / "log.txt").open("a", encoding="utf-8") as log:
            environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
            subprocess.run(command, check=True, stdout=log, stderr=subprocess.STDOUT, env=environment)

    def _take_start(self, recipe: str, seed: int) -> None:
        """The start is the same model on the same sessions for every recipe that validates alike: read once."""
        own = self.reading(recipe, seed, 0)
        for note in self.folder.glob(f"*/seed-{seed}/validation/00000.json"):
            other = note.parents[2].name
            if not own.with_suffix(".json").exists() and started_from(other) == started_from(recipe):
                shutil.copytree(note.with_suffix(""), own, dirs_exist_ok=True)  # a copy that was cut short
                shutil.copy(note, own.with_suffix(".json"))

    def read(self, recipes: Sequence[str], seeds: Sequence[int], against: str) -> dict[str, Any]:
        """A row per recipe of which a seed is complete."""
        rows = []
        for recipe in recipes:
            done = [seed for seed in seeds if self.complete(recipe, seed)]
            shared = [seed for seed in done if recipe != against and self.complete(against, seed)]
            if done:
                start, end = (recipe, 0), (recipe, self.iterations)
                row = {
                    "recipe": recipe,
                    "description": recipe_fields(recipe_path(recipe)).get("description", ""),
                    "seeds": done,
                    "gain": self.difference(start, end, done),
                    "gain by seed": [self.difference(start, end, [seed]) for seed in done],
                }
                if shared:
                    row["against"] = self.difference((against, self.iterations), end, shared)
                rows.append(row)
        return {"benchmark": "rl_study", "iterations": self.iterations, "against": against, "rows": rows}

    def difference(self, before: Place, after: Place, seeds: Sequence[int]) -> dict[str, Any]:
        """after minus before in percentage points, by the names of `SHOWN` and by track."""
        one, other = (
            [open_run(self.reading(place[0], seed, place[1])) for seed in seeds] for place in (before, after)
        )
        kept = one[0].manifest.content_consistency
        found = paired(pooled(one), pooled(other), consistency=kept)
        last = max(found["metrics"]["overall"], key=int)
        shown = {words: found["metrics"][metric][turn or last] for words, (metric, turn) in SHOWN.items()}
        whole = next(iter(SHOWN))
        tracks = {f"{whole}, {track}": cells["overall"][last] for track, cells in found["tracks"].items()}
        return {words: _brief(cell) for words, cell in (shown | tracks).items()}


def pooled(runs: Sequence[Run]) -> VerdictTable:
    """The rows of runs over the same sessions, as repeats of them."""
    tables = [run.table() for run in runs]
    metrics = tables[0].values
    return VerdictTable(
        np.concatenate([table.sessions for table in tables]),
        np.concatenate([table.tracks for table in tables]),
        np.concatenate([table.edit_types for table in tables]),
        np.concatenate([table.turns for table in tables]),
        {metric: np.concatenate([table.values[metric] for table in tables]) for metric in metrics},
        {metric: np.concatenate([table.status[metric] for table in tables]) for metric in metrics},
    )


def started_from(recipe: str) -> tuple[str, str, str | None]:
    """Recipes for which this is the same read the same start."""
    chosen = load_rl_recipe(recipe)
    assert chosen.validation is not None
    held_out = chosen.validation
    return chosen.model, held_out.task, held_out.judge or load_task_card(held_out.task).judge


def _brief(cell: dict[str, Any]) -> dict[str, Any]:
    return {
        name: cell[name] if name == "n" else _rounded(cell[name])
        for name in ("a", "b", "difference", "low", "high", "n")
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def table(found: dict[str, Any]) -> str:
    """Markdown, as in docs/rl.md."""
    whole = next(iter(SHOWN))
    lines = [
        f"| recipe | seeds | {' | '.join(IN_TABLE)} | between seeds | overall, against `{found['against']}` |",
        "|" + "---|" * (len(IN_TABLE) + 4),
    ]
    for row in found["rows"]:
        each = [one[whole]["difference"] for one in row["gain by seed"]]
        cells = [
            f"`{row['recipe']}`",
            str(len(each)),
            *(difference(row["gain"][name]) for name in IN_TABLE),
            f"±{stdev(each):.1f}" if len(each) > 1 else "",
            difference(row["against"][whole]) if "against" in row else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def figure(found: dict[str, Any]) -> bytes:
    """Gains with intervals, a row per recipe and a panel per number; small marks are single seeds."""
    rows = found["rows"]
    canvas = new_canvas(9.8, 1.3 + 0.36 * len(rows))
    panels = canvas.subplots(1, len(SHOWN), sharey=True)
    for place, (axes, name) in enumerate(zip(panels, SHOWN, strict=True)):
        axes.axvline(0, color=INK, linewidth=0.8)
        for height, row in enumerate(rows):
            cell = row["gain"][name]
            axes.plot([cell["low"], cell["high"]], [height] * 2, color=COLOURS[place], linewidth=2)
            axes.plot(cell["difference"], height, "o", color=COLOURS[place], markersize=6)
            each = [one[name]["difference"] for one in row["gain by seed"]]
            axes.plot(each, [height] * len(each), "|", color=INK, markersize=7)
        axes.set_title(name, loc="left", fontsize=10, color=INK, fontweight="bold")
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(length=0, labelcolor=INK, labelsize=9)
        for side in axes.spines.values():
            side.set_visible(False)
    panels[0].set_yticks(range(len(rows)), [row["recipe"].removeprefix("ablation-") for row in rows])
    panels[0].invert_yaxis()
    words = f"gain after {found['iterations']} iterations, points, 95 % interval; strokes are seeds"
    canvas.supxlabel(words, fontsize=9.5, color=INK)
    return as_png(canvas)


if __name__ == "__main__":
    main()
