"""Places in a table: known where sessions tell models apart, ranges where they do not, all of them at once."""

import numpy as np
import pytest

from micebench.metrics import MISSING, STATUS_CODES, VerdictTable
from micebench.metrics.ranks import PseudoValues, RankRange, pseudo_values, rank_ranges, told_apart

OK = STATUS_CODES.index("ok")


def run(terms) -> PseudoValues:
    terms = np.asarray(terms, dtype=float)
    return PseudoValues(float(terms.mean()), tuple(f"s{n:04d}" for n in range(len(terms))), terms)


def table(following, consistent=None, *, tracks=None) -> VerdictTable:
    """(S, T) IF verdicts, and CC.object verdicts where given; NaN: missing."""
    found = {"IF": np.asarray(following, dtype=float)}
    if consistent is not None:
        found["CC.object"] = np.asarray(consistent, dtype=float)
    sessions, turns = found["IF"].shape
    return VerdictTable(
        sessions=np.array([f"s{n}" for n in range(sessions)]),
        tracks=np.array(tracks or ["plain"] * sessions),
        edit_types=np.full((sessions, turns), "color_alter"),
        turns=np.full(sessions, turns),
        values={name: np.nan_to_num(one) for name, one in found.items()},
        status={name: np.where(np.isnan(one), MISSING, OK).astype(np.int8) for name, one in found.items()},
    )


def test_pseudo_values_of_a_mean_are_the_sessions_own():
    following = np.array([[1, 1], [1, 0], [0, 1], [1, 1]])
    found = pseudo_values(table(following), "turn_success", 2, consistency="edival")
    assert found is not None
    assert found.value == 0.5
    np.testing.assert_allclose(found.terms, [1, 0, 0, 1], atol=1e-12)


def test_pseudo_values_of_overall_leave_each_session_out():
    rng = np.random.default_rng(0)
    following, consistent = rng.integers(0, 2, (30, 2)), rng.random((30, 2))
    tracks = ["cm" if n % 2 else "plain" for n in range(30)]
    whole = table(following, consistent, tracks=tracks)
    found = pseudo_values(whole, "overall", 2, consistency="edival")
    assert found is not None

    def overall(keep) -> float:
        return np.sqrt(following[keep].all(axis=1).mean() * consistent[keep, 1].mean())

    everything = np.arange(30)
    assert found.value == pytest.approx(overall(everything))
    for place, name in enumerate(found.ids):
        left = overall(everything[everything != int(name[1:])])
        assert found.terms[place] == pytest.approx(30 * found.value - 29 * left)


def test_a_session_without_a_verdict_says_nothing():
    following = np.array([[1.0], [0.0], [np.nan], [1.0]])
    found = pseudo_values(table(following), "turn_success", 1, consistency="edival")
    assert found is not None
    assert found.value == pytest.approx(2 / 3)
    assert found.terms[found.ids.index("s2")] == pytest.approx(2 / 3)
    assert pseudo_values(table(following), "overall", 1, consistency="edival") is None


def test_clear_differences_give_single_places_and_equal_models_share_theirs():
    rng = np.random.default_rng(1)
    hard = rng.random(400)
    skills = (0.9, 0.5, 0.5, 0.1)
    runs = [run(hard + 0.2 * rng.standard_normal(400) < skill) for skill in skills]
    assert rank_ranges(runs) == [RankRange(1, 1), RankRange(2, 3), RankRange(2, 3), RankRange(4, 4)]
    assert rank_ranges(runs, lower_is_better=True)[0] == RankRange(4, 4)


def test_pairing_tells_apart_what_intervals_cannot():
    rng = np.random.default_rng(2)
    base = (rng.random(240) < 0.5).astype(float)
    better = base.copy()
    better[np.flatnonzero(base == 0)[:16]] = 1  # 16 sessions gained, none lost: intervals overlap widely
    assert rank_ranges([run(base), run(better)]) == [RankRange(2, 2), RankRange(1, 1)]


@pytest.mark.parametrize(("changed", "apart"), [(0, False), (1, False), (5, False), (6, True)])
def test_a_few_sessions_prove_nothing(changed, apart):
    """Against one other model, k changes of one direction have the exact sign-flip p of 2 ** (1 - k)."""
    base = np.tile([0.0, 1.0], 120)
    better = base.copy()
    better[np.flatnonzero(base == 0)[:changed]] = 1
    assert told_apart(np.stack([better, base]), flips=9999)[0, 1] == apart


def test_the_same_change_needs_more_sessions_in_a_larger_table():
    rng = np.random.default_rng(3)
    others = (rng.random((40, 240)) < 0.5).astype(float)
    better = others[0].copy()
    better[np.flatnonzero(others[0] == 0)[:7]] = 1
    assert told_apart(np.stack([better, others[0]]))[0, 1]
    assert not told_apart(np.vstack([better[None], others]))[0, 1]


def test_equal_models_are_told_apart_in_few_tables():
    """At most 5 % of tables of six equal models may claim any difference; 200 tables, so at most 9 % here."""
    rng = np.random.default_rng(4)
    wrong = 0
    for seed in range(200):
        hard = rng.random(120)
        wrong += told_apart((rng.random((6, 120)) < hard).astype(float), flips=199, seed=seed).any()
    assert wrong <= 18


def test_true_ranks_lie_in_their_ranges():
    rng = np.random.default_rng(5)
    skills = np.array([0.7, 0.6, 0.6, 0.5, 0.4, 0.3])
    best = np.array([1 + (skills > one).sum() for one in skills])
    worst = np.array([(skills >= one).sum() for one in skills])
    missed = 0
    for seed in range(100):
        hard = rng.random(200)
        runs = [run(rng.random(200) < np.clip(skill + 0.5 * (hard - 0.5), 0, 1)) for skill in skills]
        places = rank_ranges(runs, flips=199, seed=seed)
        missed += any(p.best > b or p.worst < w for p, b, w in zip(places, best, worst, strict=True))
    assert missed <= 10


def test_order_of_runs_does_not_matter():
    rng = np.random.default_rng(6)
    runs = [run(rng.random(100) < skill) for skill in (0.8, 0.5, 0.45, 0.2)]
    places = rank_ranges(runs)
    assert rank_ranges(runs[::-1]) == places[::-1]


def test_other_sessions_are_refused():
    with pytest.raises(ValueError, match="same sessions"):
        rank_ranges([run([0, 1, 1]), run([0, 1])])
