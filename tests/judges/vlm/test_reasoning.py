"""Reasoning is never the answer, whatever stands around it; markup that nobody knows has no value."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from micebench.judges.models.base import Ask, Failure, Reply
from micebench.judges.models.vlm_openai import OpenAIOptions, OpenAIVlm
from micebench.judges.protocols.protocol_judge import PhotoJudge
from micebench.judges.vlm import parsing, tag_parsing
from micebench.judges.vlm.reasoning import Unreadable, after_reasoning, left_open
from micebench.judges.vlm.score_objects import read_scores
from micebench.verdicts import Status
from tests.judges.fake_vlm_server import Vlm, completes, said, sends
from tests.judges.photo_cards import judge_card, questions

FAMILIES = [
    "<think>{}</think>{}", "<Think>\n{}\n</THINK>\n{}", "<thinking>{}</thinking>{}", "<thought>{}</thought>\n{}",
    "< think >{}</ think >{}", '<think type="deep">{}</think>{}', "<reasoning>{}</reasoning>{}",
    "<reason>{}</reason>{}", "<analysis>{}</analysis>{}", "<reflection>{}</reflection>{}",
    "<scratchpad>{}</scratchpad>{}", "<seed:think>{}</seed:think>{}", "<longcat_think>{}</longcat_think>{}",
    "<inner_monologue>{}</inner_monologue>{}", "[THINK]{}[/THINK]{}", "[think] {} [/think] {}",
    "[BEGIN REASONING]{}[END REASONING]{}", "{{think}}{}{{/think}}{}", "◁think▷{}◁/think▷{}",
    "＜think＞{}＜/think＞{}", "<思考>{}</思考>{}", "&lt;think&gt;{}&lt;/think&gt;{}", r"\<think\>{}\</think\>{}",
    "<|begin_of_thought|>{}<|end_of_thought|><|begin_of_solution|>{}<|end_of_solution|>",
    "<|start_of_thought|>{}<|end_of_thought|>{}", "<|START_THINKING|>{}<|END_THINKING|>{}",
    "<|begin▁of▁thinking|>{}<｜end▁of▁thinking｜>{}",
    "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>{}<|return|>",
    "analysis{}assistantfinal{}", "<|channel>thought\n{}<channel|>{}", "```thinking\n{}\n```\n{}",
    "Here is my thought process: {}\nHere is my response: {}", "<details><summary>Thoughts</summary>{}</details>{}",
    "{}</think>{}", "{}[/THINK]{}", "<think>a <think>b</think> {}</think>{}",
    "<think>{} <reflection>never closed</think>{}", "<think></think><thinking>{}</thinking><answer>{}</answer>",
]  # fmt: skip
NO_WALK = "<turn_1>no</turn_1> no ball\n<final>no</final>"
THOUGHT = (
    "yes, a <turn_1>yes</turn_1> and <final>yes</final>?\nVerdict: yes\n"
    '{"prompt_following": 9, "consistency": 9}\n8\nyes'
)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_answer_is_what_follows_the_reasoning(family: str) -> None:
    assert parsing.contains_yes(family.format(THOUGHT, "No.")) is False
    assert parsing.yes_no(family.format(THOUGHT, "No.")) is False
    assert parsing.reasoned(family.format(THOUGHT, "The ball is missing.\nVerdict: no")) is False
    assert parsing.score(family.format(THOUGHT, "Score: 2")) == 0.2
    assert parsing.written(family.format(THOUGHT, "STOP")) == "STOP"
    assert tag_parsing.first_final(family.format(THOUGHT, NO_WALK)) is False
    assert tag_parsing.strict(family.format(THOUGHT, NO_WALK), 1) == (1, "no ball")
    scores = read_scores(family.format(THOUGHT, '{"prompt_following": 1, "consistency": 2}'), ("consistency",), 10)
    assert scores == {"consistency": 2}


MICEBENCH_HASH = "b0e653a6cfe641465fb99d4af57b3a018101c1015e0600fa01cd0ef1e15d9999"
UNCLEAR = [
    "<think>{}", "<thinking>{}", "[THINK]{}", "<think {}", "◁think▷{}", "<|begin_of_thought|>{}", "```reasoning\n{}",
    "<think>a<think>b</think>{}", "<think>a</think><reflection>{}", "<|channel|>analysis<|message|>{}<|end|>",
    "analysisWe have {}", "{}<think>so be it</think>", "<ponder>{}</ponder>", "<ponder>{}", "x <ponder> y {}",
    "{}\n</ponder>", "[PLAN]{}[/PLAN]", "[PLAN] {}", "{{ponder}}{}{{/ponder}}", "<|ponder|>{}", "<!-- {} -->{}",
    "<計画>{}</計画>", "<answer><ponder>{}</ponder></answer>", "{}<|im_end|>\n<|im_start|>user\nwhat?",
]  # fmt: skip


@pytest.mark.parametrize("markup", UNCLEAR)
def test_reasoning_without_end_and_unknown_markup_have_no_value(markup: str) -> None:
    readers: dict[str, Callable[[str], Any]] = {
        "yes": parsing.contains_yes,
        "no": parsing.yes_no,
        "It is red.\nVerdict: yes": parsing.reasoned,
        "8": parsing.score,
        "<final>yes</final>": tag_parsing.first_final,
        NO_WALK: lambda reply: tag_parsing.strict(reply, 1),
        '{"consistency": 9}': lambda reply: read_scores(reply, ("consistency",), 10),
    }
    for answer, reader in readers.items():
        with pytest.raises(Unreadable):
            reader(markup.format(answer, answer))
    if markup != "x <ponder> y {}":  # words in brackets may be what stands in an image
        with pytest.raises(Unreadable):
            parsing.written(markup.format("STOP", "STOP"))


def test_nothing_after_the_reasoning_is_no_no() -> None:
    """The published test looks for a yes; an empty answer has none."""
    for reader in (parsing.contains_yes, parsing.written):
        with pytest.raises(Unreadable, match="empty"):
            reader("<think>yes</think>")


def test_what_an_image_says_may_stand_in_brackets() -> None:
    assert parsing.written("It says <EXIT> and [SALE]") == "It says <EXIT> and [SALE]"
    assert parsing.written("[EXIT]") == "[EXIT]"
    assert parsing.written("I <3 NY, 5 < 7") == "I <3 NY, 5 < 7"


def test_formatting_and_frames_do_not_matter() -> None:
    replies = [
        "<b>no</b>", "no<|im_end|>", "no</s>", "No.<|eot_id|>\n", "<s>no", "<answer>no</answer>", "no<eos>",
        "<|im_start|>assistant\nno", "<|begin_of_box|>no<|end_of_box|>", "<p>no<br/></p>", "no<｜end▁of▁sentence｜>",
        "\ufeffno",
    ]  # fmt: skip
    for reply in replies:
        assert parsing.yes_no(reply) is False
        assert parsing.contains_yes(reply) is False
    assert parsing.contains_yes('<span class="yes">no</span>') is False


def test_a_hostile_reply_costs_little_and_has_no_value() -> None:
    start = time.monotonic()
    pieces = ["<", "<think>", "</think>", "<a ", " ", "[", "{", '{"a":', "*", "<|im_end|>", "<turn_1>", "*a", "<b>"]
    for piece in pieces:
        for reader in (lambda text: read_scores(text, ("a",), 10), lambda text: tag_parsing.strict(text, 2)):
            with pytest.raises(Unreadable):
                reader(piece * (12_000 // len(piece)) + "8")
    for length in (40_000, 1_100_000):
        with pytest.raises(Unreadable, match="characters"):
            parsing.contains_yes("yes" * length)
    assert time.monotonic() - start < 60


def test_a_prompt_that_opens_the_reasoning_is_noticed() -> None:
    for end in ("<think>", "<think>\n", "assistant\n[THINK] ", "◁think▷"):
        assert left_open("<|im_start|>assistant\n" + end)
    for end in ("", "<think>\n\n</think>\n\n", "<think> and then", "<|im_start|>assistant\n"):
        assert not left_open("The form is <final>." + end)


@pytest.mark.parametrize("parse", ["strict", "first_match"])
def test_a_clear_no_after_reasoning_is_no(tmp_path: Path, parse: str) -> None:
    reply = f"[THINK]The form is <final>yes</final> or <final>no</final>. I see no ball.[/THINK]{NO_WALK}"
    with Vlm(lambda *_: completes(reply)).running() as server:
        judge = PhotoJudge(judge_card(tmp_path, server.url, awareness={"parse": parse}))
        (verdict,) = judge.judge(questions("GA")[:1])
    assert (verdict.status, verdict.value) == (Status.OK, 0.0)
    assert verdict.raw == (reply,), "what was said is kept whole"


def test_a_card_names_further_delimiters(tmp_path: Path) -> None:
    reply = f"((musing)) <final>yes</final> ((/Musing)){NO_WALK}"
    with Vlm(lambda *_: completes(reply)).running() as server:
        for options, value in (({}, None), ({"reasoning_tags": [["((musing))", "((/musing))"]]}, 0.0)):
            card = judge_card(tmp_path / str(value), server.url, vlm=options)
            (verdict,) = PhotoJudge(card).judge(questions("GA")[:1])
            assert verdict.value == value
            assert verdict.raw == (reply,)


@pytest.mark.parametrize("pair", [["", "x"], ["a", "A"], ["a"], "ab"])
def test_delimiters_that_cannot_work_are_refused(pair: Any) -> None:
    with pytest.raises(ValueError, match="reasoning_tags"):
        OpenAIOptions.model_validate({"model": "m", "reasoning_tags": [pair]})


def test_cards_that_name_no_delimiters_keep_their_hash(tmp_path: Path) -> None:
    from micebench.cards import JudgeCard, card_hash, load_card

    assert card_hash(load_card(JudgeCard, "micebench")) == MICEBENCH_HASH


def chosen(tokens: list[tuple[str, dict[str, float]]], content: str, **message: Any) -> Reply | Failure:
    answer = said(content, **message)
    positions = [
        {
            "token": token,
            "top_logprobs": [{"token": name, "logprob": math.log(chance)} for name, chance in top.items()],
        }
        for token, top in tokens
    ]
    answer["choices"][0]["logprobs"] = {"content": positions}
    with Vlm(lambda *_: sends(200, json.dumps(answer).encode())).running() as server:
        vlm = OpenAIVlm(OpenAIOptions.model_validate({"model": "tiny", "url": server.url}), where="test")
        return vlm.ask(Ask((), "?", choices=("Yes", "No")))


def test_choices_are_read_where_the_answer_begins() -> None:
    yes, no = {"Yes": 0.9, "No": 0.1}, {"Yes": 0.2, "No": 0.8}
    thinking = [
        ("<think>", {"<think>": 1.0}),
        ("Yes", yes),
        ("</think>", {"x": 1.0}),
        ("\n\n", {"x": 1.0}),
        ("No", no),
    ]
    want = {"Yes": pytest.approx(math.log(0.2)), "No": pytest.approx(math.log(0.8))}
    for reply in (
        chosen([("No", no)], "No"),
        chosen([("\n", {"x": 1.0}), ("No", no)], "No"),
        chosen(thinking, "<think>Yes</think>\n\nNo"),
        chosen(thinking, "No", reasoning_content="Yes"),
        chosen(thinking[1:], "No", reasoning="Yes"),
        chosen([("No", no), (".", yes)], "No.", reasoning="Yes"),
        chosen(thinking, "No"),  # a server that keeps the reasoning to itself
    ):
        assert isinstance(reply, Reply)
        assert reply.choice_logprobs == want


def test_choices_are_not_read_in_the_reasoning() -> None:
    yes = {"Yes": 0.9, "No": 0.1}
    for reply in (
        chosen([("Yes", yes)], "", reasoning_content="Yes"),
        chosen([("<think>", {"Yes": 1.0}), ("Yes", yes)], "<think>Yes"),
        chosen([("Yes", yes), (",", yes)], "No"),
    ):
        assert isinstance(reply, Failure)
        assert reply.status == Status.UNPARSED


def test_only_the_end_of_the_last_reasoning_counts() -> None:
    assert after_reasoning("a</think>b</think>c") == "c"
    assert after_reasoning("<think>a</think>b<think>c</think>d") == "d"
