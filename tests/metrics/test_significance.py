"""Holm's method against its own definition."""

import numpy as np
import pytest

from micebench.metrics.holm import adjust, all_cells, holm
from tests.metrics.random_tables import random_table
from tests.metrics.test_paired import compared


def test_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.2]) == [0.2]
    assert holm([0.5, 0.9, 0.6]) == [1.0, 1.0, 1.0]
    assert holm([0.0, 0.0]) == [0.0, 0.0]
    assert holm([]) == []


def test_what_was_not_tested_does_not_count():
    assert holm([None, 0.01, None, 0.04]) == [None, pytest.approx(0.02), None, pytest.approx(0.04)]


def test_any_false_rejection_is_as_rare_as_promised():
    """Four true nulls that share most of their data: at most 5 % of families have a rejection."""
    rng = np.random.default_rng(0)
    ranks = rng.permuted(np.tile(np.arange(1, 101), (2000, 1)), axis=1)[:, :4] / 100
    wrong = sum(any(one <= 0.05 for one in holm(row.tolist())) for row in ranks)
    assert 0.03 < wrong / 2000 < 0.06


def test_numbers_are_families_of_their_own_except_those_that_decide_together():
    base = random_table(0, sessions=40)
    found = [compared(base, random_table(0, sessions=40, scored=0.8 + 0.05 * k)) for k in range(3)]
    decisive = {("metrics", "overall", "1"), ("metrics", "turn_success", "2")}
    adjust(found, decisive)
    cells = [all_cells(numbers) for numbers in found]
    for key in set(cells[0]) - decisive:
        own = [one.get(key) for one in cells]
        assert [cell["p_holm"] for cell in own if cell] == holm([cell["p"] for cell in own if cell])
    joint = [one[key] for one in cells for key in sorted(decisive)]
    assert len(joint) == 6
    assert [cell["p_holm"] for cell in joint] == holm([cell["p"] for cell in joint])
    alone = compared(base, random_table(0, sessions=40, scored=0.9))
    adjust([alone])
    assert all(cell["p_holm"] == cell["p"] for cell in all_cells(alone).values())
