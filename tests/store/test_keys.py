"""A key changes with every cause, and with nothing else; making one costs next to nothing."""

import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micebench.store.keys import EditCause, canonical, derive_seed, verdict_key

CAUSE = EditCause("mice-mini", "e" * 64, "last", 0)
EDIT = ("r" * 64, "s" * 64, 0, 2, ("p" * 64,))


@pytest.mark.parametrize(
    ("cause", "edit"),
    [
        (EditCause("mice", "e" * 64, "last", 0), EDIT),
        (EditCause("mice-mini", "f" * 64, "last", 0), EDIT),
        (EditCause("mice-mini", "e" * 64, "history", 0), EDIT),
        (EditCause("mice-mini", "e" * 64, "last", 1), EDIT),
        (CAUSE, ("x" * 64, *EDIT[1:])),
        (CAUSE, (EDIT[0], "x" * 64, *EDIT[2:])),
        (CAUSE, (*EDIT[:2], 1, *EDIT[3:])),
        (CAUSE, (*EDIT[:3], 3, EDIT[4])),
        (CAUSE, (*EDIT[:4], ("x" * 64,))),
        (CAUSE, (*EDIT[:4], ())),
    ],
)
def test_every_cause_of_an_edit_is_in_its_key(cause: EditCause, edit: tuple) -> None:
    assert cause.edit_key(*edit) != CAUSE.edit_key(*EDIT)


def test_equal_causes_give_equal_keys_in_every_process() -> None:
    expected = "69a3e9c3"
    assert len(CAUSE.edit_key(*EDIT)) == 64
    assert CAUSE.edit_key(*EDIT) == EditCause("mice-mini", "e" * 64, "last", 0).edit_key(*EDIT)
    assert CAUSE.edit_key(*EDIT)[:8] == expected, "every run made so far would be redone"


@pytest.mark.parametrize("part", range(4))
def test_every_cause_of_a_verdict_is_in_its_key(part: int) -> None:
    causes = ["edit", "image", "judge", "IF"]
    other = [*causes[:part], "other", *causes[part + 1 :]]
    assert verdict_key(*causes) != verdict_key(*other)


def test_canonical_json_ignores_order_and_refuses_nan() -> None:
    assert canonical({"b": 1, "a": "é"}) == canonical({"a": "é", "b": 1}) == '{"a":"é","b":1}'.encode()
    with pytest.raises(ValueError):
        canonical({"a": float("nan")})


@given(st.text(), st.integers(1, 10), st.integers(0, 5), st.integers(0, 2**31))
def test_seeds_are_63_bit_and_differ_by_turn_repeat_and_base(session: str, turn: int, repeat: int, seed: int) -> None:
    one = derive_seed("t", session, turn, repeat, seed)
    assert 0 <= one < 2**63
    others = {
        derive_seed("t", session, turn + 1, repeat, seed),
        derive_seed("t", session, turn, repeat + 1, seed),
        derive_seed("t", session, turn, repeat, seed + 1),
        derive_seed("u", session, turn, repeat, seed),
    }
    assert one not in others
    assert len(others) == 4


def test_a_key_costs_less_than_50_microseconds() -> None:
    seconds = min(timeit.repeat(lambda: CAUSE.edit_key(*EDIT), number=200, repeat=20)) / 200
    assert seconds < 50e-6
