"""Calls to HTTP endpoints that may fail: retried while that can help, and always with an outcome, never an exception.

One `Endpoint` is shared by all threads that talk to a server. When the server asks one of them to wait, all wait.
"""

import email.utils
import json
import os
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, cast

import httpx2
from pydantic import BaseModel, ConfigDict, Field

from micebench.errors import CardError, one_line

_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
_BAD_KEY = (b"API_KEY_INVALID", b"invalid_api_key")  # said with a 400 by some, Gemini for one
_NO_MODEL = b"model_not_found"
_OUT_OF_CREDIT = b"insufficient_quota"  # said with a 429 by OpenAI and its likes; no waiting mends it
_CONNECT_S = 15.0
_SHOWN = 300
_SECRET = 8  # characters; shorter is a dummy, and too likely to occur in an image's base64
_KINDS = {
    httpx2.ConnectError: "no connection",
    httpx2.ReadError: "the connection was cut",
    httpx2.WriteError: "the connection was cut",
    httpx2.RemoteProtocolError: "the connection was cut",
    httpx2.ProxyError: "the proxy refused",
    httpx2.DecodingError: "the answer's encoding is broken",
}

Files = Sequence[tuple[str, tuple[str, bytes, str]]]
"""Multipart files: (field name, (file name, content, media type)); a field may come several times."""


class Patience(BaseModel):
    """How long a call is tried; may be part of a card's options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempts: int = Field(default=6, ge=1, description="calls at most, the first one included")
    timeout_s: float = Field(default=180.0, gt=0, description="one attempt, from sending to the last byte")
    deadline_s: float = Field(default=600.0, gt=0, description="all attempts and the waiting between them")
    first_wait_s: float = Field(default=1.0, ge=0, description="doubles with every attempt; jittered")
    longest_wait_s: float = Field(default=60.0, ge=0, description="of our own waits; Retry-After may ask for more")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server finally said: a success, or a no that asking again would not change.

    Attributes:
        status: HTTP status; one of those that pass by themselves (429, 5xx ...) only if the account is empty.
        attempts: calls made.
        latency_s: seconds from the first attempt to the end of the answer, waiting included.
    """

    status: int
    body: bytes = field(repr=False)
    attempts: int
    latency_s: float

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def object(self) -> dict[str, Any]:
        """The body as a JSON object; empty if it is none."""
        try:
            value: Any = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return cast(dict[str, Any], value) if isinstance(value, dict) else {}

    @property
    def excerpt(self) -> str:
        """The beginning of the body in one line, for messages."""
        return _excerpt(self.body)


@dataclass(frozen=True, slots=True)
class Outage:
    """No usable answer within attempts and deadline.

    Attributes:
        reason: one line: the last trouble, and how often it was tried.
        status: HTTP status of the last attempt; None if there was no answer.
    """

    reason: str
    status: int | None
    attempts: int
    latency_s: float


@dataclass(frozen=True, slots=True)
class _Trouble:
    """Why an attempt failed; `asked_s`: how long the server wants us to wait; `passing`: may pass by itself."""

    what: str
    status: int | None = None
    asked_s: float | None = None
    passing: bool = True


class Endpoint:
    """A server, and how patient to be with it. May be used by many threads.

    Redirects are not followed: an answer may send neither a key nor us elsewhere. Proxies are those of the
    environment.

    Args:
        base_url: e.g. ``http://localhost:8000/v1``.
        headers: sent with every call.
        secret: the key among the headers, if any; blotted out of all that the server says.
        connections: calls that may be under way at once.
        max_bytes: a larger answer is an outage; no more of it is read.
        json_only: a success that is not JSON is trouble that may pass, not an answer.
        where: names the card in errors.

    Raises:
        CardError: `base_url` is no http(s) URL, or a header cannot be sent.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str] | None = None,
        *,
        patience: Patience | None = None,
        secret: str = "",
        connections: int = 8,
        max_bytes: int = 64 << 20,
        json_only: bool = False,
        where: str = "the endpoint",
    ) -> None:
        self._origin = _origin(base_url)
        if self._origin is None:
            raise CardError(f"{where}: {base_url!r} is not an http(s) URL; give one like http://localhost:8000/v1")
        for name, value in (headers or {}).items():
            if not (value.isascii() and value.isprintable()):
                raise CardError(f"{where}: the value for header {name!r} holds characters that cannot be sent")
        self.base_url = base_url.rstrip("/")
        self.patience = patience or Patience()
        self._secret = secret.encode() if len(secret) >= _SECRET else b""
        self._max_bytes, self._json_only = max_bytes, json_only
        limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._client = httpx2.Client(headers=dict(headers or {}), limits=limits, follow_redirects=False)
        self._quiet_until = 0.0  # time.monotonic(): nobody calls before
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The base URL without user, password and query, for messages."""
        url = httpx2.URL(self.base_url)
        return f"{url.scheme}://{url.netloc.decode()}{url.path}"

    def post(
        self,
        path: str,
        *,
        json: Any = None,
        data: Mapping[str, Any] | None = None,
        files: Files | None = None,
    ) -> Answer | Outage:
        """POST JSON (bytes: already encoded), or a form with files, to `path` below the base URL."""
        url = f"{self.base_url}/{path.lstrip('/')}"
        if isinstance(json, bytes):
            return self._call("POST", url, content=json, headers={"Content-Type": "application/json"})
        return self._call("POST", url, json=json, data=data, files=files)

    def get(self, url: str, *, within_s: float | None = None) -> Answer | Outage:
        """GET an absolute URL on this very server (scheme, host, port); any other is an outage without a call.

        `within_s`: seconds for all attempts, where that is less than the deadline.
        """
        if _origin(url) != self._origin:
            return Outage("it points to another server and was not fetched", None, 0, 0.0)
        return self._call("GET", url, within_s)

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, method: str, url: str, within_s: float | None = None, **content: Any) -> Answer | Outage:
        patience, start = self.patience, time.monotonic()
        deadline = start + min(patience.deadline_s, within_s or patience.deadline_s)
        trouble = _Trouble("the server has asked to be left alone")
        attempts, next_at = 0, start
        while attempts < patience.attempts and self._welcome(next_at, deadline):
            attempts += 1
            seconds = min(patience.timeout_s, max(0.001, deadline - time.monotonic()))
            result = self._attempt(method, url, seconds, content)
            if not isinstance(result, _Trouble):
                return Answer(*result, attempts, time.monotonic() - start)
            trouble = result
            if not trouble.passing:
                break
            next_at = time.monotonic() + self._wait(attempts, trouble.asked_s)
        tried = f"{attempts} attempt{'' if attempts == 1 else 's'}"
        return Outage(f"{trouble.what} ({tried})", trouble.status, attempts, time.monotonic() - start)

    def _attempt(
        self, method: str, url: str, seconds: float, content: Mapping[str, Any]
    ) -> tuple[int, bytes] | _Trouble:
        ends = time.monotonic() + seconds
        timeout = httpx2.Timeout(seconds, connect=min(seconds, _CONNECT_S))
        too_slow = _Trouble(f"no answer within {seconds:.3g} s")
        body = bytearray()
        try:
            with self._client.stream(method, url, timeout=timeout, **content) as response:
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > self._max_bytes:
                        return _Trouble(f"an answer of more than {self._max_bytes:,} bytes", passing=False)
                    if time.monotonic() > ends:
                        return too_slow
        except httpx2.TimeoutException:
            return too_slow
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            # Only the kind of error: a message may quote a header, and with it a key.
            return _Trouble(_KINDS.get(type(error), type(error).__name__))
        status, said = response.status_code, bytes(body)
        if self._secret:
            said = said.replace(self._secret, b"***")
        if self._json_only and response.is_success and not _is_json(said):
            return _Trouble(f"an answer that is not JSON: {_excerpt(said)}", status)
        if status not in _PASSING or _OUT_OF_CREDIT in said:
            return status, said
        return _Trouble(f"HTTP {status}: {_excerpt(said)}".rstrip(": "), status, retry_after(response.headers))

    def _welcome(self, at: float, deadline: float) -> bool:
        """Wait until `at`, and for as long as the server wants; False, at once, if that is beyond the deadline."""
        while (begin := max(at, self._quiet_until)) < deadline:
            if (seconds := begin - time.monotonic()) <= 0:
                return True
            time.sleep(seconds)
        return False

    def _wait(self, attempts: int, asked_s: float | None) -> float:
        """Seconds before the next attempt. What the server asks for holds for all callers, each a bit later."""
        if asked_s is not None:
            with self._lock:
                self._quiet_until = max(self._quiet_until, time.monotonic() + asked_s)
            return asked_s + random.uniform(0.0, min(1.0, 0.1 + 0.1 * asked_s))
        longest = min(self.patience.longest_wait_s, self.patience.first_wait_s * 2 ** (attempts - 1))
        return random.uniform(0.5, 1.0) * longest


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds a server asks to wait: ``Retry-After`` as a number or a date, or ``retry-after-ms``; None: nothing."""
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * scale
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        return max(0.0, email.utils.parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def turned_away(answer: Answer, *, key: str, model: str) -> str:
    """Why the server will answer no call at all, in one line with its remedy; "" if this no is the call's own.

    An account without credit is such a reason, too.

    Args:
        key: what to do about an API key that is not accepted (401, 403).
        model: what to do about a model, or a path, that is not there (404).
    """
    if _OUT_OF_CREDIT in answer.body:
        remedy = "the account has no credit left; top it up, or raise its limit"
    elif answer.status in (401, 403) or any(word in answer.body for word in _BAD_KEY):
        remedy = key
    elif answer.status == 404 or _NO_MODEL in answer.body:
        remedy = model
    else:
        return ""
    return f"HTTP {answer.status}: {answer.excerpt or 'no reason given'}; {remedy}; the same command then goes on"


def from_environment(variable: str, *, where: str) -> str:
    """The value of an environment variable that a card names, without surrounding blanks.

    Raises:
        CardError: it is not set, or empty.
    """
    value = os.environ.get(variable, "").strip()
    if not value:
        raise CardError(f"{where}: environment variable {variable} is not set; set it, or name another in the card")
    return value


def _origin(url: str) -> tuple[str, str, int | None] | None:
    """(scheme, host, port) of an http(s) URL; a default port is None."""
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError, TypeError):
        return None
    return (parsed.scheme, parsed.host, parsed.port) if parsed.scheme in {"http", "https"} and parsed.host else None


def _excerpt(body: bytes) -> str:
    return one_line(body[: 4 * _SHOWN].decode("utf-8", "replace"), _SHOWN)


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True
