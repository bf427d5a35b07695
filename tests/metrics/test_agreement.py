"""Kappa, AUC and their intervals against definitions written out, known values and simulated truth."""

from itertools import product

import numpy as np
import pytest

from micebench.metrics import Resampling
from micebench.metrics.agreement import Pairs, agree, auc, confusion, rates, vote_kappa


def pairs_of(both, only_a, only_b, neither):
    a = [1.0] * (both + only_a) + [0.0] * (only_b + neither)
    b = [1.0] * both + [0.0] * only_a + [1.0] * only_b + [0.0] * neither
    names = np.array([f"s{number // 2}" for number in range(len(a))])
    return Pairs(np.array(a), np.array(b), names, np.array([""] * len(a)))


def test_kappa_of_a_textbook_table():
    # 20 both, 5 only a, 10 only b, 15 neither: p = 0.7, e = 0.5, kappa = 0.4
    found = agree(pairs_of(20, 5, 10, 15))
    assert found["agreement"]["value"] == pytest.approx(0.7)
    assert found["kappa"]["value"] == pytest.approx(0.4)
    assert found["sensitivity"]["value"] == pytest.approx(20 / 30)
    assert found["specificity"]["value"] == pytest.approx(15 / 20)
    assert found["confusion"] == {"both": 20, "only_a": 5, "only_b": 10, "neither": 15}
    assert found["auc"] is None  # nothing to rank by
    assert (found["n"], found["sessions"]) == (50, 25)


@pytest.mark.parametrize("seed", range(5))
def test_kappa_is_its_definition(seed):
    rng = np.random.default_rng(seed)
    a = rng.random(60)
    b = np.where(rng.random(60) < 0.7, a, rng.random(60))
    says_a, says_b = [x > 0.5 for x in a], [x > 0.5 for x in b]
    p = np.mean([x == y for x, y in zip(says_a, says_b, strict=True)])
    chance = np.mean([x == y for x, y in product(says_a, says_b)])
    kappa = rates(np.array(confusion(a, b), float))[1]
    assert kappa == pytest.approx((p - chance) / (1 - chance))


@pytest.mark.parametrize("seed", range(5))
def test_auc_is_the_share_of_pairs_in_order(seed):
    rng = np.random.default_rng(seed)
    scores, labels = np.round(rng.random(50), 1), rng.random(50) < 0.4  # with ties
    expected = np.mean([(yes > no) + (yes == no) / 2 for yes in scores[labels] for no in scores[~labels]])
    assert auc(scores, labels) == pytest.approx(expected)
    assert np.isnan(auc(scores, np.ones(50, bool)))


def test_undefined_is_none_and_never_a_number():
    same = agree(pairs_of(10, 0, 0, 0))
    assert same["agreement"]["value"] == 1.0
    assert same["kappa"] == {"value": None, "low": None, "high": None}
    assert same["specificity"]["value"] is None
    empty = agree(pairs_of(0, 0, 0, 0))
    assert (empty["n"], empty["agreement"]["value"]) == (0, None)
    one = Pairs(np.array([1.0, 0.0]), np.array([1.0, 1.0]), np.array(["s", "s"]), np.array(["x", "x"]))
    assert agree(one)["agreement"] == {"value": 0.5, "low": None, "high": None}


def test_counts_by_edit_type_add_up():
    rng = np.random.default_rng(0)
    a, b = rng.random(90), rng.random(90)
    kinds = np.array(["subject_add", "text_change", ""] * 30)
    found = agree(Pairs(a, b, np.array([f"s{n // 3}" for n in range(90)]), kinds))
    assert set(found["edit_types"]) == {"subject_add", "text_change"}
    for kind, cells in found["edit_types"].items():
        chosen = kinds == kind
        counted = confusion(a[chosen], b[chosen])
        assert counted == tuple(cells[name] for name in counted._fields)
        assert counted.n == 30


def test_the_same_seed_gives_the_same_intervals_in_any_order():
    rng = np.random.default_rng(1)
    a = rng.random(120)
    b = (a + rng.normal(0, 0.3, 120) > 0.5).astype(float)
    names, kinds = np.array([f"s{n // 3}" for n in range(120)]), np.array(["k"] * 120)
    order = rng.permutation(120)
    first = agree(Pairs(a, b, names, kinds))
    again = agree(Pairs(a[order], b[order], names[order], kinds[order]))
    assert {**first, "auc": 0} == {**again, "auc": 0}
    assert first["auc"]["value"] == again["auc"]["value"]
    assert first["kappa"]["low"] < first["kappa"]["value"] < first["kappa"]["high"]
    assert first["auc"]["low"] < first["auc"]["value"] < first["auc"]["high"]
    assert first["kappa"] != agree(Pairs(a, b, names, kinds), Resampling(seed=1))["kappa"]


def test_dependent_turns_widen_the_interval():
    """Ten turns that copy each other are one observation, not ten."""
    rng = np.random.default_rng(2)
    a, b = rng.random(30).round(), rng.random(30).round()
    copied = Pairs(np.repeat(a, 10), np.repeat(b, 10), np.repeat([f"s{n}" for n in range(30)], 10), np.full(300, ""))
    single = Pairs(a, b, np.array([f"s{n}" for n in range(30)]), np.full(30, ""))
    for name in ("agreement", "kappa"):
        assert agree(copied)[name] == pytest.approx(agree(single)[name])


def test_intervals_cover_the_true_kappa():
    rng = np.random.default_rng(3)
    truth, covered = 0.6, 0  # a repeats b with probability 0.8, both fair: agreement 0.8, kappa 0.6
    for _ in range(60):
        b = rng.integers(0, 2, 120).astype(float)
        a = np.where(rng.random(120) < 0.8, b, 1 - b)
        found = agree(Pairs(a, b, np.array([f"s{n}" for n in range(120)]), np.full(120, "")), Resampling(400))
        covered += found["kappa"]["low"] <= truth <= found["kappa"]["high"]
    assert covered >= 52  # 60 draws at 95 %: fewer than 52 has probability below 0.1 %


@pytest.mark.parametrize(("labels", "expected"), [(120, 0.14), (500, 0.07)])
def test_how_many_labels_are_needed(labels, expected):
    rng = np.random.default_rng(4)
    widths = []
    for _ in range(8):
        b = rng.integers(0, 2, labels).astype(float)
        a = np.where(rng.random(labels) < 0.8, b, 1 - b)
        names = np.array([f"s{n}" for n in range(labels)])
        kappa = agree(Pairs(a, b, names, np.full(labels, "")), Resampling(300))["kappa"]
        widths.append((kappa["high"] - kappa["low"]) / 2)
    assert np.mean(widths) == pytest.approx(expected, rel=0.15)


def test_votes():
    # Fleiss: three votes on four items, by hand: P = (1 + 1 + 1/3 + 1/3) / 4, share of yes 6 / 12
    votes = np.array([[1, 1, 1], [0, 0, 0], [1, 1, 0], [1, 0, 0]], float)
    assert vote_kappa(votes) == pytest.approx((2 / 3 - 0.5) / 0.5)
    assert vote_kappa(np.ones((4, 3))) is None
    assert vote_kappa(np.ones((4, 1))) is None


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="lengths"):
        Pairs(np.ones(2), np.ones(3), np.array(["s"] * 2), np.array([""] * 2))
    with pytest.raises(ValueError, match="lie in"):
        Pairs(np.array([np.nan]), np.ones(1), np.array(["s"]), np.array([""]))
