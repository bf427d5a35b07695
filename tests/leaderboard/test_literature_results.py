"""The published numbers this repository quotes agree with themselves and with what the benchmarks define."""

from math import sqrt
from pathlib import Path

import pytest

from micebench.cards import TaskCard, load_card
from micebench.leaderboard.results import read_results
from micebench.report.formatting import LABELS

RESULTS = Path(__file__).resolve().parents[2] / "results"


@pytest.fixture(scope="module")
def reported():
    return read_results(RESULTS).reported


def test_edival_and_lme_are_quoted_with_their_sources(reported):
    assert {"edival", "lme"} <= set(reported)
    for task, rows in reported.items():
        turns = load_card(TaskCard, task).turns
        assert len({row.name for row in rows}) == len(rows)
        for row in rows:
            assert row.url.startswith("https://")
            assert set(row.metrics) <= set(LABELS)
            assert all(1 <= turn <= turns for by_turn in row.metrics.values() for turn in by_turn)
            assert row.note or not row.second_hand, "second-hand from where?"


def test_overall_is_the_root_of_success_and_consistency(reported):
    """EdiVal's O = sqrt(IF x CC), within the rounding of what was printed."""
    checked = 0
    for row in reported["edival"]:
        for turn, printed in row.metrics["overall"].items():
            if "turn_success" in row.metrics:
                parts = row.metrics["turn_success"][turn] * row.metrics["content_consistency"][turn]
                assert sqrt(parts) == pytest.approx(printed, abs=0.0101), (row.name, turn)
                checked += 1
    assert checked == 21


def test_success_falls_and_collapse_rises_with_every_turn(reported):
    for row in (*reported["edival"], *reported["lme"]):
        for metric, sign in (("turn_success", -1), ("collapse", 1)):
            values = [value for _, value in sorted(row.metrics.get(metric, {}).items())]
            assert values == sorted(values, key=lambda value: sign * value), (row.name, metric)
