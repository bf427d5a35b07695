"""A chat completion: only what the verdict is read from can fail it."""

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micebench.judges.models.base import Ask, Failure, Reply
from micebench.judges.models.completions import read_completion
from micebench.judges.models.vlm_openai import OpenAIOptions, OpenAIVlm
from micebench.judges.protocols.protocol_judge import PhotoJudge
from micebench.store.journal import dump_line
from micebench.verdicts import Status
from tests.judges.fake_vlm_server import Vlm, said, sends
from tests.judges.photo_cards import judge_card, questions


def read(body: Any, votes: int = 1, choices: tuple[str, ...] = ()) -> Reply | Failure:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_completion(sent, Ask((), "?", votes=votes, choices=choices), latency_s=1.0)


def good(content: Any = "no", end: Any = "stop", **message: Any) -> dict[str, Any]:
    answer = said(content, end=end, **message)
    answer["choices"][0]["logprobs"] = {
        "content": [{"token": "No", "top_logprobs": [{"token": "No", "logprob": math.log(0.9)}]}]
    }
    return answer


ODD: list[Any] = [None, True, -3, 1.5, 10**30, "x", "\ud83d", [], [None], {}, {"a": [None]}, float("nan")]
SIDE = [("usage",), ("usage", "prompt_tokens"), ("usage", "completion_tokens"), ("id",), ("object",), ("new",)]
SIDE += [("choices", 0, name) for name in ("index", "logprobs", "new", "stop_reason", "token_ids")]
SIDE += [("choices", 0, "message", name) for name in ("role", "tool_calls", "reasoning", "reasoning_content", "new")]


@pytest.mark.parametrize("path", SIDE, ids=str)
def test_no_side_field_fails_a_good_answer(path: tuple[Any, ...]) -> None:
    for odd in ODD:
        answer = good()
        place: Any = answer
        for step in path[:-1]:
            place = place[step]
        for there in (True, False):
            place.pop(path[-1], None)
            if there:
                place[path[-1]] = odd
            reply = read(answer)
            assert isinstance(reply, Reply), odd
            assert reply.spoken == ("no",)
            stored = dump_line({"raw": list(reply.texts), "usage": reply.usage})
            json.loads(stored.decode("utf-8"))


def test_token_counts_are_kept_where_they_are_counts() -> None:
    for usage, kept in (
        ({"prompt_tokens": 12, "completion_tokens": None, "total_tokens": None}, {"prompt_tokens": 12}),
        ({"prompt_tokens": 12.0, "completion_tokens": 0}, {"prompt_tokens": 12, "completion_tokens": 0}),
        ({"prompt_tokens": -1, "completion_tokens": True}, None),
        ({"prompt_tokens": "12", "completion_tokens": 1e300}, None),
        (None, None),
    ):
        reply = read(good() | {"usage": usage})
        assert isinstance(reply, Reply)
        assert reply.usage == kept


@pytest.mark.parametrize("finish", ["stop", None, 3, {"a": 1}, "STOP", "end_turn", "something new"])
def test_an_end_that_says_nothing_fails_nothing(finish: Any) -> None:
    assert isinstance(read(good(end=finish)), Reply)


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + json.dumps(good()).encode(),
        json.dumps(good()).encode("utf-16"),
        json.dumps(good()).encode().replace(b'"assistant"', b'"\xf0\x9f"'),
        json.dumps(good() | {"id": 1}).encode().replace(b'"id": 1', b'"id": ' + b"9" * 5000),
        good([{"type": "text", "text": "no"}]),
        good([None, 3, {"type": "image_url"}, {"type": "thinking", "thinking": [{"text": "yes"}]}, {"text": "no"}]),
        good(["no"]),
        {**good(), "choices": [None, *good()["choices"], *good("yes")["choices"]]},
    ],
    ids=["BOM", "UTF-16", "half a character", "5000 digits", "parts", "odd parts", "strings", "more choices"],
)
def test_an_odd_body_is_read_all_the_same(body: Any) -> None:
    reply = read(body)
    assert isinstance(reply, Reply)
    assert reply.spoken == ("no",)


def test_half_an_emoji_is_replaced_before_it_is_kept(tmp_path: Path) -> None:
    walk = "<turn_1>no</turn_1> a \ud83d ball\n<final>no</final>"
    body = json.dumps(said(walk, reasoning={"summary": "\udc00"})).encode()
    with Vlm(lambda *_: sends(200, body)).running() as server:
        (verdict,) = PhotoJudge(judge_card(tmp_path, server.url)).judge(questions("GA")[:1])
    assert verdict.value == 0.0
    assert verdict.reason == "turn 1: a \ufffd ball"
    json.loads(dump_line({"raw": list(verdict.raw), "reason": verdict.reason}).decode("utf-8"))


def test_split_off_reasoning_never_hides_the_answer() -> None:
    """Whatever the reasoning quotes, the answer is the content."""
    for thought in ("<think> and <reflection>", "</think> yes", {"text": "yes <think>"}, ["yes"], "<|channel|>x"):
        reply = read(good("no", reasoning_content=thought))
        assert isinstance(reply, Reply)
        assert reply.spoken == ("no",)
        assert "yes" in reply.texts[0] or "<" in reply.texts[0], "it is kept"
    reply = read(good("", reasoning="yes"))
    assert isinstance(reply, Failure)
    assert reply.status == Status.UNPARSED


@pytest.mark.parametrize("end", ["length", "max_tokens", "MAX_TOKENS", "model_length", "max_output_tokens"])
def test_a_cut_reply_is_unparsed(end: str) -> None:
    reply = read(good(end=end))
    assert reply == Failure(Status.UNPARSED, "a reply was cut off at max_tokens", raw=("no",))
    native = good()
    native["choices"][0]["native_finish_reason"] = end
    assert isinstance(read(native), Failure)


REFUSALS: list[Any] = [
    *(good(None, end) for end in ("SAFETY", "PROHIBITED_CONTENT", "RECITATION", "BLOCKLIST", "SPII")),
    good("yes", "content_filter"), good(None, "content_filter: hate"), good("no", refusal="I will not"),
    good(None, refusal={"message": "I will not"}), good([{"type": "refusal", "refusal": "I will not"}]),
    {"choices": [{"index": 0, "finish_reason": "content_filter"}]},
    {"choices": [{"nsfw_detected": True, "message": {"content": "yes"}}]},
    {"choices": [{"content_filter_results": {"hate": {"filtered": True}}, "message": {"content": "yes"}}]},
    {"promptFeedback": {"blockReason": "SAFETY"}}, {"choices": [], "promptFeedback": {"blockReason": "SAFETY"}},
    {"error": {"code": "content_policy_violation", "message": "no"}}, [{"error": {"status": "PROHIBITED_CONTENT"}}],
    {"choices": [{"message": {"content": ""}, "error": {"code": "content_filter"}}]},
]  # fmt: skip


@pytest.mark.parametrize("body", REFUSALS, ids=range(len(REFUSALS)))
def test_a_refusal_is_refused_under_any_name(body: Any) -> None:
    for choices in ((), ("Yes", "No")):
        reply = read(body, choices=choices)
        assert isinstance(reply, Failure)
        assert reply.status == Status.REFUSED
        assert reply.reason
        assert "\n" not in reply.reason


@pytest.mark.parametrize(
    ("status", "error", "refused"),
    [
        (400, {"code": "content_policy_violation", "message": "no"}, True),
        (400, {"code": "400", "innererror": {"code": "ResponsibleAIPolicyViolation"}}, True),
        (400, {"message": "Your input was rejected by our safety system"}, True),
        (403, {"message": "Your input was flagged", "metadata": {"reasons": ["x"], "flagged_input": "y"}}, True),
        (404, {"code": "moderation_blocked"}, True),
        (400, {"code": "invalid_value", "type": "invalid_safety_identifier"}, False),
    ],
)
def test_an_http_error_that_declines_is_a_refusal(status: int, error: Any, refused: bool) -> None:
    with Vlm(lambda *_: sends(status, json.dumps({"error": error}).encode())).running() as server:
        vlm = OpenAIVlm(OpenAIOptions.model_validate({"model": "tiny", "url": server.url}), where="test")
        reply = vlm.ask(Ask((), "?"))
    assert isinstance(reply, Failure)
    assert (reply.status == Status.REFUSED) is refused


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"error": {"message": "rate limited", "code": 429}}, "no chat completion: rate limited"),
        ({"choices": [{"message": {"content": 3}}]}, "a choice whose content is no text"),
        ({"choices": [{"finish_reason": "stop"}]}, "a choice whose content is no text"),
        ({"choices": [{"message": {"content": "yes"}, "error": {"message": "boom"}}]}, "broken off: boom"),
        ({"choices": [{"message": {"content": "yes"}, "finish_reason": "error"}]}, "broken off: error"),
        ({"choices": {"0": 1}}, "no chat completion"),
        (b"[" * 100_000, "no chat completion"),
        (b"", "no chat completion"),
    ],
)
def test_what_is_no_answer_is_an_error(body: Any, reason: str) -> None:
    reply = read(body)
    assert isinstance(reply, Failure)
    assert reply.status == Status.ERROR
    assert reason in reply.reason


def test_odd_entries_among_the_log_probabilities_add_nothing() -> None:
    answer = good("No")
    entries = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    entries += [None, 3, {}, {"token": "No"}, {"token": None, "logprob": -0.1}, {"token": "Yes", "logprob": None}]
    entries += [
        {"token": "Yes", "logprob": odd} for odd in ("-0.1", True, 3.0, float("nan"), float("-inf"), -(10**400))
    ]
    reply = read(answer, choices=("Yes", "No"))
    assert isinstance(reply, Reply)
    assert reply.choice_logprobs == {"No": pytest.approx(math.log(0.9))}
    for broken in (None, [], [None], {}, [{"token": "No"}], [{"token": "No", "top_logprobs": [None]}]):
        answer["choices"][0]["logprobs"]["content"] = broken
        assert isinstance(read(answer, choices=("Yes", "No")), Failure)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=6)
    | st.sampled_from(["no", "stop", "SAFETY", "length", "<think>", "error"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for step, one in inner for place in places(one, (*path, step)))]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_damage_to_an_answer_breaks_the_reader_or_turns_it_round(data: st.DataObject) -> None:
    """One to three nodes of a good answer are replaced by anything: it is the answer still, or a failure."""
    answer: Any = good("no", reasoning_content="yes <think>")
    answer["choices"].append(copy.deepcopy(answer["choices"][0]) | {"index": 1})
    for path in data.draw(st.lists(st.sampled_from(places(answer)[1:]), min_size=1, max_size=3)):
        place = answer
        try:
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = data.draw(JSON)
        except (KeyError, IndexError, TypeError):
            continue
    for choices in ((), ("Yes", "No")):
        reply = read(answer, votes=data.draw(st.integers(1, 2)), choices=choices)
        said_ = reply.texts if isinstance(reply, Reply) else (*reply.raw, reply.reason)
        dump_line({"raw": list(said_)}).decode("utf-8")
        if isinstance(reply, Reply) and choices:
            assert all(chance <= 0 for chance in (reply.choice_logprobs or {}).values())


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_damaged_bytes_break_the_reader(data: st.DataObject) -> None:
    body = bytearray(json.dumps(good("no")).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=4))
        if not body:
            break
    reply = read(bytes(body))
    said_ = reply.texts if isinstance(reply, Reply) else (*reply.raw, reply.reason)
    dump_line({"raw": list(said_)}).decode("utf-8")
