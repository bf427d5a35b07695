"""Verdict lines in any markup are read; what they say is read as strictly as before."""

import pytest

from micebench.judges.vlm import parsing, tag_parsing
from micebench.judges.vlm.reasoning import Unreadable
from micebench.judges.vlm.score_objects import read_scores

LINES = [
    "Verdict: {}", "**Judgement**: {}", "**Judgment:** {}", "### Verdict: {}", "# Final verdict: **{}**",
    "- Verdict: {}",
    "* **Verdict**: {}", "1. Verdict: {}", "> Answer: {}", "Verdict：{}", "Verdict: “{}”", "“Verdict: {}”",
    "`Verdict: {}`",
    "Verdict: {}<|im_end|>", "Verdict: {}</s>", "Verdict: {}<|eot_id|>\n", "**Verdict:**\n{}",
    "### Verdict\n\n**{}**",
    "Verdict - {}", "Verdict — *{}*.", "Verdict: {}\n---", "```\nVerdict: {}\n```", "<b>Verdict:</b> {}",
    "__Verdict__: {}!",
    r"Verdict: \boxed{{{}}}", r"Answer: $\boxed{{\text{{{}}}}}$", "Verdict: [{}]", "Conclusion: ***{}***",
    "Verdict = {}",
]  # fmt: skip


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize(("word", "value"), [("yes", True), ("No", False)])
def test_a_verdict_is_read_in_any_markup(line: str, word: str, value: bool) -> None:
    assert parsing.yes_no(line.format(word)) is value
    assert parsing.reasoned(f"The ball is red.\n\n{line.format(word)}") is value


@pytest.mark.parametrize(
    "said",
    [
        "yes, but no", "not yes", "not yet", "yes/no", "yes or no", "no yes", "yes?", "maybe", "~~yes~~",
        "<del>yes</del>",
        "yes (no doubt)", "~~yes~~ no", "y*e*s", "yesno", "", "unclear", "n/a", "1", "yes Verdict: no",
    ],
)  # fmt: skip
@pytest.mark.parametrize("line", ["Verdict: {}", "**Judgement**: {}", "### Verdict: {}", "**Verdict:**\n{}"])
def test_words_that_are_not_one_answer_stay_unreadable(line: str, said: str) -> None:
    for reader in (parsing.yes_no, parsing.reasoned):
        with pytest.raises(Unreadable):
            reader("The ball is red.\n" + line.format(said))


@pytest.mark.parametrize(
    "reply",
    [
        "**Judgement**: no\n### Verdict: yes", "- Verdict: no\n- Verdict: yes", "Verdict:\nno\nVerdict:\nyes",
        "**Verdict: unclear**\nVerdict: yes", "> no\nVerdict: yes", "```no\nVerdict: yes\n```",
    ],
)  # fmt: skip
def test_markup_hides_no_contradiction(reply: str) -> None:
    for reader in (parsing.yes_no, parsing.reasoned):
        with pytest.raises(Unreadable, match="contradict"):
            reader(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "Score: 8", "- Score: 8", "**Score:** 8/10", "**Score**: **8**", "### Score: 8", "### Score\n8",
        "Score：８", "Score: 8.0",
        "Rating: 8 out of 10", r"Score: \boxed{8}", "> **Score:** 8", "Score: 8<|eot_id|>", "Good.\n- Score: 8",
        "(8)",
    ],
)  # fmt: skip
def test_a_score_is_read_in_any_markup(reply: str) -> None:
    assert parsing.score(reply) == 0.8


@pytest.mark.parametrize(
    "reply",
    [
        "- 8", "> 8", "Score: -8", "Score: - 8", "Score - 8", "Score – 8", "Score: > 8", "Score: ~8",
        "Score: 8/5", "Score: 80%",
        "Score: 7*1", "Score: 7**1", "**7**1", "Score: 7-8", "Score: 7 or 8", "Score: 8,5", "8²", "½",
        "Score: 11", "Score:\n- 8",
        "**Score:** 7\n- Score: 8", "Score: 8 (of 10, maybe 7)", "Score: 1_0", "Score: 8/100", "٨",
    ],
)  # fmt: skip
def test_markup_makes_no_number_of_what_is_none(reply: str) -> None:
    with pytest.raises(Unreadable):
        parsing.score(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "**<turn_1>yes</turn_1>** ok\n**<turn_2>no</turn_2>** it is blue\n**<final>no</final>**",
        "- <turn_1>**Yes**</turn_1> ok\n- <turn_2>No.</turn_2> it is blue\n- <final> no </final>",
        "```xml\n<Turn_1>yes</Turn_1> ok\n<TURN_2>no</TURN_2>: it is blue\n<FINAL>no</FINAL>\n```",
        r"<turn\_1>yes</turn\_1> ok" "\n" r"<turn\_2>no</turn\_2> it is blue" "\n<final>no</final><|im_end|>",
        "<instruction>x</instruction>\n< turn_1 >yes< /turn_1> ok\n<turn_2>no</turn_2> it is blue\n<final>no</final>",
    ],
)
def test_tags_are_read_in_any_markup(reply: str) -> None:
    assert tag_parsing.strict(reply, 2) == (2, "it is blue")
    assert tag_parsing.first_final(reply) is False


SCORES = {"prompt_following": 8.0, "consistency": 7.0}


@pytest.mark.parametrize(
    "reply",
    [
        '{"prompt_following": 8, "consistency": 7,}',
        '```json\n{"prompt_following": 8, "consistency": 7}\n```<|im_end|>',
        "{“prompt_following”: 8, “consistency”: 7}", r'{"prompt\_following": 8, "consistency": 7}',
        '{"reason": "one\ntwo", "prompt_following": 8, "consistency": 7}',
        '**{"prompt_following": 8, "consistency": 7}**',
        '{"reason": "a “b”, <EXIT></i>", "prompt_following": 8, "consistency": 7.0}',
        '<answer>{"prompt_following":8,"consistency":7}</answer>',
    ],
)  # fmt: skip
def test_an_object_is_read_in_any_markup(reply: str) -> None:
    assert read_scores(reply, tuple(SCORES), 10) == SCORES


@pytest.mark.parametrize(
    "reply",
    [
        '{"a": ' + "9" * 5000 + "}", '{"a": 1e999}', '{"a": -0.1}', '{"a": Infinity}', '{"a": "9"}', '{"a": [9]}',
        '{"b": {"a": 9}}',
        '{"a": ' * 5000, '{"a": 9} {"a": 8}', '{"a": 9, "a": 9}', '{"a": 9, "A": 8',
        "{" * 5000, '<plan>{"a": 9}</plan>', "a: 9",
    ],
)  # fmt: skip
def test_an_object_that_is_not_clear_has_no_score(reply: str) -> None:
    with pytest.raises(Unreadable):
        read_scores(reply, ("a",), 10)
