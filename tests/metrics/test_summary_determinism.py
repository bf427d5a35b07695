"""Numbers depend on the verdicts and the seed, and on nothing else."""

import json

import numpy as np
import pytest

from micebench.metrics import Resampling, paired, summarize
from tests.metrics.random_tables import random_table


def test_twice_the_same():
    table = random_table(0, repeats=2)
    assert json.dumps(summarize(table, seed=3)) == json.dumps(summarize(table, seed=3))
    assert summarize(table, seed=3) != summarize(table, seed=4)


def test_the_order_of_rows_does_not_matter():
    table = random_table(0, sessions=40, repeats=2)
    shuffled = table.select(np.random.default_rng(1).permutation(table.rows))
    ours, theirs = (json.loads(json.dumps(summarize(t))) for t in (table, shuffled))
    for name, turns in ours["metrics"].items():
        for turn, cell in turns.items():
            assert theirs["metrics"][name][turn] == pytest.approx(cell, rel=1e-12)


def test_seed_moves_intervals_only():
    table = random_table(0, sessions=60)
    first, second = (summarize(table, seed=seed)["metrics"] for seed in (0, 1))
    moved = 0
    for name, turns in first.items():
        for turn, cell in turns.items():
            other = second[name][turn]
            fixed = ("value", "n", "of", "at_least", "at_most")
            assert [cell[f] for f in fixed] == [other[f] for f in fixed]
            moved += cell["low"] != other["low"]
    assert moved > 5


def test_a_comparison_twice_the_same():
    a, b = random_table(0), random_table(0, scored=0.5)
    how = Resampling(resamples=200, seed=1)
    first, second = (paired(a, b, permutations=200, how=how) for _ in range(2))
    assert json.dumps(first) == json.dumps(second)


def test_resampled_sums_are_exact_so_that_no_blas_can_change_a_bit():
    """Terms on the 2^-30 grid: any order of addition gives the same float."""
    from micebench.metrics.intervals import _snap

    rng = np.random.default_rng(0)
    terms, counts = _snap(rng.random((5000, 3))), rng.poisson(1.0, (7, 5000)).astype(float)
    order = rng.permutation(5000)
    assert ((counts @ terms) == (counts[:, order] @ terms[order])).all()
