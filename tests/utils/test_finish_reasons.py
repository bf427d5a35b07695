"""One table of refusals and cuts, for judges and editors."""

from typing import Any

import pytest

from micebench.utils.finish_reasons import declined, ending, flagged


@pytest.mark.parametrize(
    "reason",
    [
        "content_filter", "CONTENT_FILTER", "content_filter: SAFETY", "content_filter:hate", "contentFiltered",
        "SAFETY", "FinishReason.SAFETY", "FINISH_REASON_SAFETY", "PROHIBITED_CONTENT", "RECITATION", "BLOCKLIST",
        "SPII", "IMAGE_SAFETY", "refusal", "sensitive", "guardrail_intervened", "nsfw_detected", "Content Moderated",
        "data_inspection_failed", "OutputImageSensitiveContentDetected", "content_policy_violation",
        "ResponsibleAIPolicyViolation",
    ],
)  # fmt: skip
def test_a_refusal_is_known_by_any_of_its_names(reason: str) -> None:
    assert ending(reason) == "refused"


@pytest.mark.parametrize(
    "reason",
    [
        "length", "max_tokens", "MAX_TOKENS", "maxTokens", "model_length", "max_output_tokens", "token_limit",
        "tokens_limit", "max_completion_tokens", "max_length", "context_length_exceeded", "truncated", "incomplete",
        "model_context_window_exceeded", "FinishReason.MAX_TOKENS",
    ],
)  # fmt: skip
def test_a_cut_is_known_by_any_of_its_names(reason: str) -> None:
    assert ending(reason) == "cut"


@pytest.mark.parametrize("reason", ["error", "abort", "OTHER", "cancelled", "insufficient_system_resource"])
def test_a_reply_that_the_server_broke_off_is_known(reason: str) -> None:
    assert ending(reason) == "broken"


@pytest.mark.parametrize(
    "reason",
    ["stop", "STOP", "end_turn", "eos", "stop_sequence", "completed", "", None, 3, {"a": 1}, "something new"],
)
def test_any_other_end_is_an_end(reason: object) -> None:
    assert ending(reason) == "complete"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"error": {"code": "content_policy_violation", "message": "No."}}, "content_policy_violation: No."),
        ({"error": {"code": "400", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, "ResponsibleAIPolicy"),
        ({"error": {"type": "moderation_blocked", "code": 400, "message": "x"}}, "moderation_blocked: x"),
        ([{"error": {"code": 400, "status": "PROHIBITED_CONTENT"}}], "PROHIBITED_CONTENT"),
        ({"error": {"details": [{"reason": "SAFETY"}], "message": "m"}}, "SAFETY: m"),
        ({"detail": [{"type": "content_policy_violation", "msg": "m"}]}, "content_policy_violation"),
        ({"error": {"code": 403, "message": "Flagged.", "metadata": {"flagged_input": "a"}}}, "Flagged."),
        ({"error": "content_filter: hate"}, "content_filter: hate"),
        ({"code": "nsfw_detected", "message": "m"}, "nsfw_detected: m"),
        ({"promptFeedback": {"blockReason": "SAFETY"}}, "the prompt was blocked: SAFETY"),
        ({"error": {"message": "Your request was rejected by our safety system."}}, "Your request was rejected"),
    ],
)
def test_an_error_that_declines_is_told_from_others(answer: Any, reason: str) -> None:
    assert declined(answer).startswith(reason)


@pytest.mark.parametrize(
    "answer",
    [
        None, 3, [], {}, {"error": None}, {"error": {"code": 400, "message": "Unsupported parameter: max_tokens"}},
        {"error": {"code": "invalid_safety_identifier", "param": "safety",
        "message": "safety_identifier is too long"}},
        {"error": {"code": "context_length_exceeded"}}, {"error": {"code": "content_filter_error"}},
        {"error": {"reason": "wrong type of safety settings"}}, {"detail": [{"type": "missing", "loc": ["body"]}]},
    ],
)  # fmt: skip
def test_an_error_of_another_kind_is_no_refusal(answer: Any) -> None:
    assert declined(answer) == ""


def test_a_result_may_be_marked_as_filtered() -> None:
    assert flagged({"nsfw_detected": True})
    assert flagged({"has_nsfw_concepts": [False, True]})
    assert flagged({"content_filter_results": {"hate": {"filtered": True}}})
    for item in (
        {"nsfw_detected": False},
        {"content_filter_results": {"hate": {"filtered": False}, "x": 1}},
        None,
        1,
    ):
        assert not flagged(item)
