"""A reply that does not clearly say one thing says nothing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micebench.judges.vlm import parsing, tag_parsing
from micebench.judges.vlm.choice_logprobs import choice_logprobs
from micebench.judges.vlm.parsing import Unreadable


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ("yes", True),
        ("Yes.", True),
        ("**No**", False),
        ('"NO!"', False),
        ("<think>no, hm, no</think>\nyes", True),
        ("The cat is there.\nVerdict: yes", True),
        ("It is gone.\n\n**Answer: No.**", False),
        ("Final answer: yes", True),
        ("yes\nDecision: yes", True),
    ],
)
def test_a_clear_decision_is_read(reply: str, says: bool) -> None:
    assert parsing.yes_no(reply) is says


@pytest.mark.parametrize(
    "reply",
    [
        "",
        " \n",
        "maybe",
        "Yes, the cat was added.",
        "no, the eyes are still blue",
        "yes no",
        "yes\nno",
        "no\nVerdict: yes",
        "Verdict: no\nVerdict: yes",
        "Verdict: unclear\nVerdict: yes",
        "Verdict: yes\nI am not sure, though.",
        "Verdict:",
        "<think>yes",
        "<think>a</think> <think>yes",
        "1",
        "true",
    ],
)
def test_anything_else_is_no_decision(reply: str) -> None:
    with pytest.raises(Unreadable):
        parsing.yes_no(reply)


def test_a_reasoned_verdict_needs_reasons() -> None:
    assert parsing.reasoned("There is a cat now.\nVerdict: yes")
    for reply in ("yes", "Verdict: yes", "There is a cat now. Verdict: yes", "There is a cat.\nyes"):
        with pytest.raises(Unreadable):
            parsing.reasoned(reply)


def test_the_published_test_takes_any_yes() -> None:
    assert parsing.contains_yes("no, the eyes have not changed")
    assert not parsing.contains_yes("No.")


@pytest.mark.parametrize(
    ("reply", "value"),
    [("0", 0.0), ("10", 1.0), ("7.5", 0.75), ("7/10", 0.7), ("Much of it is there.\nScore: 3", 0.3), ("**8**", 0.8)],
)
def test_a_score_is_a_share_of_ten(reply: str, value: float) -> None:
    assert parsing.score(reply) == pytest.approx(value)


@pytest.mark.parametrize(
    "reply",
    ["", "11", "10.1", "-1", "seven", "7 or 8", "7/9", "NaN", "inf", "1e1", "Score: 7\nScore: 8", "Score:", "77/10"],
)
def test_a_score_outside_the_form_is_none(reply: str) -> None:
    with pytest.raises(Unreadable):
        parsing.score(reply)


@given(st.text(alphabet="yesno10. :\nVrdictScor/-<>think", max_size=40))
def test_no_text_gives_a_number_outside_its_range(reply: str) -> None:
    for read in (parsing.yes_no, parsing.reasoned, parsing.score, parsing.contains_yes):
        try:
            value = float(read(reply))
        except Unreadable:
            continue
        assert 0.0 <= value <= 1.0


def test_an_expected_score_weighs_the_choices() -> None:
    values = {"Yes": 1.0, "No": 0.0}
    logprobs = {"Yes": math.log(0.6), "No": math.log(0.2)}
    assert parsing.expected(logprobs, values, 0.5) == pytest.approx(0.75)
    assert parsing.expected({"Yes": math.log(0.9)}, values, 0.5) == 1.0
    with pytest.raises(Unreadable, match=r"only 0\.400"):
        parsing.expected({"Yes": math.log(0.3), "No": math.log(0.1)}, values, 0.5)
    with pytest.raises(Unreadable):
        parsing.expected({}, values, 0.5)
    with pytest.raises(Unreadable):
        parsing.expected({"Yes": math.nan}, values, 0.5)


def test_spellings_of_a_choice_are_one_choice() -> None:
    tokens = [("Yes", math.log(0.4)), (" yes", math.log(0.2)), ("ĠNO", math.log(0.3)), ("Maybe", math.log(0.1))]
    read = choice_logprobs(tokens, ("Yes", "No", "Unclear"))
    assert read == pytest.approx({"Yes": math.log(0.6), "No": math.log(0.3)})
    assert choice_logprobs([("Yes", -9999.0), ("No", math.inf)], ("Yes", "No")) == {}


GOOD = "<turn_1>yes</turn_1> the cat is there\n<turn_2>yes</turn_2> it is red\n<final>yes</final>"
BAD = "<turn_1>yes</turn_1> the cat is there\n<turn_2>no</turn_2> - it is\nblue\n<final>no</final>"


def test_a_walk_through_the_turns_is_read() -> None:
    assert tag_parsing.strict(GOOD, 2) is None
    assert tag_parsing.strict(BAD, 2) == (2, "it is blue")
    assert tag_parsing.strict(BAD, 3) == (2, "it is blue")
    assert tag_parsing.strict(f"<think>{GOOD}</think>\n```\n{BAD}\n```", 2) == (2, "it is blue")


@pytest.mark.parametrize(
    ("reply", "turns", "why"),
    [
        ("yes", 1, "no tags"),
        (GOOD, 3, "turn 3 was not looked at"),
        (GOOD, 1, "in order"),
        (GOOD.replace("<final>yes", "<final>no"), 2, "contradicts"),
        (BAD.replace("<final>no", "<final>yes"), 2, "contradicts"),
        (GOOD + "\n<final>yes</final>", 2, "exactly one final"),
        (GOOD.replace("<final>yes</final>", ""), 2, "exactly one final"),
        (GOOD + " or rather no", 2, "at the end"),
        (GOOD.replace("turn_2", "turn_3"), 2, "in order"),
        (GOOD.replace("turn_2", "turn_1"), 2, "in order"),
        (GOOD.replace("</turn_1>", "</turn_2>"), 2, "well formed"),
        (GOOD.replace("</turn_1>", "<turn_1>"), 2, "well formed"),
        (GOOD.replace("<turn_2>yes", "<turn_2>mostly"), 2, "neither yes nor no"),
        (GOOD.replace("<turn_1>yes", "<turn_1>no"), 2, "goes on after a no"),
        ("<final>yes</final>", 1, "in order"),
        ("<think>" + GOOD, 2, "no end"),
    ],
)
def test_a_walk_that_contradicts_itself_is_none(reply: str, turns: int, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        tag_parsing.strict(reply, turns)


def test_the_first_final_tag_is_what_the_published_script_takes() -> None:
    assert tag_parsing.first_final("<turn_1>no</turn_1> <final>yes</final> <final>no</final>")
    with pytest.raises(Unreadable):
        tag_parsing.first_final("<turn_1>yes</turn_1>")
