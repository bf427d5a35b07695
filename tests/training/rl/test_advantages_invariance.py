"""What must not change advantages, whatever the rewards are: order, ease of a session, company, what was masked."""

from math import nan

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from micebench.training.rl.advantages import AdvantageOptions, advantages  # noqa: E402
from tests.training.rl.test_advantages import HAND, WEIGHTS  # noqa: E402

EVERY = [(aggregation, broadcast) for aggregation, broadcast, fusion, _ in HAND if fusion == "reward"]
SHAPE = (3, 4, 2)
eighths = st.integers(0, 8).map(lambda value: value / 8)


def tables(values=eighths):
    count = SHAPE[0] * SHAPE[1] * SHAPE[2]
    return st.lists(values, min_size=count, max_size=count).map(
        lambda numbers: torch.tensor(numbers, dtype=torch.float64).reshape(SHAPE)
    )


masks = tables(st.sampled_from([0.0, 0.0, 0.0, 1.0])).map(lambda table: table.bool())
ways = st.builds(
    lambda way, fusion, normalize: AdvantageOptions(
        aggregation=way[0], broadcast=way[1], fusion=fusion, normalize=normalize, weights=WEIGHTS
    ),
    st.sampled_from(EVERY),
    st.sampled_from(["advantage", "reward"]),
    st.sampled_from(["group", "global", "none"]),
)
some = settings(max_examples=30, deadline=None)


def same(a, b):
    torch.testing.assert_close(a.values, b.values, rtol=1e-6, atol=1e-8)
    assert torch.equal(a.used, b.used)


@some
@given(tables(), tables(), tables(), ways.filter(lambda way: way.aggregation != "product"))
def test_a_session_that_is_easier_by_a_constant_changes_nothing(following, consistency, ease, way):
    """Per session, metric and turn; products are no sums, and are left out."""
    none = torch.zeros(SHAPE, dtype=torch.bool)
    rewards = {"IF": following, "CC": consistency}
    eased = {"IF": following + ease[:, :1], "CC": consistency + ease[:, 1:2]}
    same(advantages(rewards, none, way), advantages(eased, none, way))


@some
@given(tables(), tables(), masks, ways, st.permutations(range(SHAPE[0])), st.permutations(range(SHAPE[1])))
def test_order_of_sessions_and_rollouts_only_orders(following, consistency, failed, way, sessions, rollouts):
    made = advantages({"IF": following, "CC": consistency}, failed, way)
    order = lambda table: table[list(sessions)][:, list(rollouts)]  # noqa: E731
    other = advantages({"IF": order(following), "CC": order(consistency)}, order(failed), way)
    torch.testing.assert_close(other.values, order(made.values), rtol=1e-9, atol=1e-12)
    assert torch.equal(other.used, order(made.used))


@some
@given(tables(), tables(), masks, ways)
def test_a_session_without_spread_changes_no_other(following, consistency, failed, way):
    made = advantages({"IF": following, "CC": consistency}, failed, way)
    flat = torch.full((1, *SHAPE[1:]), 0.5, dtype=torch.float64)
    rewards = {"IF": torch.cat([following, flat]), "CC": torch.cat([consistency, flat])}
    more = advantages(rewards, torch.cat([failed, flat > 1]), way)
    torch.testing.assert_close(more.values[:-1], made.values, rtol=1e-9, atol=1e-12)
    assert more.values[-1].abs().max() == 0


@some
@given(tables(), tables(), masks, ways.filter(lambda way: way.broadcast))
def test_broadcast_leaves_one_advantage_per_rollout(following, consistency, failed, way):
    made = advantages({"IF": following, "CC": consistency}, failed, way)
    for values, used, without in zip(*(t.flatten(0, 1) for t in (made.values, made.used, failed)), strict=True):
        assert used[~without].unique().numel() <= 1
        assert values[used].unique().numel() <= 1


@some
@given(tables(), tables(), masks, ways)
def test_unused_places_are_zero_and_stale_rewards_do_not_leak(following, consistency, failed, way):
    made = advantages({"IF": following, "CC": consistency}, failed, way)
    assert made.values.isfinite().all()
    assert (made.values[~made.used] == 0).all()
    assert not (made.used & failed).any()
    stale = {"IF": following.masked_fill(failed, nan), "CC": consistency.masked_fill(failed, 0.37)}
    same(made, advantages(stale, failed, way))


@some
@given(tables(), tables(), ways)
def test_a_sessions_advantages_sum_to_nothing(following, consistency, way):
    way = way.model_copy(update={"clip": 1e9})
    made = advantages({"IF": following, "CC": consistency}, torch.zeros(SHAPE, dtype=torch.bool), way)
    assert made.values.sum(1).abs().max() < 1e-9
