"""Do the 95 % intervals hold what they promise?

    python benchmarks/interval_coverage.py [--suites 1000] [--sessions 240] [--json FILE]

Draws suites from a known population (a session's difficulty is shared by its turns and by consistency; parts
of consistency become unmeasurable as turns go by), runs the real `micebench.metrics` code on each, and counts
how often the interval contains the population's value. With --pairs it also counts false alarms of the paired
comparison: two runs of one and the same editor on the same sessions.

Suites are stacked side by side as further columns of one bootstrap, so that a thousand take a minute. A batch
of suites shares its resamples; batches do not.
"""

import argparse
import json
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micebench.metrics.aggregation import Columns, Sums, chunks, totals
from micebench.metrics.clusters import clusters
from micebench.metrics.difference import difference, difference_limits
from micebench.metrics.intervals import Interval, Resampling, Target, bca
from micebench.metrics.ratios import Key, Layout, layout
from micebench.metrics.significance import permutation_p
from micebench.metrics.summary import honest_limits
from micebench.metrics.verdict_table import OK, STATUS_CODES, VerdictTable

Array = NDArray[Any]
TURNS = 3
SHOWN = (
    "marginal_success",
    "turn_success",
    "content_consistency",
    "overall",
    "global_awareness",
    "cumulative_awareness",
)
NOT_APPLICABLE = STATUS_CODES.index("not_applicable")


def population(rng: np.random.Generator, sessions: int, difficulty: Array | None = None) -> VerdictTable:
    """Sessions of an editor that gets worse turn by turn; `difficulty` (sessions,) is drawn if not given."""
    ease = rng.normal(size=sessions) if difficulty is None else difficulty
    noise = rng.normal(size=(3, sessions, TURNS))
    success = (0.9 * ease[:, None] + 0.8 * noise[0] + np.array([0.6, 0.2, -0.2]) > 0).astype(float)
    level = np.array([2.6, 2.1, 1.7]) + 0.5 * ease[:, None] + 0.4 * success
    objects = 1.0 / (1.0 + np.exp(-(level + 0.8 * noise[1])))
    background = 1.0 / (1.0 + np.exp(-(level + 0.5 + 0.6 * noise[2])))
    votes = rng.binomial(4, np.where(success > 0, 0.85, 0.15)) / 4
    none_left = np.maximum.accumulate(rng.random((sessions, TURNS)) < 0.06, axis=1)
    replaced = np.maximum.accumulate(rng.random((sessions, TURNS)) < 0.15, axis=1)
    values = {"IF": success, "CC.object": objects, "CC.background": background, "GA": votes}
    absent = {"CC.object": none_left, "CC.background": replaced}
    status = {metric: np.full((sessions, TURNS), OK, dtype=np.int8) for metric in values}
    for metric, gone in absent.items():
        status[metric][gone] = NOT_APPLICABLE
        values[metric] = np.where(gone, 0.0, values[metric])
    return VerdictTable(
        sessions=np.array([f"{i:07d}" for i in range(sessions)]),
        tracks=np.full(sessions, "plain"),
        edit_types=np.full((sessions, TURNS), ""),
        turns=np.full(sessions, TURNS),
        values=values,
        status=status,
    )


def terms(table: VerdictTable, plan: Layout) -> tuple[Array, Array, Sums]:
    """Numerators, denominators (sessions, m) and sums of one suite."""
    pieces = list(chunks(table, clusters(table), plan))
    numerators = np.concatenate([piece.numerators for piece in pieces])
    denominators = np.concatenate([piece.denominators for piece in pieces])
    return numerators, denominators, totals(pieces, plan, 1)[0]


def truth(plan: Layout, seed: int, sessions: int = 2_000_000) -> Array:
    """(cells,) values of the population, from a draw so large that its error does not matter."""
    rng = np.random.default_rng([seed, 99])
    parts = [terms(population(rng, sessions // 20), plan)[:2] for _ in range(20)]
    numerators, denominators = (sum(part[side].sum(axis=0) for part in parts) for side in (0, 1))
    return plan.evaluate(numerators, denominators, np.ones(len(plan.ratios), dtype=bool))


def stacked(statistic: Any, width: int) -> Any:
    """`statistic` of `width` columns, applied to each of many suites that stand side by side."""

    def apply(numerators: Array, denominators: Array) -> Array:
        apart = [a.reshape(*a.shape[:-1], -1, width) for a in (numerators, denominators)]
        values = statistic(*apart)
        return values.reshape(*values.shape[:-2], -1)

    return apply


def _side_by_side(suites: list[tuple[Array, Array]]) -> Columns:
    return Columns(0, np.hstack([suite[0] for suite in suites]), np.hstack([suite[1] for suite in suites]))


def coverage(suites: int, sessions: int, seed: int, *, resamples: int = 2000, batch: int = 50) -> dict[str, Any]:
    """Share of suites whose interval contains the truth, by metric and turn."""
    rng = np.random.default_rng([seed, sessions])
    plan = layout(population(rng, 10), "edival")
    cells, width = len(plan.cells), len(plan.ratios)
    real = truth(plan, seed)
    statistic = partial(plan.evaluate, used=np.ones(width, dtype=bool))
    hits, widths = np.zeros(cells), np.zeros(cells)
    for start in range(0, suites, batch):
        drawn = [terms(population(rng, sessions), plan) for _ in range(min(batch, suites - start))]
        columns = _side_by_side([(suite[0], suite[1]) for suite in drawn])
        how = Resampling(resamples, seed + start)
        joint = bca(lambda c=columns: [c], [Target((0,), stacked(statistic, width))], how)[0]
        for place, (_, _, sums) in enumerate(drawn):
            own = Interval(*(field[place * cells : (place + 1) * cells] for field in joint))
            low, high = honest_limits(plan, sums, own, how.level)
            hits += (low <= real) & (real <= high)
            widths += high - low
    return {
        "suites": suites,
        "sessions": sessions,
        "resamples": resamples,
        "seed": seed,
        "metrics": {
            name: {
                str(turn): {
                    "truth": 100 * float(real[cell]),
                    "coverage": 100 * float(hits[cell]) / suites,
                    "width": 100 * float(widths[cell]) / suites,
                }
                for turn in range(1, TURNS + 1)
                for cell in [plan.cells.index(Key(name, turn))]
            }
            for name in SHOWN
        },
    }


def twin(rng: np.random.Generator, sessions: int, difficulty: Array) -> VerdictTable:
    """A nearly deterministic editor: run twice, it differs in about 2 sessions of 100 per turn."""
    steady = population(np.random.default_rng(np.abs(difficulty * 1e6).astype(np.uint64)), sessions, difficulty)
    turned = rng.random((sessions, TURNS)) < 0.01
    success = np.where(turned, 1.0 - steady.values["IF"], steady.values["IF"])
    return replace(steady, values=steady.values | {"IF": success})


def false_alarms(
    pairs: int,
    sessions: int,
    seed: int,
    *,
    draw: Any = population,
    resamples: int = 2000,
    permutations: int = 1999,
    batch: int = 50,
) -> dict[str, Any]:
    """Share of A/A pairs whose interval excludes 0, and whose p < 0.05, by metric and turn.

    `draw` (rng, sessions, difficulty) -> table is the editor that is run twice on the same sessions.
    """
    rng = np.random.default_rng([seed, sessions, 1])
    plan = layout(population(rng, 10), "edival")
    cells, width = len(plan.cells), len(plan.ratios)
    statistic = partial(difference, plan=plan, used=np.ones(width, dtype=bool))
    raw, excluded, rejected = np.zeros(cells), np.zeros(cells), np.zeros(cells)
    for start in range(0, pairs, batch):
        drawn: list[Columns] = []
        for _ in range(min(batch, pairs - start)):
            ease = rng.normal(size=sessions)
            a, b = (terms(draw(rng, sessions, ease), plan) for _ in range(2))
            shared = a[1] * b[1]
            drawn.append(Columns(0, np.hstack([a[0] * shared, b[0] * shared]), np.hstack([shared, shared])))
        how = Resampling(resamples, seed + start)
        target = Target((0,), stacked(statistic, 2 * width))
        joint = bca(lambda d=drawn: [_side_by_side([c[1:] for c in d])], [target], how)[0]
        for place, pair in enumerate(drawn):
            own = Interval(*(field[place * cells : (place + 1) * cells] for field in joint))
            p = permutation_p(lambda c=pair: [c], [Target((0,), statistic)], permutations, seed + start + place)[0]
            low, high = difference_limits(plan, totals([pair], plan, 1)[0], own, p, how.level)
            raw += (own.low > 0) | (own.high < 0)
            excluded += (low > 0) | (high < 0)
            rejected += p < 0.05
    return {
        "pairs": pairs,
        "sessions": sessions,
        "metrics": {
            name: {
                str(turn): {
                    "interval excludes 0": 100 * float(excluded[cell]) / pairs,
                    "(bare BCa)": 100 * float(raw[cell]) / pairs,
                    "p < 0.05": 100 * float(rejected[cell]) / pairs,
                }
                for turn in range(1, TURNS + 1)
                for cell in [plan.cells.index(Key(name, turn))]
            }
            for name in SHOWN
        },
    }


def _print(title: str, table: dict[str, dict[str, dict[str, float]]]) -> None:
    print(title)
    for name, turns in table.items():
        for turn, numbers in turns.items():
            shown = "   ".join(f"{word} {number:6.2f}" for word, number in numbers.items())
            print(f"  {name:22s} turn {turn}   {shown}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--suites", type=int, default=1000)
    parser.add_argument("--sessions", type=int, nargs="+", default=[240, 60])
    parser.add_argument("--pairs", type=int, default=1000, help="A/A pairs for the false-alarm table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", help="also write the tables to this file")
    asked = parser.parse_args()
    found: dict[str, Any] = {"coverage": [], "false_alarms": []}
    for sessions in asked.sessions:
        result = coverage(asked.suites, sessions, asked.seed)
        found["coverage"].append(result)
        _print(f"coverage of 95 % intervals, %, {asked.suites} suites of {sessions} sessions", result["metrics"])
    for sessions in asked.sessions:
        for draw, words in ((population, "independent runs"), (twin, "nearly deterministic runs")):
            result = false_alarms(asked.pairs, sessions, asked.seed, draw=draw)
            found["false_alarms"].append(result | {"runs": words})
            title = f"false alarms, %, {asked.pairs} A/A pairs of {sessions} sessions, {words}"
            _print(title, result["metrics"])
    if asked.json:
        with open(asked.json, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=2)


if __name__ == "__main__":
    main()
