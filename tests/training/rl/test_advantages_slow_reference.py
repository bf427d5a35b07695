"""Advantages of random rewards agree with a slow reference that goes through them one by one."""

import math
from itertools import product

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from micebench.training.rl.advantages import AdvantageOptions, advantages  # noqa: E402

EPSILON, CLIP = 1e-4, 2.0
AGGREGATIONS = ["per_turn", "per_turn broadcast", "mean", "last", "product", "return_to_go"]


def reference(rewards, failed, weights, aggregation, fusion, normalize):
    """(values, used) as nested lists; None stands for what has no number."""
    sessions, group, turns = failed.shape
    places = list(product(range(sessions), range(group), range(turns)))
    known = {
        metric: {at: None if failed[at] or math.isnan(reward[at]) else float(reward[at]) for at in places}
        for metric, reward in rewards.items()
    }
    there = {at: failed[at] or any(scores[at] is not None for scores in known.values()) for at in places}
    ends = [max((t for s, _, t in places if s == one and there[s, _, t]), default=0) for one in range(sessions)]
    if fusion == "reward":
        fused = {}
        for at in places:
            parts = [(weights[metric], known[metric][at]) for metric in weights if known[metric][at] is not None]
            fused[at] = sum(w * r for w, r in parts) / sum(w for w, _ in parts) if parts else None
        known, weights = {"fused": fused}, {"fused": 1.0}
    total, has = dict.fromkeys(places, 0.0), dict.fromkeys(places, False)
    for metric, weight in weights.items():
        scores = {at: _score(known[metric], failed, at, turns, ends[at[0]], aggregation) for at in places}
        for at, value in _normalized(scores, sessions, group, turns, normalize).items():
            if value is not None:
                total[at] += weight * value
                has[at] = True
    values, used = np.zeros(failed.shape), np.zeros(failed.shape, dtype=bool)
    for s, g, t in places:
        if aggregation == "per_turn broadcast":
            there = [total[s, g, k] for k in range(turns) if has[s, g, k]]
            usable = bool(there) and not failed[s, g].any()
            value = sum(there) / len(there) if there else 0.0
        else:
            usable, value = has[s, g, t], total[s, g, t]
        if usable and not failed[s, g, t]:
            used[s, g, t] = True
            values[s, g, t] = min(CLIP, max(-CLIP, value))
    return values, used


def _score(known, failed, at, turns, end, aggregation):
    s, g, t = at
    if aggregation.startswith("per_turn"):
        return known[at]
    if aggregation == "last":
        return known[s, g, end]
    needed = range(t, turns) if aggregation == "return_to_go" else range(turns)
    if any(failed[s, g, k] for k in needed):
        return None
    there = [known[s, g, k] for k in needed if known[s, g, k] is not None]
    if not there:
        return None
    return {"mean": sum(there) / len(there), "product": math.prod(there), "return_to_go": sum(there)}[aggregation]


def _normalized(scores, sessions, group, turns, normalize):
    deviations, telling = {}, {t: [] for t in range(turns)}
    for s, t in product(range(sessions), range(turns)):
        there = {g: scores[s, g, t] for g in range(group) if scores[s, g, t] is not None}
        if not there:
            continue
        flat = max(there.values()) - min(there.values()) <= 1e-12
        mean = sum(there.values()) / len(there)
        found = {g: 0.0 if flat else value - mean for g, value in there.items()}
        for g, deviation in found.items():
            scale = 1.0
            if normalize == "group":
                scale = math.sqrt(sum(d * d for d in found.values()) / len(found)) + EPSILON
            deviations[s, g, t] = deviation / scale
        if not flat:
            telling[t] += list(found.values())
    if normalize == "global":
        for (s, g, t), deviation in deviations.items():
            spread = math.sqrt(sum(d * d for d in telling[t]) / len(telling[t])) if telling[t] else 0.0
            deviations[s, g, t] = deviation / (spread + EPSILON)
    return {at: deviations.get(at) for at in scores}


@pytest.mark.parametrize("normalize", ["group", "global", "none"])
@pytest.mark.parametrize("fusion", ["advantage", "reward"])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_advantages_of_masked_rewards_agree_with_a_slow_reference(aggregation, fusion, normalize):
    for seed in range(12):
        draw = np.random.default_rng(seed)
        shape = (3, 4, 3)
        rewards = {"IF": draw.integers(0, 2, shape).astype(float), "CC": draw.integers(0, 5, shape) / 4}
        rewards = {metric: np.where(draw.random(shape) < 0.2, np.nan, reward) for metric, reward in rewards.items()}
        failed = draw.random(shape) < 0.25
        weights = {"IF": 0.8, "CC": 0.2}
        options = AdvantageOptions(
            aggregation=aggregation.split()[0],
            broadcast="broadcast" in aggregation or aggregation in ("mean", "last", "product"),
            fusion=fusion,
            normalize=normalize,
            weights=weights,
            epsilon=EPSILON,
            clip=CLIP,
        )
        made = advantages(
            {metric: torch.from_numpy(reward) for metric, reward in rewards.items()},
            torch.from_numpy(failed),
            options,
        )
        values, used = reference(rewards, failed, weights, aggregation, fusion, normalize)
        np.testing.assert_array_equal(made.used.numpy(), used, err_msg=f"seed {seed}")
        np.testing.assert_allclose(made.values.numpy(), values, atol=1e-9, err_msg=f"seed {seed}")


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("fusion", ["advantage", "reward"])
def test_a_place_without_an_answer_is_never_learnt_from(aggregation, fusion):
    draw = np.random.default_rng(0)
    shape = (6, 5, 4)
    failed = torch.from_numpy(draw.random(shape) < 0.3)
    options = AdvantageOptions(
        aggregation=aggregation.split()[0],
        broadcast="broadcast" in aggregation or aggregation in ("mean", "last", "product"),
        fusion=fusion,
    )
    made = advantages({name: torch.from_numpy(draw.random(shape)) for name in ("IF", "CC")}, failed, options)
    assert not made.used[failed].any()
    assert not made.values[failed].any()
    assert made.used.any()
