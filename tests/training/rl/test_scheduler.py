"""The stochastic steps are the same for a session's rollouts, differ between sessions, and never reach the last."""

import pytest

pytest.importorskip("torch")

from pydantic import ValidationError

from micebench.errors import MicebenchError
from micebench.training.rl.samplers import SamplingPlan, draw_windows

PLAN = SamplingPlan(kind="sde", window=2)
KEYS = [f"session-{i}" for i in range(200)]
KNOWN = [3, 5, 3, 6, 0, 5, 4, 3]


def test_rollouts_of_a_session_share_their_window():
    starts = draw_windows(PLAN, 10, [key for key in KEYS for _ in range(4)], seed=3)
    assert all(len(set(starts[i : i + 4])) == 1 for i in range(0, len(starts), 4))


def test_sessions_and_seeds_differ_and_all_starts_occur_alike():
    starts = draw_windows(PLAN, 10, KEYS, seed=3)
    assert set(starts) == set(range(8))  # windows 0..1 to 7..8 of steps 0..9
    assert min(starts.count(start) for start in range(8)) > 10  # 25 on average
    other = draw_windows(PLAN, 10, KEYS, seed=4)
    assert 0 < sum(a == b for a, b in zip(starts, other, strict=True)) < 60


def test_order_and_company_do_not_matter():
    starts = dict(zip(KEYS, draw_windows(PLAN, 10, KEYS, seed=3), strict=True))
    assert draw_windows(PLAN, 10, KEYS[::-1], seed=3) == [starts[key] for key in KEYS[::-1]]
    assert draw_windows(PLAN, 10, KEYS[7:8], seed=3) == [starts[KEYS[7]]]


def test_every_process_draws_these():
    """Known answers: nothing of the process, such as its hash seed, takes part."""
    assert draw_windows(PLAN, 10, KEYS[:8], seed=3) == KNOWN


def test_a_range_bounds_the_whole_window():
    plan = SamplingPlan(kind="cps", window=2, window_range=(1, 5), steps=6)
    assert set(draw_windows(plan, 6, KEYS, seed=0)) == {1, 2, 3}
    exact = SamplingPlan(kind="cps", window=2, window_range=(1, 3))
    assert set(draw_windows(exact, 6, KEYS, seed=0)) == {1}


def test_no_window_starts_nowhere():
    assert draw_windows(SamplingPlan(), 1, KEYS[:3], seed=0) == [0, 0, 0]


@pytest.mark.parametrize("fields", [{"window": 4}, {"window": 2, "window_range": (1, 4)}])
def test_a_window_never_reaches_the_last_step(fields):
    """It ends at sigma 0, where there is no density."""
    with pytest.raises(ValidationError, match="last of 4 steps"):
        SamplingPlan(kind="sde", steps=4, **fields)
    with pytest.raises(MicebenchError, match="end it at step 3, or raise steps"):
        draw_windows(SamplingPlan(kind="sde", **fields), 4, ["a"], seed=0)
    assert draw_windows(SamplingPlan(kind="sde", **fields), 5, ["a"], seed=0)[0] in (0, 1, 2)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "euler", "window": 2}, "set kind and window together"),
        ({"kind": "sde"}, "set kind and window together"),
        ({"kind": "cps", "window": 1, "noise_level": 1.2}, "at most 1"),
        ({"kind": "sde", "window": 1, "noise_level": 0}, "greater than 0"),
        ({"kind": "sde", "window": 3, "window_range": (2, 4)}, "no room"),
        ({"kind": "sde", "window": 1, "window_range": (-1, 4)}, "no room"),
        ({"kind": "sde", "window": 1, "windows": 1}, "Extra inputs"),
    ],
)
def test_plans_without_sense_are_refused(fields, said):
    with pytest.raises(ValidationError, match=said):
        SamplingPlan(**fields)
