"""The coverage simulation of benchmarks/interval_coverage.py, on the real code: 1,000 suites."""

import importlib.util
from pathlib import Path

import pytest


def simulation():
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "interval_coverage.py"
    spec = importlib.util.spec_from_file_location("interval_coverage", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_95_percent_intervals_cover_93_to_97_percent_of_1000_suites():
    found = simulation().coverage(1000, 240, seed=0, resamples=1000)
    for name, turns in found["metrics"].items():
        for turn, cell in turns.items():
            assert 93.0 <= cell["coverage"] <= 97.0, (name, turn, cell)


@pytest.mark.slow
def test_equal_editors_are_told_apart_in_at_most_5_percent_of_500_pairs():
    sim = simulation()
    for draw in (sim.population, sim.twin):
        found = sim.false_alarms(500, 240, seed=0, draw=draw, resamples=1000, permutations=999)
        for name, turns in found["metrics"].items():
            for turn, cell in turns.items():
                # 5 % and two standard errors of 500 draws
                assert cell["interval excludes 0"] <= 5.0 + 1.95, (name, turn, cell)
                assert cell["p < 0.05"] <= 5.0 + 1.95, (name, turn, cell)
        every = [cell for turns in found["metrics"].values() for cell in turns.values()]
        assert sum(cell["interval excludes 0"] for cell in every) / len(every) <= 5.0
