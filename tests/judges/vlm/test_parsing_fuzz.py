"""Whatever a model writes: no traceback, and no value from its reasoning or from damage."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micebench.judges.vlm import parsing, tag_parsing
from micebench.judges.vlm.reasoning import Unreadable
from micebench.judges.vlm.score_objects import read_scores
from tests.judges.vlm.test_reasoning import FAMILIES, THOUGHT

READERS: dict[str, tuple[Callable[[str], Any], str, Any]] = {
    "contains": (parsing.contains_yes, "No.", False),
    "yes_no": (parsing.yes_no, "Verdict: no", False),
    "reasoned": (parsing.reasoned, "It is gone.\nVerdict: no", False),
    "score": (parsing.score, "Score: 2", 0.2),
    "first_match": (tag_parsing.first_final, "<turn_1>no</turn_1> gone\n<final>no</final>", False),
    "strict": (
        lambda reply: tag_parsing.strict(reply, 1),
        "<turn_1>no</turn_1> gone\n<final>no</final>",
        (1, "gone"),
    ),
    "object": (lambda reply: read_scores(reply, ("consistency",), 10), '{"consistency": 2}', {"consistency": 2.0}),
}
WORDS = st.sampled_from(
    ["yes", "no", "Verdict: yes", "8", "Score: 9", "<final>yes</final>", "<turn_1>yes</turn_1>", '{"consistency": 9}',
     "{", "}", "<", ">", "\n", " ", "**", "```", "[", "]", "/", "|", "think", "<think>", "</think>", "[THINK]",
     "final", "<|im_end|>", "\\", "&lt;", "\u200b", "\ufeff", "\ud83d", "٣", "＜", '"', ":", "-", "1e999", "\x00"]
)  # fmt: skip
SOUP = st.lists(WORDS | st.text(max_size=3), max_size=12).map("".join)
NAMES = st.from_regex(r"\A[a-z]{3,8}(_[a-z]{2,5})?\Z").filter(
    lambda name: name not in ("div", "span", "code", "center", "font", "mark", "small", "strong", "blockquote", "big",
                              "sub", "sup", "pre", "kbd", "ins", "box", "final", "turn", "instruction", "reference",
                              "answer", "output", "response", "solution", "eos", "pad", "bos", "end")
)  # fmt: skip


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=100, deadline=None)
@given(reply=SOUP)
def test_any_text_is_read_or_unreadable(name: str, reply: str) -> None:
    try:
        value = READERS[name][0](reply)
    except Unreadable:
        return
    if name in ("contains", "yes_no", "reasoned", "score", "first_match"):
        assert 0.0 <= float(value) <= 1.0
    elif name == "object":
        assert all(0 <= number <= 10 for number in value.values())
    json.dumps(value)


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=60, deadline=None)
@given(family=st.sampled_from(FAMILIES), before=SOUP, after=SOUP)
def test_reasoning_never_turns_the_answer_round(name: str, family: str, before: str, after: str) -> None:
    reader, answer, value = READERS[name]
    with suppress(Unreadable):
        assert reader(family.format(before + THOUGHT + after, answer)) == value


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=60, deadline=None)
@given(
    tag=NAMES,
    shape=st.sampled_from(
        [
            "<{0}>{1}</{0}>{2}",
            "<{0}>{1}\n{2}",
            "<|{0}|>{1}<|end_{0}|>{2}",
            "[{0}]{1}[/{0}]{2}",
            "<{0} kind='a'>{1}</{0}>{2}",
            "{1}</{0}>{2}",
            "<|start_of_{0}|>{1}{2}",
        ]
    ),
)
def test_markup_of_any_name_never_turns_the_answer_round(name: str, tag: str, shape: str) -> None:
    reader, answer, value = READERS[name]
    with suppress(Unreadable):
        assert reader(shape.format(tag, THOUGHT, answer)) == value
