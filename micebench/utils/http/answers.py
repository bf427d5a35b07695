"""What becomes of a call: an answer, or an outage."""

import json
from dataclasses import dataclass, field
from typing import Any, cast

from micebench.errors import one_line

_SHOWN = 300
_BAD_KEY = (b"API_KEY_INVALID", b"invalid_api_key")  # some servers send them with a 400
_NO_MODEL = b"model_not_found"
OUT_OF_CREDIT = b"insufficient_quota"
"""Sent with a 429 by OpenAI and others; waiting does not help."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The server's last word: a success, or an error that asking again would not change.

    Keys are replaced by ``***``; of a body that is not JSON, in its first 16 KiB.

    Attributes:
        status: HTTP status, or the one that fits the error object inside an HTTP success. One of those that pass by
            themselves (429, 5xx ...) only if the account is empty.
        body: as received; of an error inside a success, the error alone: ``{"error": {...}}``.
        attempts: calls made.
        latency_s: seconds from the first attempt to the end of the answer, waiting included.
        value: the body as JSON; None if it is not.
        location: where a redirect leads, without user, password and query; "" if it is none.
        wrapped: the error came inside HTTP 200.
    """

    status: int
    body: bytes = field(repr=False)
    attempts: int
    latency_s: float
    value: Any = field(default=None, repr=False)
    location: str = ""
    wrapped: bool = False

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def object(self) -> dict[str, Any]:
        """The body as a JSON object; empty if it is none."""
        return cast(dict[str, Any], self.value) if isinstance(self.value, dict) else {}

    @property
    def excerpt(self) -> str:
        """The beginning of the body in one printable line, for messages."""
        return excerpt(as_text(self.body))

    @property
    def title(self) -> str:
        """``HTTP 404``, or ``HTTP 200 with error 404``."""
        return f"HTTP 200 with error {self.status}" if self.wrapped else f"HTTP {self.status}"

    @property
    def summary(self) -> str:
        """Status and excerpt in one line."""
        return f"{self.title}: {self.excerpt}"


@dataclass(frozen=True, slots=True)
class Outage:
    """No usable answer within attempts and deadline.

    Attributes:
        reason: one line: the last trouble, and how often it was tried.
        status: HTTP status of the last attempt; None if there was no answer.
        local: the trouble lies with this machine's proxy or certificates, not with the server.
    """

    reason: str
    status: int | None
    attempts: int
    latency_s: float
    local: bool = False


def turned_away(answer: Answer, *, key: str, model: str, url: str = "the base URL") -> str:
    """Why the server will answer no call at all, in one line with its remedy; "" if the error is the call's own.

    An account without credit is such a reason, too, and so is a redirect.

    Args:
        key: what to do about an API key that is not accepted (401, 403).
        model: what to do about a model, or a path, that is not there (404).
        url: where the base URL is set.
    """
    if answer.status == 402 or OUT_OF_CREDIT in answer.body:
        remedy = "the account has no credit left; top it up, or raise its limit"
    elif answer.status in (401, 403) or any(word in answer.body for word in _BAD_KEY):
        remedy = key
    elif answer.status == 404 or _NO_MODEL in answer.body:
        remedy = model
    elif answer.location:
        remedy = f"it redirects to {answer.location}, which is not followed; set {url} to that address"
    else:
        return ""
    return f"{answer.title}: {answer.excerpt or 'no reason given'}; {remedy}; the same command then goes on"


def as_text(body: bytes) -> str:
    """Text in whichever Unicode encoding; what cannot be decoded is replaced."""
    return body.decode(json.detect_encoding(body), "replace")


def excerpt(text: str) -> str:
    """The beginning of a server's words in one printable line."""
    return one_line(text[: 8 * _SHOWN], _SHOWN)
