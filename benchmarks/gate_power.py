"""How often does the gate cry wolf, and how often does it miss one?

    micebench run --model kontext --limit 240 --seed 0 --out runs/seed-0
    micebench run --model kontext --limit 240 --seed 1 --out runs/seed-1
    python benchmarks/gate_power.py runs/seed-0 runs/seed-1 [--pairs 500] [--power-pairs 100]

Takes two runs of one model that differ in their seed, and simulates pairs of suites from them with the product's
own `paired` and `decide` (with fewer permutations, for speed). A suite draws sessions with replacement, each with
what both runs made of it, and a coin says which of the two is the base run: an A/A pair, with the correlation that
two runs of a real model have. A second kind of pair shares most of its edits, as two checkpoints of one training do:
`--alike` of the sessions are the same in both runs. For power, the new run loses sessions at random: of those whose
turns were all followed, some fail one, so often that overall falls by 1, 3, 5 or 10 points in expectation; nothing
else changes.

Writes docs/figures/gate-power.{png,json} and prints the JSON's numbers in one line.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micebench.comparison.gate import GateOptions, decide, guarded
from micebench.engine.run_reader import open_run
from micebench.metrics import Resampling, VerdictTable, paired, summarize
from micebench.metrics.holm import adjust
from micebench.report.plots import COLOURS, INK, as_png, dress, new_canvas

SIZES = (240, 720)
DROPS = (1.0, 3.0, 5.0, 10.0)
NEEDED = ("IF", "CC.object", "CC.background")
Array = NDArray[Any]


def stripped(table: VerdictTable, sessions: Array) -> VerdictTable:
    """What overall is made of, for these sessions in this order; one track, no edit types: the gate uses neither."""
    order = {name: row for row, name in enumerate(table.sessions.tolist())}
    chosen = table.select(np.array([order[name] for name in sessions.tolist()]))
    return VerdictTable(
        chosen.sessions,
        np.full(chosen.rows, "all"),
        np.full(chosen.edit_types.shape, ""),
        chosen.turns,
        {metric: chosen.values[metric] for metric in NEEDED},
        {metric: chosen.status[metric] for metric in NEEDED},
    )


def mixed(first: VerdictTable, second: VerdictTable, from_second: Array) -> VerdictTable:
    """Each session as one of the two runs has it."""
    pick = from_second[:, None]
    return replace(
        first,
        values={m: np.where(pick, second.values[m], first.values[m]) for m in NEEDED},
        status={m: np.where(pick, second.status[m], first.status[m]) for m in NEEDED},
    )


class World:
    """Suites of one model, drawn from two real runs of it."""

    def __init__(self, first: VerdictTable, second: VerdictTable, consistency: Any, permutations: int) -> None:
        shared = np.intersect1d(first.sessions, second.sessions)
        self.runs = stripped(first, shared), stripped(second, shared)
        self.consistency = consistency
        self.permutations = permutations
        self.turn = str(first.width)
        metrics = [summarize(run, consistency=consistency, resamples=100)["metrics"] for run in self.runs]
        self.success, self.kept, self.overall = (
            sum(run[name][self.turn]["value"] for run in metrics) / 200
            for name in ("turn_success", "content_consistency", "overall")
        )

    def correlation(self) -> dict[str, float]:
        """Of the two runs, session by session: turn success at the last turn, and consistency there."""
        passed = [(run.values["IF"] > 0.5).all(axis=1).astype(float) for run in self.runs]
        kept = [np.mean([run.values[part][:, -1] for part in NEEDED[1:]], axis=0) for run in self.runs]
        return {
            "turn success": float(np.corrcoef(*passed)[0, 1]),
            "content consistency": float(np.corrcoef(*kept)[0, 1]),
            "sessions that flip, %": 100 * float(np.mean(passed[0] != passed[1])),
        }

    def suites(self, rng: np.random.Generator, sessions: int, alike: float, count: int = 1) -> list[VerdictTable]:
        """A base run and `count` new ones of the same model over the same sessions."""
        rows = rng.integers(0, self.runs[0].rows, sessions)
        names = np.array([f"s{place:05d}" for place in range(sessions)])
        first, second = (replace(run.select(rows), sessions=names) for run in self.runs)
        base = rng.random(sessions) < 0.5
        same = rng.random(sessions) < alike
        # one new run is the other of the two; several are drawn like the base, so that all are exchangeable
        others = [~base] if count == 1 else [rng.random(sessions) < 0.5 for _ in range(count)]
        return [mixed(first, second, one) for one in (base, *(np.where(same, base, other) for other in others))]

    def worse(self, rng: np.random.Generator, run: VerdictTable, drop: float) -> VerdictTable:
        """`run` with sessions lost so that overall falls by `drop` points in expectation."""
        wanted = (self.overall - drop / 100) ** 2 / self.kept
        passed = (run.values["IF"] > 0.5).all(axis=1)
        lost = np.flatnonzero(passed & (rng.random(run.rows) < 1 - wanted / self.success))
        following = run.values["IF"].copy()
        following[lost, rng.integers(0, run.width, len(lost))] = 0.0
        return replace(run, values=run.values | {"IF": following})

    def compare(self, base: VerdictTable, new: VerdictTable, seed: int) -> dict[str, Any]:
        how = Resampling(seed=seed)
        return paired(base, new, consistency=self.consistency, permutations=self.permutations, how=how)


def shares(world: World, pairs: int, draw: Callable[[], list[VerdictTable]]) -> dict[str, Any]:
    """Of `pairs` drawn [base, new]: percent that regressed, by tolerance, and of which the interval excludes 0."""
    regressed = {0.0: 0, 1.0: 0}
    excludes, differences, detectable = 0, [], []
    for number in range(pairs):
        found = world.compare(*draw(), seed=number)
        for tolerance in regressed:
            options = GateOptions(metric="overall", tolerance=tolerance)
            regressed[tolerance] += decide(found, options).outcome == "regressed"
        cell = guarded(found, GateOptions())
        assert cell is not None
        excludes += not cell["low"] <= 0.0 <= cell["high"]
        differences.append(cell["difference"])
        detectable.append(cell["mde"])
    return {
        "pairs": pairs,
        "regressed": {f"{tolerance:g}": 100 * count / pairs for tolerance, count in regressed.items()},
        "interval excludes 0": 100 * excludes / pairs,
        "mean difference": float(np.mean(differences)),
        "sd": float(np.std(differences)),
        "mean MDE": float(np.mean([one for one in detectable if one is not None])),
    }


def family(world: World, families: int, sessions: int, alike: float, new: int, seed: int) -> dict[str, Any]:
    """Percent of families of `new` A/A runs against one base in which any regressed, with Holm and without."""
    rng = np.random.default_rng([seed, sessions, 7])
    options = GateOptions(tolerance=0.0)
    alarms, unadjusted = 0, 0
    for number in range(families):
        base, *others = world.suites(rng, sessions, alike, new)
        found = [world.compare(base, other, seed=number) for other in others]
        unadjusted += any(decide(one, options).outcome == "regressed" for one in found)
        adjust(found)
        alarms += any(decide(one, options).outcome == "regressed" for one in found)
    return {
        "families": families,
        "new runs": new,
        "holm": 100 * alarms / families,
        "unadjusted": 100 * unadjusted / families,
    }


def measure(world: World, asked: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for words, alike in (("two seeds", 0.0), ("close checkpoints", asked.alike)):
        found[words] = {"alike": alike, "sessions": {}}
        for sessions in SIZES:
            rng = np.random.default_rng([asked.seed, sessions, int(100 * alike)])

            def null(n: int = sessions, share: float = alike, draw: np.random.Generator = rng) -> list[VerdictTable]:
                return world.suites(draw, n, share)

            rows = {"0": shares(world, asked.pairs, null)}
            for drop in DROPS:

                def loss(
                    points: float = drop, pair: Any = null, draw: np.random.Generator = rng
                ) -> list[VerdictTable]:
                    base, new = pair()
                    return [base, world.worse(draw, new, points)]

                rows[f"{drop:g}"] = shares(world, asked.power_pairs, loss)
            print(words, sessions, {drop: row["regressed"]["1"] for drop, row in rows.items()}, file=sys.stderr)
            found[words]["sessions"][str(sessions)] = rows
    return found


def draw(found: dict[str, Any], target: Path) -> None:
    """Share of pairs that regressed over the true drop, one line per kind of pair and size."""
    canvas = new_canvas(8.2, 4.6)
    axes = canvas.subplots()
    place = 0
    for words, kind in found["kinds"].items():
        for sessions, rows in kind["sessions"].items():
            axes.plot(
                [float(drop) for drop in rows],
                [row["regressed"]["1"] for row in rows.values()],
                color=COLOURS[place],
                marker="os^D"[place],
                linestyle=("-", "-", (0, (5, 2)), (0, (5, 2)))[place],
                label=f"{words}, n = {sessions}",
                clip_on=False,
                zorder=3,
            )
            place += 1
    axes.axhline(5, color=INK, linewidth=0.8, linestyle=":")
    axes.text(10, 6, "5 %", color=INK, fontsize=8.5, ha="right")
    axes.set_ylim(0, 100)
    axes.set_xlim(0, 10)
    axes.set_xticks([0, *DROPS])
    dress(axes, "the gate fails (tolerance 1 point)", "true drop of overall@3, points (0: A/A)", "percent of pairs")
    target.write_bytes(as_png(canvas))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", type=Path, nargs=2, help="two runs of one model with different seeds")
    parser.add_argument("--pairs", type=int, default=500, help="A/A pairs for each kind and size")
    parser.add_argument("--power-pairs", type=int, default=100, help="pairs for each kind, size and drop")
    parser.add_argument("--families", type=int, default=100, help="families of five A/A runs")
    parser.add_argument("--alike", type=float, default=0.9, help="share of equal sessions of close checkpoints")
    parser.add_argument("--permutations", type=int, default=1999, help="compare's own default is 9999")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "docs" / "figures")
    asked = parser.parse_args()
    started = time.process_time()
    first, second = (open_run(path) for path in asked.runs)
    world = World(first.table(), second.table(), first.manifest.content_consistency, asked.permutations)
    found = {
        "model": first.manifest.model,
        "task": first.manifest.task,
        "source sessions": world.runs[0].rows,
        "turn success, %": 100 * world.success,
        "content consistency, %": 100 * world.kept,
        "overall, %": 100 * world.overall,
        "correlation between runs": world.correlation(),
        "resamples": Resampling().resamples,
        "permutations": asked.permutations,
        "kinds": measure(world, asked),
        "five runs at once": family(world, asked.families, SIZES[0], 0.0, 5, asked.seed),
    }
    found["cpu_s"] = round(time.process_time() - started)
    target = asked.out / "gate-power.json"
    target.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    draw(found, asked.out / "gate-power.png")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
