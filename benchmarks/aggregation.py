"""Aggregation with intervals: micebench against the pandas loop one would write first, in one run.

    python benchmarks/aggregation.py [--verdict-turns 1000000] [--loops 3] [--json FILE]

Both sides get the same verdicts (sessions x 3 turns, four metrics, 1 % of verdicts missing, three tracks, nine
edit types) and give every metric by turn, by track and by edit type with an interval from the same number of
resamples of sessions. The pandas loop: outcome columns made once, then for each resample the sampled sessions'
rows by `.loc`, and group means. It is timed on a few resamples and scaled linearly to all of them; it gets
percentile intervals, while micebench also computes BCa's jackknife and the bounds, so the ratio errs in favour
of pandas.
"""

import argparse
import json
import resource
import time

import numpy as np
import pandas as pd

from micebench.instructions import EDIT_TYPES
from micebench.metrics import STATUS_CODES, VerdictTable, summarize

TURNS = 3
GAP = STATUS_CODES.index("error")


def verdicts(sessions: int, seed: int) -> VerdictTable:
    """Correlated turns; consistency and drift are continuous, so that nothing collapses to few values."""
    rng = np.random.default_rng(seed)
    ease = rng.normal(size=(sessions, 1))
    shape = (sessions, TURNS)
    values = {
        "IF": (ease + rng.normal(size=shape) > -0.5).astype(float),
        "CC.object": rng.beta(12, 1.5, shape),
        "CC.background": rng.beta(15, 1.2, shape),
        "GA": rng.binomial(4, 0.7, shape) / 4,
    }
    status = {metric: np.zeros(shape, dtype=np.int8) for metric in values}
    for metric in values:
        gaps = rng.random(shape) < 0.01
        status[metric][gaps] = GAP
        values[metric][gaps] = 0.0
    return VerdictTable(
        sessions=np.array([f"session-{i:07d}" for i in range(sessions)]),
        tracks=np.array(["cm", "cu", "plain"])[np.arange(sessions) % 3],
        edit_types=np.array(EDIT_TYPES)[rng.integers(0, len(EDIT_TYPES), shape)],
        turns=np.full(sessions, TURNS),
        values=values,
        status=status,
    )


def frame(table: VerdictTable) -> pd.DataFrame:
    """One row per session and turn, NaN where there is no value, indexed by session."""
    rows = {
        "session": np.repeat(table.sessions, TURNS),
        "track": np.repeat(table.tracks, TURNS),
        "turn": np.tile(np.arange(1, TURNS + 1), table.rows),
        "edit_type": table.edit_types.ravel(),
    }
    for metric, values in table.values.items():
        rows[metric] = np.where(table.status[metric] == 0, values, np.nan).ravel()
    data = pd.DataFrame(rows)
    success = (data["IF"] > 0.5).astype(float).where(data["IF"].notna())
    data["marginal_success"] = success
    by_session = data["session"]
    failed = (success == 0).groupby(by_session).cummax()
    unknown = success.isna().groupby(by_session).cummax()
    data["turn_success"] = (~failed).astype(float).where(failed | ~unknown)
    lowest = data["GA"].groupby(by_session).cummin().groupby(by_session).ffill()
    gap = data["GA"].isna().groupby(by_session).cummax()
    data["cumulative_awareness"] = lowest.where(~gap | (lowest == 0))
    for column in ("track", "edit_type"):
        data[column] = data[column].astype("category")
    return data.set_index("session")


def pandas_metrics(data: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Every metric by turn, by track and by edit type, in percent."""
    columns = ["marginal_success", "turn_success", "CC.object", "CC.background", "GA", "cumulative_awareness"]
    found = {
        "all": data.groupby("turn")[columns].mean() * 100,
        "tracks": data.groupby(["track", "turn"], observed=True)[columns].mean() * 100,
        "types": data.groupby("edit_type", observed=True)[["marginal_success"]].mean() * 100,
        "types by turn": data.groupby(["edit_type", "turn"], observed=True)[["marginal_success"]].mean() * 100,
    }
    for name in ("all", "tracks"):
        means = found[name]
        means["content_consistency"] = (means["CC.object"] + means["CC.background"]) / 2
        means["overall"] = np.sqrt(means["turn_success"] * means["content_consistency"])
    return found


def pandas_resample(data: pd.DataFrame, sessions: np.ndarray, rng: np.random.Generator) -> None:
    """One turn of the loop: draw sessions, take their rows, compute everything again."""
    pandas_metrics(data.loc[rng.choice(sessions, len(sessions))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--verdict-turns", type=int, default=1_000_000)
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--loops", type=int, default=3, help="pandas resamples that are really timed")
    parser.add_argument("--json", help="also write the numbers to this file")
    asked = parser.parse_args()
    sessions = -(-asked.verdict_turns // TURNS)
    table = verdicts(sessions, 0)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    summary = summarize(table, resamples=asked.resamples)
    ours_s = time.perf_counter() - began
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024

    began = time.perf_counter()
    data = frame(table)
    point = pandas_metrics(data)["all"]
    once_s = time.perf_counter() - began
    for name in ("marginal_success", "turn_success", "content_consistency", "overall", "cumulative_awareness"):
        for turn in range(1, TURNS + 1):  # both sides must have measured the same thing
            assert abs(summary["metrics"][name][str(turn)]["value"] - point.loc[turn, name]) < 1e-9
    rng = np.random.default_rng(0)
    ids = data.index.unique().to_numpy()
    began = time.perf_counter()
    for _ in range(asked.loops):
        pandas_resample(data, ids, rng)
    loop_s = (time.perf_counter() - began) / asked.loops
    theirs_s = once_s + loop_s * asked.resamples

    numbers = {
        "turn_verdicts": sessions * TURNS,
        "sessions": sessions,
        "resamples": asked.resamples,
        "micebench_s": ours_s,
        "micebench_memory_grown_mib": grown_mib,
        "pandas_resample_s": loop_s,
        "pandas_loops_timed": asked.loops,
        "pandas_s_scaled": theirs_s,
        "ratio": theirs_s / ours_s,
    }
    for name, number in numbers.items():
        print(f"{name:28s} {number:12.3f}" if isinstance(number, float) else f"{name:28s} {number:12d}")
    if asked.json:
        with open(asked.json, "w", encoding="utf-8") as file:
            json.dump(numbers, file, indent=2)


if __name__ == "__main__":
    main()
