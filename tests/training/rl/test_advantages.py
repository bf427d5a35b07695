"""Advantages, computed by hand for every aggregation, fusion and broadcast."""

from math import nan, sqrt

import pytest

torch = pytest.importorskip("torch")

from pydantic import ValidationError  # noqa: E402

from micebench.errors import MicebenchError  # noqa: E402
from micebench.training.rl.advantages import AdvantageOptions, advantages  # noqa: E402

# One session, four rollouts, two turns. What follows instructions (IF) breaks the rest (CC), and the other way round.
IF = [[1, 1], [1, 0], [0, 1], [0, 0]]
CC = [[0, 0], [1, 1], [1, 1], [1, 1]]
GOOD, BAD = sqrt(3), 1 / sqrt(3)  # CC is 0, 1, 1, 1: in units of its own deviation sqrt(3)/4, -GOOD and +BAD


def compute(rewards, failed=None, **options):
    """Advantages of one session, or of several, given as nested lists (G, T) or (S, G, T)."""
    given = {metric: torch.tensor(values, dtype=torch.float64) for metric, values in rewards.items()}
    given = {metric: values if values.ndim == 3 else values[None] for metric, values in given.items()}
    shape = next(iter(given.values())).shape
    mask = torch.zeros(shape, dtype=torch.bool) if failed is None else torch.tensor(failed).bool().reshape(shape)
    options.setdefault("weights", {metric: weight for metric, weight in WEIGHTS.items() if metric in rewards})
    options.setdefault("epsilon", 1e-12)
    return advantages(given, mask, AdvantageOptions(**options))


WEIGHTS = {"IF": 0.8, "CC": 0.2}


def turns(*values):
    """The same advantage in both turns."""
    return [[value, value] for value in values]


EACH_TURN = [[0.25, 0.25], [0.45, -0.35], [-0.35, 0.45], [-0.35, -0.35]]
TO_GO = [[0.5, 0.25], [0.1, -0.35], [0.1, 0.45], [-0.7, -0.35]]
HAND = [
    # aggregation, broadcast, fusion, deviations from the session's mean (normalize: none)
    ("per_turn", False, "advantage", EACH_TURN),
    ("per_turn", False, "reward", EACH_TURN),
    ("per_turn", True, "advantage", turns(0.25, 0.05, 0.05, -0.35)),
    ("per_turn", True, "reward", turns(0.25, 0.05, 0.05, -0.35)),
    ("mean", True, "advantage", turns(0.25, 0.05, 0.05, -0.35)),
    ("mean", True, "reward", turns(0.25, 0.05, 0.05, -0.35)),
    ("last", True, "advantage", turns(0.25, -0.35, 0.45, -0.35)),
    ("last", True, "reward", turns(0.25, -0.35, 0.45, -0.35)),
    # products of IF are 1 0 0 0, of CC 0 1 1 1; of the fused rewards 0.64, 0.2, 0.2, 0.04
    ("product", True, "advantage", turns(0.45, -0.15, -0.15, -0.15)),
    ("product", True, "reward", turns(0.37, -0.07, -0.07, -0.23)),
    ("return_to_go", False, "advantage", TO_GO),
    ("return_to_go", False, "reward", TO_GO),
]


@pytest.mark.parametrize(("aggregation", "broadcast", "fusion", "expected"), HAND)
def test_deviations_by_hand(aggregation, broadcast, fusion, expected):
    made = compute(
        {"IF": IF, "CC": CC}, aggregation=aggregation, broadcast=broadcast, fusion=fusion, normalize="none"
    )
    assert made.values.shape == (1, 4, 2)
    assert made.values.dtype == torch.float64
    assert made.used.all()
    torch.testing.assert_close(made.values[0], torch.tensor(expected, dtype=torch.float64))


def scaled(values, variance):
    return [[value / sqrt(variance) for value in row] for row in values]


NORMALIZED = [
    # advantage: IF and CC each in units of their own deviation, then 0.8 and 0.2; reward: one deviation of the sum
    (
        *("per_turn", False, "advantage"),
        [
            [0.8 - 0.2 * GOOD, 0.8 - 0.2 * GOOD],
            [0.8 + 0.2 * BAD, -0.8 + 0.2 * BAD],
            [-0.8 + 0.2 * BAD, 0.8 + 0.2 * BAD],
            [-0.8 + 0.2 * BAD, -0.8 + 0.2 * BAD],
        ],
    ),
    ("per_turn", False, "reward", scaled(EACH_TURN, 0.1275)),
    ("per_turn", True, "advantage", turns(0.8 - 0.2 * GOOD, 0.2 * BAD, 0.2 * BAD, -0.8 + 0.2 * BAD)),
    ("per_turn", True, "reward", scaled(turns(0.25, 0.05, 0.05, -0.35), 0.1275)),
    # IF means 1, 1/2, 1/2, 0 have variance 1/8
    (
        *("mean", True, "advantage"),
        turns(0.8 * sqrt(2) - 0.2 * GOOD, 0.2 * BAD, 0.2 * BAD, -0.8 * sqrt(2) + 0.2 * BAD),
    ),
    ("mean", True, "reward", scaled(turns(0.25, 0.05, 0.05, -0.35), 0.0475)),
    (
        *("last", True, "advantage"),
        turns(0.8 - 0.2 * GOOD, -0.8 + 0.2 * BAD, 0.8 + 0.2 * BAD, -0.8 + 0.2 * BAD),
    ),
    ("last", True, "reward", scaled(turns(0.25, -0.35, 0.45, -0.35), 0.1275)),
    ("product", True, "advantage", turns(0.8 * GOOD - 0.2 * GOOD, *[-0.8 * BAD + 0.2 * BAD] * 3)),
    ("product", True, "reward", scaled(turns(0.37, -0.07, -0.07, -0.23), 0.0499)),
    # IF returns 2 1 1 0 have variance 1/2; the last turn is as without returns
    (
        *("return_to_go", False, "advantage"),
        [
            [0.8 * sqrt(2) - 0.2 * GOOD, 0.8 - 0.2 * GOOD],
            [0.2 * BAD, -0.8 + 0.2 * BAD],
            [0.2 * BAD, 0.8 + 0.2 * BAD],
            [-0.8 * sqrt(2) + 0.2 * BAD, -0.8 + 0.2 * BAD],
        ],
    ),
    (
        *("return_to_go", False, "reward"),
        [[a / sqrt(0.19), b / sqrt(0.1275)] for a, b in [(0.5, 0.25), (0.1, -0.35), (0.1, 0.45), (-0.7, -0.35)]],
    ),
]


@pytest.mark.parametrize("normalize", ["group", "global"])
@pytest.mark.parametrize(("aggregation", "broadcast", "fusion", "expected"), NORMALIZED)
def test_normalized_by_hand(aggregation, broadcast, fusion, expected, normalize):
    """In a single session the group's deviation is the global one."""
    made = compute(
        {"IF": IF, "CC": CC}, aggregation=aggregation, broadcast=broadcast, fusion=fusion, normalize=normalize
    )
    torch.testing.assert_close(made.values[0], torch.tensor(expected, dtype=torch.float64))


# Three rollouts; the second has no verdict at one turn.
MASKED_LAST = [[0, 0], [0, 1], [0, 0]]
MASKED_FIRST = [[0, 0], [1, 0], [0, 0]]


@pytest.mark.parametrize("stale", [0.0, 1.0, nan])
@pytest.mark.parametrize(
    ("aggregation", "broadcast", "failed", "expected", "unused"),
    [
        ("per_turn", False, MASKED_LAST, [[2 / 3, 0.5], [-1 / 3, 0], [-1 / 3, -0.5]], [[1, 1]]),
        ("per_turn", False, MASKED_FIRST, [[0.5, 1 / 3], [0, 1 / 3], [-0.5, -2 / 3]], [[1, 0]]),
        ("per_turn", True, MASKED_LAST, turns(7 / 12, 0, -5 / 12), [[1, 0], [1, 1]]),
        ("mean", True, MASKED_LAST, turns(0.5, 0, -0.5), [[1, 0], [1, 1]]),
        ("mean", True, MASKED_FIRST, turns(0.5, 0, -0.5), [[1, 0], [1, 1]]),
        ("product", True, MASKED_LAST, turns(0.5, 0, -0.5), [[1, 0], [1, 1]]),
        ("product", True, MASKED_FIRST, turns(0.5, 0, -0.5), [[1, 0], [1, 1]]),
        ("last", True, MASKED_LAST, turns(0.5, 0, -0.5), [[1, 0], [1, 1]]),
        # the last turn is all it needs, but the failed turn itself is not learnt from
        ("last", True, MASKED_FIRST, [[1 / 3, 1 / 3], [0, 1 / 3], [-2 / 3, -2 / 3]], [[1, 0]]),
        ("return_to_go", False, MASKED_LAST, [[1, 0.5], [0, 0], [-1, -0.5]], [[1, 0], [1, 1]]),
        ("return_to_go", False, MASKED_FIRST, [[1, 1 / 3], [0, 1 / 3], [-1, -2 / 3]], [[1, 0]]),
    ],
)
def test_failed_verdicts_are_masked(aggregation, broadcast, failed, expected, unused, stale):
    """Out of means, whatever number was left there, and out of learning."""
    rewards = [[1, 1], [0, 1], [0, 0]]
    row, column = next((g, t) for g in range(3) for t in range(2) if failed[g][t])
    rewards[row][column] = stale
    made = compute(
        {"IF": rewards}, failed, aggregation=aggregation, broadcast=broadcast, weights={"IF": 1.0}, normalize="none"
    )
    torch.testing.assert_close(made.values[0], torch.tensor(expected, dtype=torch.float64))
    assert (~made.used[0]).nonzero().tolist() == unused
    assert made.statistics["masked"] == pytest.approx(len(unused) / 6)


def test_a_failed_verdict_is_missing_for_all_metrics():
    made = compute(
        {"IF": [[1], [0], [0]], "CC": [[1], [0], [1]]},
        [[0], [0], [1]],
        normalize="none",
        weights={"IF": 0.5, "CC": 0.5},
    )
    assert made.values[0].flatten().tolist() == [0.5, -0.5, 0]


def test_nothing_to_measure_in_a_turn_is_left_out():
    """CC does not apply at the second turn: it adds nothing there, and IF alone is the fused reward."""
    rewards = {"IF": [[1, 1], [0, 0]], "CC": [[0, nan], [1, nan]]}
    each = compute(rewards, normalize="none", broadcast=False)
    torch.testing.assert_close(each.values[0], torch.tensor([[0.3, 0.4], [-0.3, -0.4]], dtype=torch.float64))
    fused = compute(rewards, normalize="none", broadcast=False, fusion="reward")
    torch.testing.assert_close(fused.values[0], torch.tensor([[0.3, 0.5], [-0.3, -0.5]], dtype=torch.float64))
    assert each.used.all()
    assert fused.used.all()


def test_nothing_to_measure_in_a_rollout_is_left_out():
    rewards = {"IF": [[1], [0], [0]], "CC": [[nan], [1], [0]]}
    each = compute(rewards, normalize="none")
    expected = [0.8 * 2 / 3, -0.8 / 3 + 0.1, -0.8 / 3 - 0.1]
    assert each.values.flatten().tolist() == pytest.approx(expected)
    fused = compute(rewards, normalize="none", fusion="reward")  # 1, 0.2, 0
    assert fused.values.flatten().tolist() == pytest.approx([0.6, -0.2, -0.4])


@pytest.mark.parametrize(
    ("aggregation", "broadcast", "expected", "unused"),
    [
        ("per_turn", False, [[0.5, 0], [-0.5, 0]], [[0, 1]]),
        ("per_turn", True, turns(0.5, -0.25), []),  # the second: mean of -1/2 and 0
        ("mean", True, turns(0.25, -0.25), []),  # 1 and (0 + 1) / 2
        ("product", True, turns(0.5, -0.5), []),
        ("last", True, turns(0, 0), [[0, 0], [0, 1]]),
        ("return_to_go", False, [[0, 0], [0, 0]], [[0, 1]]),  # both have 1 to go
    ],
)
def test_turns_with_nothing_to_measure_are_skipped(aggregation, broadcast, expected, unused):
    made = compute(
        {"IF": [[1, nan], [0, 1]]},
        aggregation=aggregation,
        broadcast=broadcast,
        weights={"IF": 1.0},
        normalize="none",
    )
    torch.testing.assert_close(made.values[0], torch.tensor(expected, dtype=torch.float64))
    assert (~made.used[0]).nonzero().tolist() == unused


@pytest.mark.parametrize(
    ("aggregation", "broadcast"),
    [
        ("per_turn", True),
        ("per_turn", False),
        ("mean", True),
        ("last", True),
        ("product", True),
        ("return_to_go", False),
    ],
)
def test_a_rollout_with_nothing_to_measure_teaches_nothing(aggregation, broadcast):
    rewards = {"IF": [[nan, nan], [0, 1], [1, 1]], "CC": [[nan, nan], [1, 0], [0, 0]]}
    made = compute(rewards, aggregation=aggregation, broadcast=broadcast, normalize="none")
    assert made.used[0].tolist() == [[False, False], [True, True], [True, True]]
    assert made.values[0, 0].tolist() == [0, 0]
    assert made.statistics["masked"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("fusion", ["advantage", "reward"])
@pytest.mark.parametrize("failed", [0, 1])
def test_a_shorter_session_ends_with_its_own_last_turn(fusion, failed):
    """Three turns, one turn, two turns; the last session's third rollout may have no verdict at its end."""
    following = [
        [[0, 0, 1], [1, 1, 0], [1, 0, 0]],
        [[1, nan, nan], [0, nan, nan], [0, nan, nan]],
        [[0, 1, nan], [1, 0, nan], [1, 0, nan]],
    ]
    missing = [[[0, 0, 0]] * 3, [[0, 0, 0]] * 3, [[0, 0, 0], [0, 0, 0], [0, failed, 0]]]
    consistency = [[[1, 1, nan]] * 3, [[nan] * 3] * 3, [[1, nan, nan]] * 3]  # says nothing of any session's end
    made = by_the_last({"IF": following, "CC": consistency}, missing, fusion)
    there = [[1.0, 0.0, 0.0]] * 2 + [[1.0, 0.0]] if failed else [[1.0, 0.0, 0.0]] * 3
    for session, ends in enumerate(there):
        expected = [end - sum(ends) / len(ends) for end in ends] + [0.0] * (3 - len(ends))
        assert made.values[session, :, 0].tolist() == pytest.approx(expected)
        assert made.used[session].all(1).tolist() == [True] * len(ends) + [False] * (3 - len(ends))


def test_an_end_of_which_nobody_knows_anything_is_still_the_end():
    """The judge was down for the last turn: the turn before is not put in its place."""
    made = compute({"IF": [[1, nan], [0, nan]]}, [[0, 1], [0, 1]], aggregation="last", weights={"IF": 1.0})
    assert not made.used.any()


def by_the_last(rewards, failed, fusion):
    return compute(
        rewards, failed, aggregation="last", fusion=fusion, normalize="none", weights={"IF": 1.0, "CC": 1.0}
    )


@pytest.mark.parametrize("fusion", ["advantage", "reward"])
@pytest.mark.parametrize("normalize", ["group", "global", "none"])
def test_groups_without_spread_have_no_advantage_and_are_counted(fusion, normalize):
    third = 1 / 3
    made = compute(
        {"IF": [[[1], [1]], [[0], [0]], [[1], [0]]], "CC": [[[third], [third]], [[0.7], [0.7]], [[1], [1]]]},
        fusion=fusion,
        normalize=normalize,
    )
    assert made.values[:2].abs().max() == 0
    assert made.values[2].abs().min() > 0.3
    assert made.used.all()
    assert made.statistics["flat_groups"] == pytest.approx(2 / 3)
    names = {"advantage": {"IF": 2 / 3, "CC": 1.0}, "reward": {"fused": 2 / 3}}[fusion]
    assert {name: made.statistics[f"flat_groups/{name}"] for name in names} == pytest.approx(names)


def test_a_rollout_at_its_groups_mean_or_without_a_verdict_makes_no_group_flat():
    """The first group has spread and a rollout at zero; what is left of the second has none; the third is empty."""
    rewards = {"IF": [[[1], [0.5], [0]], [[1], [1], [0]], [[nan], [nan], [nan]]]}
    made = compute(rewards, [[[0], [0], [0]], [[0], [0], [1]], [[0], [0], [0]]], weights={"IF": 1.0})
    assert made.statistics["flat_groups"] == made.statistics["flat_groups/IF"] == 0.5
    assert made.statistics["size"] == pytest.approx(sqrt(1.5) * 2 / 5), "mean size of the five that are used"


def test_no_spread_anywhere_is_no_division_by_zero():
    made = compute({"IF": [[1, 0], [1, 0]]}, weights={"IF": 1.0})
    assert made.values.abs().max() == 0
    assert made.statistics["flat_groups"] == 1


def test_global_normalisation_keeps_small_differences_small():
    """Deviations are 1/2 and 1/8 here: one scale for both; per group both become 1."""
    rewards = {"IF": [[[1], [0]], [[0.5], [0.25]], [[1], [1]]]}
    scale = sqrt((0.25 + 1 / 64) / 2)
    overall = compute(rewards, normalize="global", weights={"IF": 1.0}).values[..., 0]
    expected = [[0.5 / scale, -0.5 / scale], [0.125 / scale, -0.125 / scale], [0, 0]]
    torch.testing.assert_close(overall, torch.tensor(expected, dtype=torch.float64))
    group = compute(rewards, normalize="group", weights={"IF": 1.0}).values[..., 0]
    torch.testing.assert_close(group, torch.tensor([[1, -1], [1, -1], [0, 0]], dtype=torch.float64))


def test_turns_have_baselines_and_scales_of_their_own():
    """A harder last turn is no worse for it: a pooled mean would call every first turn good."""
    rewards = {"IF": [[1.0, 0.25], [0.5, 0.0]]}
    made = compute(rewards, weights={"IF": 1.0}, broadcast=False)
    torch.testing.assert_close(made.values[0], torch.tensor([[1, 1], [-1, -1]], dtype=torch.float64))


def test_epsilon_tames_groups_that_hardly_differ():
    made = compute({"IF": [[0.5], [0.5 + 2e-6]]}, weights={"IF": 1.0}, epsilon=1e-4)
    assert made.values.flatten().tolist() == pytest.approx([-1e-6 / 1.01e-4, 1e-6 / 1.01e-4])


@pytest.mark.parametrize("side", [1, -1])
def test_advantages_are_clipped_and_that_is_counted(side):
    rewards = {"IF": [[(1 + side) / 2]] + [[(1 - side) / 2]] * 9}  # the one is 3 deviations above, or below
    made = compute(rewards, weights={"IF": 1.0}, clip=2.0)
    assert made.values.flatten().tolist() == pytest.approx([side * 2.0] + [-side / 3] * 9)
    assert made.statistics["clipped"] == pytest.approx(0.1)


def test_statistics_have_means_per_metric_and_turn():
    rewards = {"IF": [[1, 0], [0, 0]], "CC": [[0.5, nan], [1, nan]], "GA": [[1, 1], [1, 0]]}
    said = compute(rewards, [[0, 0], [0, 1]], weights={"IF": 1.0}, broadcast=False).statistics
    rewards_said = {name: value for name, value in said.items() if name.startswith("reward/")}
    assert rewards_said == {
        "reward/IF/turn_1": 0.5,
        "reward/IF/turn_2": 0.0,
        "reward/CC/turn_1": 0.75,
        "reward/GA/turn_1": 1.0,
        "reward/GA/turn_2": 1.0,
    }


def test_weights_decide_and_unweighted_metrics_do_not():
    alone = compute({"IF": IF}, weights={"IF": 1.0}).values
    assert torch.equal(compute({"IF": IF, "CC": CC}, weights={"IF": 1.0}).values, alone)
    for fusion in ("advantage", "reward"):
        made = compute({"IF": IF, "CC": CC}, weights={"IF": 1.0, "CC": 0.0}, fusion=fusion)
        assert torch.equal(made.values, alone)
        assert made.statistics["reward/CC/turn_1"] > 0


def test_a_weight_without_rewards_is_named():
    with pytest.raises(MicebenchError, match="no rewards of 'CC'; the judge gives IF"):
        compute({"IF": IF}, weights=WEIGHTS)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"aggregation": "return_to_go"}, "set broadcast to false"),
        ({"aggregation": "mean", "broadcast": False}, "set broadcast to true"),
        ({"aggregation": "last", "broadcast": False}, "set broadcast to true"),
        ({"aggregation": "product", "broadcast": False}, "set broadcast to true"),
        ({"weights": {}}, "above 0"),
        ({"weights": {"IF": 0}}, "above 0"),
        ({"weights": {"IF": -0.1}}, "greater than or equal to 0"),
        ({"clip": 0}, "greater than 0"),
        ({"discount": 0.9}, "Extra inputs"),
    ],
)
def test_options_without_sense_are_refused(fields, said):
    with pytest.raises(ValidationError, match=said):
        AdvantageOptions(**fields)
