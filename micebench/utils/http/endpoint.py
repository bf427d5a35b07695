"""A server that may fail: calls to it are retried while that can help.

One `Endpoint` is shared by all threads that talk to a server. When the server asks one of them to wait, all wait.
"""

import json
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urljoin

import httpcore2
import httpx2

from micebench.errors import CardError, one_line
from micebench.utils.http.answers import OUT_OF_CREDIT, Answer, Outage, as_text, excerpt
from micebench.utils.http.deadlines import ending_at
from micebench.utils.http.patience import Patience, retry_after
from micebench.utils.http.redaction import Redactor, in_headers
from micebench.utils.http.server_errors import PASSING, error_in
from micebench.utils.http.transport import Transport, why_no_connection
from micebench.utils.http.urls import base_of, below, origin_of, secrets_in, shown

_CONNECT_S = 15.0
_CHECKED = 1 << 14  # bytes of a body that is not JSON; more than an excerpt takes
_KINDS = {
    httpcore2.ReadError: "the connection was cut",
    httpcore2.WriteError: "the connection was cut",
    httpcore2.RemoteProtocolError: "the connection was cut",
    httpx2.DecodingError: "the answer's encoding is broken",
}
_NOT_HTTP = ("illegal status line", "illegal header line", "illegal request line")

Files = Sequence[tuple[str, tuple[str, bytes, str]]]
"""Multipart files: (field name, (file name, content, media type)); a field may come several times."""


@dataclass(frozen=True, slots=True)
class _Received:
    """An answer without what only the caller knows."""

    status: int
    body: bytes
    value: Any = None
    location: str = ""
    wrapped: bool = False


@dataclass(frozen=True, slots=True)
class _Trouble:
    """Why an attempt failed.

    Attributes:
        asked_s: seconds the server wants us to wait.
        passing: may pass by itself.
        local: lies with this machine's proxy or certificates.
    """

    what: str
    status: int | None = None
    asked_s: float | None = None
    passing: bool = True
    local: bool = False


class Endpoint:
    """A server, and how patient to be with it. May be used by many threads.

    Redirects are not followed: an answer may send neither a key nor us elsewhere. A proxy is the environment's.
    The values of headers, and user, password and query of the URL, are secrets: they are replaced by ``***`` in
    whatever the server says.

    Args:
        base_url: e.g. ``http://localhost:8000/v1``; surrounding blanks, slashes at the end and the path of an
            endpoint (``/chat/completions``, ``/images/edits``) are left out.
        headers: sent with every call.
        connections: calls that may be under way at once.
        max_bytes: a larger answer is an outage; no more of it is read.
        json_only: a success that is not JSON is trouble that may pass, not an answer.
        where: names the card in errors.

    Raises:
        CardError: `base_url` is no http(s) URL, a header cannot be sent, or the environment names a proxy or
            certificates that cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str] | None = None,
        *,
        patience: Patience | None = None,
        connections: int = 8,
        max_bytes: int = 64 << 20,
        json_only: bool = False,
        where: str = "the endpoint",
    ) -> None:
        origin = origin_of(base_of(base_url))
        if origin is None:
            raise CardError(f"{where}: {base_url!r} is not an http(s) URL; give one like http://localhost:8000/v1")
        for name, value in (headers or {}).items():
            if not (value.isascii() and value.isprintable()):
                raise CardError(f"{where}: the value for header {name!r} holds characters that cannot be sent")
        self.base_url = base_of(base_url)
        self.patience = patience or Patience()
        self._origin = origin
        self._max_bytes, self._json_only = max_bytes, json_only
        transport = Transport(origin, connections, where=where)
        self._proxy = transport.proxy
        proxy_key = (self._proxy.proxy.auth or ()) if self._proxy else ()
        self._redact = Redactor([*in_headers((headers or {}).values()), *secrets_in(self.base_url), *proxy_key])
        self._client = httpx2.Client(headers=dict(headers or {}), transport=transport, follow_redirects=False)
        self._quiet_until = 0.0  # time.monotonic(): nobody calls before
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The base URL without user, password and query, for messages."""
        return shown(self.base_url)

    def url(self, path: str) -> str:
        """The absolute URL of `path` below the base URL."""
        return below(self.base_url, path)

    def post(
        self,
        path: str,
        *,
        json: Any = None,
        data: Mapping[str, Any] | None = None,
        files: Files | None = None,
        within_s: float | None = None,
    ) -> Answer | Outage:
        """POST JSON (bytes: already encoded), or a form with files, to `path` below the base URL.

        `within_s`: seconds for all attempts, where that is less than the deadline.
        """
        if isinstance(json, bytes):
            headers = {"Content-Type": "application/json"}
            return self._call("POST", self.url(path), within_s, content=json, headers=headers)
        return self._call("POST", self.url(path), within_s, json=json, data=data, files=files)

    def get(self, url: str, *, within_s: float | None = None) -> Answer | Outage:
        """GET an absolute URL on this very server (scheme, host, port); any other is an outage without a call.

        `within_s`: as in `post`.
        """
        if origin_of(url) != self._origin:
            return Outage("it points to another server and was not fetched", None, 0, 0.0)
        return self._call("GET", url, within_s)

    def head(self, path: str, *, within_s: float | None = None) -> Answer | Outage:
        """Whether the server answers at all: costs nothing, and asks for nothing. `within_s`: as in `post`."""
        return self._call("HEAD", self.url(path), within_s)

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, method: str, url: str, within_s: float | None = None, **content: Any) -> Answer | Outage:
        patience, start = self.patience, time.monotonic()
        limit = min(patience.deadline_s, within_s or patience.deadline_s)
        deadline = start + limit
        trouble = _Trouble(f"an earlier answer asked for a longer wait than the {limit:,.3g} s left for a call")
        attempts, next_at = 0, start
        while attempts < patience.attempts and self._welcome(next_at, deadline):
            attempts += 1
            seconds = min(patience.timeout_s, max(0.001, deadline - time.monotonic()))
            result = self._attempt(method, url, seconds, content)
            if isinstance(result, _Received):
                latency_s = time.monotonic() - start
                return Answer(
                    result.status, result.body, attempts, latency_s, result.value, result.location, result.wrapped
                )
            trouble = result
            if not trouble.passing:
                break
            next_at = time.monotonic() + self._wait(attempts, trouble.asked_s)
        reason = f"{trouble.what} ({attempts} attempt{'' if attempts == 1 else 's'})"
        if trouble.asked_s is not None and trouble.asked_s > limit:
            reason += f"; the server asks to wait {trouble.asked_s:,.0f} s, longer than the {limit:,.3g} s for a call"
        return Outage(reason, trouble.status, attempts, time.monotonic() - start, trouble.local)

    def _attempt(self, method: str, url: str, seconds: float, content: Mapping[str, Any]) -> _Received | _Trouble:
        timeout = httpx2.Timeout(seconds, connect=min(seconds, _CONNECT_S))
        body = bytearray()
        try:
            with (
                ending_at(time.monotonic() + seconds),
                self._client.stream(method, url, timeout=timeout, **content) as response,
            ):
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > self._max_bytes:
                        return _Trouble(f"an answer of more than {self._max_bytes:,} bytes", passing=False)
        except httpcore2.ConnectTimeout:
            missing = "answer" if seconds <= _CONNECT_S else "connection"
            return self._unreachable(f"no {missing} within {min(seconds, _CONNECT_S):.3g} s")
        except (httpcore2.ConnectError, httpcore2.ProxyError) as error:
            return self._no_connection(error)
        except httpcore2.TimeoutException:
            return _Trouble(f"no answer within {seconds:.3g} s")
        except httpcore2.RemoteProtocolError as error:
            return self._garbled(error)
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpx2.HTTPError, httpx2.InvalidURL) as error:
            # Only the kind of error: a message may quote a header, and with it a key.
            return _Trouble(_KINDS.get(type(error), type(error).__name__))
        return self._read(response, bytes(body))

    def _read(self, response: httpx2.Response, body: bytes) -> _Received | _Trouble:
        status, body, value = response.status_code, *self._without_secrets(body)
        asked_s = retry_after(response.headers)
        if response.is_success:
            if self._json_only and value is None:
                return _Trouble(f"an answer that is not JSON: {excerpt(as_text(body))}", status)
            if (error := error_in(value)) is not None:
                if error.permanent:
                    named = {"error": error.object}
                    return _Received(error.status or status, json.dumps(named).encode(), named, wrapped=True)
                code = "an error" if error.status is None else f"error {error.status}"
                title = f"HTTP {status} with {code}"
                return _Trouble(f"{title}: {excerpt(error.words)}", error.status or status, asked_s)
        if status == 407 and self._proxy is not None:
            return self._unreachable("it wants a user and a password", passing=False)
        if status not in PASSING or OUT_OF_CREDIT in body:
            return _Received(status, body, value, self._location(response))
        what = f"HTTP {status}: {excerpt(as_text(body))}".rstrip(": ")
        if self._proxy is not None and status in (502, 503, 504):
            what += f" (asked through {self._proxy.name})"
        return _Trouble(what, status, asked_s)

    def _without_secrets(self, body: bytes) -> tuple[bytes, Any]:
        """(The body, the body as JSON or None), without secrets.

        Of a body that is not JSON, an image for instance, the part that may be shown is checked.
        """
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            text = as_text(body[:_CHECKED])
            return (self._redact.text(text).encode() if self._redact.holds(text) else body), None
        try:
            shown = self._redact.value(value)
        except RecursionError:
            return b"***", None
        return (body, value) if shown == value else (json.dumps(shown).encode(), shown)

    def _location(self, response: httpx2.Response) -> str:
        """Where a redirect leads, as far as that may be shown."""
        if not response.has_redirect_location:
            return ""
        try:
            target = urljoin(str(response.request.url), response.headers["location"])
            return one_line(self._redact.text(base_of(shown(target))), 200)
        except (ValueError, httpx2.InvalidURL):
            return "an address that is none"

    def _no_connection(self, error: Exception) -> _Trouble:
        scheme, host, _ = self._origin
        if isinstance(error, httpcore2.ProxyError):
            return self._unreachable(f"it refused: {one_line(self._redact.text(str(error)), 100)}")
        what, passing = why_no_connection(error, host)
        if "TLS" in what and scheme == "https":
            return _Trouble(what, passing=passing)
        return self._unreachable(what, passing=passing)

    def _unreachable(self, what: str, *, passing: bool = True) -> _Trouble:
        """The server, or the proxy before it, cannot be reached."""
        if self._proxy is None:
            return _Trouble(what, passing=passing)
        return _Trouble(f"{self._proxy.name}: {what}; {self._proxy.remedy}", passing=passing, local=True)

    def _garbled(self, error: Exception) -> _Trouble:
        if not any(words in str(error) for words in _NOT_HTTP):
            return _Trouble(_KINDS[httpcore2.RemoteProtocolError])
        hint = "; is its URL https:// instead of http://?" if self._origin[0] == "http" else ""
        return _Trouble(f"the answer is not HTTP{hint}")

    def _welcome(self, at: float, deadline: float) -> bool:
        """Wait until `at`, and for as long as the server wants; False, at once, if that is beyond the deadline."""
        while (begin := max(at, self._quiet_until)) < deadline:
            if (seconds := begin - time.monotonic()) <= 0:
                return True
            time.sleep(seconds)
        return False

    def _wait(self, attempts: int, asked_s: float | None) -> float:
        """Seconds before the next attempt, never fewer than our own backoff.

        What the server asks for holds for all callers, each a bit later.
        """
        own_s = self.patience.backoff(attempts)
        if asked_s is None:
            return own_s
        with self._lock:
            self._quiet_until = max(self._quiet_until, time.monotonic() + asked_s)
        return max(own_s, asked_s + random.uniform(0.0, min(1.0, 0.1 + 0.1 * asked_s)))
