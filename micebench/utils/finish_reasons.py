"""How servers of language and image models say that they declined, or that a reply was cut: one table for all.

Judges and editors share it, so that the same words of a server mean the same thing on both sides.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast

from micebench.errors import one_line

Ending = Literal["complete", "cut", "refused", "broken"]

_REFUSED = frozenset(
    """
    safety image_safety prohibited_content image_prohibited_content recitation image_recitation blocklist spii
    model_armor moderation moderated moderation_blocked request_moderated input_moderated output_moderated
    content_moderated content_moderation content_blocked content_safety content_violation unsafe unsafe_content
    responsible_ai_policy_violation policy_violation usage_policy_violation safety_violation safety_violations
    safety_blocked blocked_by_safety safety_filter safety_system harmful_content inappropriate_content
    refusal refused sensitive sensitive_content sensitive_words_detected data_inspection_failed
    guardrail guardrails guardrail_intervened jailbreak nsfw nsfw_detected nsfw_content nsfw_content_detected
    """.replace("_", "").split()
)
_REFUSED_PARTS = re.compile(
    "contentfilter(?!error)|contentpolicy|sensitivecontent|prohibitedcontent|moderationblocked|nsfw\\w*detected"
)
_CUT_PARTS = re.compile("length|max\\w*token|tokens?limit|truncat|contextwindow|incomplete|outputlimit")
_BROKEN = frozenset(
    """
    error abort aborted cancel cancelled canceled timeout failed failure interrupted other network_error engine_error
    insufficient_system_resource malformed_function_call malformed_response unexpected_tool_call language
    """.replace("_", "").split()
)
_PHRASES = ("safety system", "content policy", "content management policy", "input was flagged", "nsfw content")
"""In an error's message, where the server gives no code."""
_CODES = ("code", "type", "status", "reason", "name", "error_code")
_NESTED = ("error", "innererror", "inner_error", "details", "detail", "metadata", "errors")
_MESSAGES = ("message", "detail", "errors", "error")
_FLAGS = ("nsfw_detected", "nsfw_content_detected", "has_nsfw_concepts", "is_nsfw", "nsfw", "content_filtered")
_DEPTH = 4


def ending(reason: object) -> Ending:
    """What a finish reason says of a reply: whole, cut at a limit, declined, or broken off by a fault of the server.

    Spelling does not matter (``MAX_TOKENS``, ``FinishReason.MAX_TOKENS``, ``maxTokens``). An unknown or missing
    reason says nothing: the reply is complete.
    """
    for part in _parts(reason):
        if part in _REFUSED or _REFUSED_PARTS.search(part):
            return "refused"
        if part in _BROKEN:
            return "broken"
        if _CUT_PARTS.search(part):
            return "cut"
    return "complete"


def flagged(item: object) -> bool:
    """Whether one result (a choice, an image) is marked as filtered: ``nsfw_detected: true`` and its likes."""
    if not isinstance(item, Mapping):
        return False
    fields = cast(Mapping[str, Any], item)
    marks = [fields.get(name) for name in _FLAGS]
    filters = fields.get("content_filter_results")  # Azure: category -> {"filtered": true}
    if isinstance(filters, Mapping):
        found = cast(Mapping[str, Any], filters).values()
        marks += [cast(Mapping[str, Any], one).get("filtered") for one in found if isinstance(one, Mapping)]
    return any(mark is True or (isinstance(mark, list) and True in mark) for mark in marks)


def declined(said: object) -> str:
    """Why a server's JSON answer says that its content rules forbid the request; "" if it does not say so.

    Read are the codes of an error, wherever the server puts them, a blocked prompt, and, without a known code, the
    wording of the error's message. A one-line text of at most 300 characters.
    """
    for answer in cast(list[object], said) if isinstance(said, list) else [said]:
        if isinstance(answer, Mapping) and (reason := _declined(cast(Mapping[str, Any], answer))):
            return one_line(reason, 300)
    return ""


def _declined(said: Mapping[str, Any]) -> str:
    for feedback, name in (("promptFeedback", "blockReason"), ("prompt_feedback", "block_reason")):
        block = said.get(feedback)
        blocked = cast(Mapping[str, Any], block).get(name) if isinstance(block, Mapping) else None
        if isinstance(blocked, str) and blocked:
            return f"the prompt was blocked: {blocked}"
    fault = said.get("error")
    message = _message(cast(Mapping[str, Any], fault) if isinstance(fault, Mapping) else said)
    for code in (fault, *_codes(said, _DEPTH)):
        if isinstance(code, str) and ending(code) == "refused":
            return f"{code}: {message}" if message and message != code else code
    metadata = cast(Mapping[str, Any], fault).get("metadata") if isinstance(fault, Mapping) else None
    if isinstance(metadata, Mapping) and "flagged_input" in metadata:  # OpenRouter
        return message or "the input was flagged"
    return message if any(phrase in message.lower() for phrase in _PHRASES) else ""


def _codes(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, list) and depth:
        for one in cast(list[object], value)[:8]:
            yield from _codes(one, depth - 1)
    if not isinstance(value, Mapping):
        return
    fields = cast(Mapping[str, Any], value)
    for name in _CODES:
        if isinstance(code := fields.get(name), str):
            yield code
    if depth:
        for name in _NESTED:
            yield from _codes(fields.get(name), depth - 1)


def _message(fields: Mapping[str, Any]) -> str:
    for name in _MESSAGES:
        if isinstance(text := fields.get(name), str) and text:
            return text
    return ""


def _parts(reason: object) -> Iterator[str]:
    """The words of a reason in lower case letters and digits: ``content_filter: SAFETY`` has two."""
    if isinstance(reason, str):
        for part in re.split(r"[:./]", reason[:200]):
            plain = "".join(letter for letter in part.casefold() if letter.isalnum())
            if plain := plain.removeprefix("finishreason"):
                yield plain
