"""Do the leaderboard's rank ranges hold what they promise, and how wide are they?

    python benchmarks/rank_ranges.py [--boards 1000] [--models 10] [--sessions 240] [--json FILE]

Draws boards of models over the same sessions from the population of `interval_coverage.py`, ranks them by overall
at the last turn with the real code, and counts

- equal: boards of equal models in which anything at all is claimed;
- spread: boards of models of evenly spread skill in which any range misses its model's true rank;
- width: places in a range (mean; 1 = known), beside those that one would get by comparing 95 % intervals of single
  models: a place is given up only to models whose interval lies wholly above. Those ranges are not calibrated for
  a table, but they are what tables of intervals invite to read.
"""

import argparse
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from interval_coverage import TURNS, population

from micebench.metrics.ranks import PseudoValues, RankRange, pseudo_values, rank_ranges


def board(rng: np.random.Generator, skills: Sequence[float], sessions: int) -> list[PseudoValues]:
    """One model per skill, on sessions of common difficulty."""
    ease = rng.normal(size=sessions)
    runs = [population(rng, sessions, ease + skill) for skill in skills]
    found = [pseudo_values(run, "overall", TURNS, consistency="edival") for run in runs]
    return [one for one in found if one is not None]


def by_intervals(runs: Sequence[PseudoValues]) -> list[RankRange]:
    """Ranges from each model's own 95 % interval (normal, by the jackknife)."""
    values = np.array([run.value for run in runs])
    half = np.array([1.96 * run.terms.std(ddof=1) / np.sqrt(len(run.terms)) for run in runs])
    above = (values - half)[:, None] > (values + half)[None, :]
    return [RankRange(1 + int(a), len(runs) - int(b)) for a, b in zip(above.sum(0), above.sum(1), strict=True)]


def width(ranges: Sequence[RankRange]) -> float:
    return float(np.mean([one.worst - one.best + 1 for one in ranges]))


def missed(ranges: Sequence[RankRange]) -> bool:
    """Skills fall from the first model to the last, so that the true rank is the place in the list."""
    return any(not one.best <= rank <= one.worst for rank, one in enumerate(ranges, start=1))


def measure(boards: int, models: int, sessions: int, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    equal = [rank_ranges(board(rng, [0.0] * models, sessions), seed=n) for n in range(boards)]
    skills = np.linspace(0.8, -0.8, models).tolist()
    drawn = [board(rng, skills, sessions) for _ in range(boards)]
    spread = [rank_ranges(runs, seed=n) for n, runs in enumerate(drawn)]
    return {
        "boards": boards,
        "models": models,
        "sessions": sessions,
        "equal": sum(any(one != (1, models) for one in ranges) for ranges in equal) / boards,
        "spread": sum(map(missed, spread)) / boards,
        "width": float(np.mean([width(ranges) for ranges in spread])),
        "width_by_intervals": float(np.mean([width(by_intervals(runs)) for runs in drawn])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", type=int, default=1000)
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--sessions", type=int, default=240)
    parser.add_argument("--json")
    options = parser.parse_args()
    line = json.dumps(measure(options.boards, options.models, options.sessions))
    print(line)
    if options.json:
        with open(options.json, "w") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
