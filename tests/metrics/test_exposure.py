"""The exposure gap is M_k from the reference state minus M_k from the editor's own output, paired by session."""

from dataclasses import replace

import numpy as np
import pytest

from micebench.metrics import Resampling
from micebench.metrics.exposure import exposure_gap, turn_id
from micebench.metrics.verdict_table import MISSING, OK, STATUS_CODES, VerdictTable
from tests.metrics.random_tables import plain_table

HOW = Resampling(resamples=400)


def alone(own: VerdictTable, success) -> VerdictTable:
    """The turns of `own` as sessions of one turn, in shuffled order, succeeding as in `success` (R, T)."""
    rows = [(row, turn) for row in range(own.rows) for turn in range(own.turns[row])]
    np.random.default_rng(0).shuffle(rows)
    at = tuple(np.array(rows).T)
    one = np.asarray(success, float)[at][:, None]
    return VerdictTable(
        sessions=np.array([turn_id(str(own.sessions[row]), turn + 1) for row, turn in rows]),
        tracks=own.tracks[at[0]],
        edit_types=own.edit_types[at][:, None],
        turns=np.ones(len(rows), dtype=np.int64),
        values={"IF": one},
        status={"IF": np.full(one.shape, OK, dtype=np.int8)},
    )


def test_an_editor_that_fails_only_on_its_own_outputs_has_that_gap():
    """Skill 0.9 on clean inputs; each turn on own outputs fails half of what would have succeeded."""
    rng = np.random.default_rng(3)
    clean = rng.random((400, 3)) < 0.9
    own = clean & ((rng.random((400, 3)) < 0.5) | (np.arange(3) == 0))
    found = exposure_gap(plain_table(own), alone(plain_table(own), clean), HOW)["turns"]
    for turn in range(3):
        cell = found[str(turn + 1)]
        assert cell["reference"] == pytest.approx(100 * clean[:, turn].mean())
        assert cell["own"] == pytest.approx(100 * own[:, turn].mean())
        assert cell["gap"] == pytest.approx(cell["reference"] - cell["own"])
        assert cell["low"] <= 45 * (turn > 0) <= cell["high"]
        assert (cell["n"], cell["of"]) == (400, 400)
    assert found["1"]["gap"] == 0
    assert found["2"]["low"] > 0


def test_failing_as_often_from_both_is_no_gap_whatever_came_before():
    """M_k does not ask for earlier turns: an editor whose failures are independent of its input has gap 0."""
    rng = np.random.default_rng(5)
    own, clean = rng.random((2, 500, 3)) < 0.7
    for cell in exposure_gap(plain_table(own), alone(plain_table(own), clean), HOW)["turns"].values():
        assert cell["low"] <= 0 <= cell["high"]
        assert cell["high"] - cell["low"] < 15


def test_pairing_makes_the_interval_narrower_than_two_unrelated_runs_would():
    """Where the same sessions are hard for both, the difficulty cancels."""
    rng = np.random.default_rng(7)
    hard = rng.random((300, 1)) < 0.5
    lost = rng.random((300, 3)) < 0.06
    own = plain_table(~hard & ~lost)
    cell = exposure_gap(own, alone(own, np.broadcast_to(~hard, (300, 3))), HOW)["turns"]["3"]
    unpaired = 100 * 1.96 * np.sqrt(2 * 0.25 / 300)
    assert (cell["high"] - cell["low"]) / 2 < unpaired / 2


def test_only_what_is_scored_in_both_counts():
    own = plain_table([[1, 1], [1, 0], [1, 0], [1, 1]])
    reference = alone(own, np.ones((4, 2)))
    gone = reference.sessions == "s0001.t2"
    reference.values["IF"][gone], reference.status["IF"][gone] = 0.0, STATUS_CODES.index("error")
    cell = exposure_gap(own, reference, HOW)["turns"]["2"]
    assert (cell["n"], cell["of"]) == (3, 4)
    assert cell["gap"] == pytest.approx(100 / 3)


def test_gap_by_edit_type_pools_its_turns():
    own = plain_table([[1, 0], [0, 1], [1, 1], [0, 0]])
    kinds = np.array([["subject_add", "text_change"]] * 2 + [["text_change", "subject_add"]] * 2)
    own = replace(own, edit_types=kinds)
    found = exposure_gap(own, alone(own, np.ones((4, 2))), HOW)["edit_types"]
    assert found["subject_add"]["gap"] == pytest.approx(100 * (1 - 2 / 4))
    assert found["text_change"]["gap"] == pytest.approx(100 * (1 - 2 / 4))
    assert found["text_change"]["n"] == 4


def test_repeats_are_averaged_and_sessions_that_were_not_run_alone_are_left_out():
    """Two repeats of every turn, one always right and one always wrong: 50 from the reference state."""
    own = plain_table([[1, 0], [1, 1], [1, 1]])
    right, wrong = alone(own, np.ones((3, 2))), alone(own, np.zeros((3, 2)))
    twice = replace(
        right.select(np.tile(np.arange(6), 2)), values={"IF": np.vstack([right.values["IF"], wrong.values["IF"]])}
    )
    kept = twice.select(~np.char.startswith(twice.sessions, "s0002"))
    found = exposure_gap(own, kept, HOW)
    assert found["n_sessions"] == 2
    assert [found["turns"][turn]["gap"] for turn in ("1", "2")] == pytest.approx([-50, 0])


@pytest.mark.parametrize(
    ("names", "said"),
    [(["s0000", "s0001"], "'s0000' is no single turn"), (["x.t1", "x.t2"], "no session of the run has the turns")],
)
def test_tables_that_do_not_belong_together_are_refused(names, said):
    other = replace(plain_table([[1], [1]]), sessions=np.array(names))
    with pytest.raises(ValueError, match=said):
        exposure_gap(plain_table([[1, 1], [1, 1]]), other, HOW)


def test_a_session_with_a_turn_missing_in_the_reference_run_does_not_count():
    own = plain_table(np.ones((3, 3)))
    reference = alone(own, np.ones((3, 3)))
    found = exposure_gap(own, reference.select(reference.sessions != "s0001.t2"), HOW)
    assert found["n_sessions"] == 2
    assert MISSING not in reference.status["IF"]
