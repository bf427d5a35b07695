"""The gate: what passes, what regresses, what proves nothing."""

from typing import Any

import pytest

from micebench.cards import check_fields
from micebench.comparison.gate import Decision, GateOptions, decide, worst
from micebench.errors import CardError

OPTIONS = GateOptions(metric="overall@3")


def cell(
    difference: float = 0.0, low: float = -2.0, high: float = 2.0, p: float = 1.0, **more: Any
) -> dict[str, Any]:
    base = {"a": 50.0, "b": 50.0 + difference, "difference": difference, "low": low, "high": high, "p": p}
    return base | {"mde": 3.0, "n": 100, "of": 100, "missing": 0, "p_holm": p} | more


def comparison(guarded: dict[str, Any] | None = None, name: str = "overall", **more: Any) -> dict[str, Any]:
    blank = cell(difference=0.0)
    turns = {"1": blank, "2": blank, "3": guarded or blank}
    return {"level": 0.95, "only_a": [], "only_b": [], "changed": [], "metrics": {name: turns}} | more


WORSE = cell(-4.0, -6.0, -2.0, 0.001)


def test_no_difference_passes():
    decision = decide(comparison(), OPTIONS)
    assert (decision.outcome, decision.code) == ("passed", 0)
    assert decision.cell is not None
    assert (decision.cell["metric"], decision.cell["turn"]) == ("overall", "3")


def test_a_clear_loss_regresses_and_says_by_how_much():
    decision = decide(comparison(WORSE), OPTIONS)
    assert (decision.outcome, decision.code) == ("regressed", 1)
    assert "50.0 to 46.0, -4.0 points, interval -6.0 to -2.0" in decision.reasons[0]


@pytest.mark.parametrize(
    "guarded",
    [
        cell(-4.0, -8.0, 0.0, 0.04),  # the interval holds 0
        cell(-0.9, -1.5, -0.3, 0.001),  # within the tolerance of 1 point
        cell(-4.0, -6.0, -2.0, 0.02, p_holm=0.06),  # one of several, and not beyond what several do by chance
        cell(4.0, 2.0, 6.0, 0.001),  # better
    ],
)
def test_each_of_the_three_conditions_is_needed(guarded):
    assert decide(comparison(guarded), OPTIONS).outcome == "passed"


def test_the_tolerance_is_the_readers():
    loss = comparison(cell(-4.0, -6.0, -2.0, 0.001))
    assert decide(loss, GateOptions(metric="overall@3", tolerance=4.0)).code == 0
    assert decide(loss, GateOptions(metric="overall@3", tolerance=3.9)).code == 1


@pytest.mark.parametrize("name", ["collapse", "quality_drift"])
def test_more_of_what_should_be_little_is_worse(name):
    options = GateOptions(metric=name)
    assert decide(comparison(cell(4.0, 2.0, 6.0, 0.001), name), options).code == 1
    assert decide(comparison(cell(-4.0, -6.0, -2.0, 0.001), name), options).code == 0


def test_measures_of_distance_are_stored_so_that_more_is_better():
    options = GateOptions(metric="LPIPS.source")
    assert decide(comparison(cell(-4.0, -6.0, -2.0, 0.001), "LPIPS.source"), options).code == 1


@pytest.mark.parametrize("field", ["only_a", "only_b", "changed"])
def test_sessions_that_do_not_match_prove_nothing(field):
    decision = decide(comparison(WORSE, **{field: ["s1", "<s2>"]}), OPTIONS)
    assert (decision.outcome, decision.code) == ("incomplete", 2)
    assert "2 sessions" in decision.reasons[0]


def test_missing_verdicts_prove_nothing():
    decision = decide(comparison(cell(n=98, missing=2)), OPTIONS)
    assert decision.code == 2
    assert "coverage 98.0 % is below 99 %" in decision.reasons[0]
    assert decide(comparison(cell(n=99, missing=1)), OPTIONS).code == 0
    assert decide(comparison(cell(n=98, missing=2)), GateOptions(metric="overall@3", coverage=0.98)).code == 0


def test_what_cannot_be_measured_is_no_gap():
    assert decide(comparison(cell(n=60, of=100, missing=0)), OPTIONS).code == 0


@pytest.mark.parametrize("metric", ["overall@4", "global_awareness", "global_awareness@1"])
def test_a_number_that_is_not_there_proves_nothing(metric):
    decision = decide(comparison(), GateOptions(metric=metric))
    assert (decision.code, decision.cell) == (2, None)


def test_nothing_scored_proves_nothing():
    nothing = cell() | dict.fromkeys(("a", "b", "difference", "low", "high", "p", "mde", "p_holm")) | {"n": 0}
    assert decide(comparison(nothing), OPTIONS).code == 2


def test_a_drifting_judge_outweighs_everything():
    for one in (comparison(), comparison(WORSE), comparison(only_a=["s1"])):
        assert (decide(one, OPTIONS, drift=True).outcome, decide(one, OPTIONS, drift=True).code) == ("drifted", 3)


def test_without_a_turn_it_is_the_last():
    turns = {str(turn): cell() for turn in range(1, 11)}
    decision = decide(comparison(metrics={"overall": turns}), GateOptions())
    assert decision.cell is not None
    assert decision.cell["turn"] == "10"


def test_a_pass_says_what_it_could_not_have_seen():
    assert "a change of 3.0 points" in decide(comparison(), OPTIONS).reasons[1]
    assert len(decide(comparison(cell(mde=0.5)), OPTIONS).reasons) == 1


def test_the_worst_decides():
    decisions = [
        Decision("passed", 0, (), None),
        Decision("incomplete", 2, (), None),
        Decision("regressed", 1, (), None),
    ]
    assert worst(decisions).outcome == "incomplete"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"metric": "overal@3"}, "did you mean 'overall'"),
        ({"metric": "overall@"}, "NAME@TURN"),
        ({"metric": "overall@0"}, "NAME@TURN"),
        ({"metric": "overall@three"}, "NAME@TURN"),
        ({"tolerance": -1}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"coverage": 99}, "coverage"),
        ({"tolerence": 1}, "did you mean 'tolerance'"),
    ],
)
def test_options_are_checked(fields, said):
    with pytest.raises(CardError, match=said):
        check_fields(fields, GateOptions, where="gate")
