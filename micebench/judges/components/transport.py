"""JSON over HTTP to a server that may be slow, busy or broken: retries, backoff, Retry-After, one deadline."""

import json
import random
import threading
import time
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx2

_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_LONGEST_WAIT_S = 60.0


class Unreachable(Exception):
    """No answer after all attempts; the message says what happened last."""


class Answer(NamedTuple):
    """A complete answer: `body` parsed JSON, or None where the text is none."""

    status: int
    body: Any
    text: str


class Patience(NamedTuple):
    """How long to try.

    Attributes:
        timeout_s: for one attempt, from connecting to the last byte.
        deadline_s: for all attempts of one call.
        retries: attempts after the first.
        backoff_s: upper bound of the first wait, doubled each time; waits are drawn evenly from 0 to the bound.
    """

    timeout_s: float
    deadline_s: float
    retries: int
    backoff_s: float


class _Passing(Exception):
    """Worth another attempt; `after_s` as the server asked."""

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


class JsonServer:
    """One server, for up to `concurrency` threads; when one is told to wait (Retry-After), all of them do.

    The key is sent as a bearer token and blotted out of everything that is said about the server.
    """

    def __init__(self, url: str, key: str, concurrency: int, patience: Patience) -> None:
        self.patience = patience
        self._url = url.rstrip("/")
        self._key = key
        self._client = httpx2.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            limits=httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
        )
        self._not_before = 0.0
        self._lock = threading.Lock()
        self._random = random.Random()

    @property
    def name(self) -> str:
        """Host and port, for messages."""
        return urlsplit(self._url).netloc.rpartition("@")[2]

    def get(self, path: str, *, within_s: float) -> Answer:
        """Raises Unreachable."""
        return self._call("GET", path, None, min(within_s, self.patience.deadline_s))

    def post(self, path: str, body: bytes) -> Answer:
        """`body`: encoded JSON. Raises Unreachable."""
        return self._call("POST", path, body, self.patience.deadline_s)

    def clean(self, text: str) -> str:
        """One line of at most 300 characters, without the key."""
        line = " ".join(text.split())
        return (line.replace(self._key, "***") if self._key else line)[:300]

    def _call(self, method: str, path: str, content: bytes | None, within_s: float) -> Answer:
        deadline = time.monotonic() + within_s
        attempts = self.patience.retries + 1
        reason = "not tried"
        for attempt in range(1, attempts + 1):
            if not self._wait(deadline):
                raise Unreachable(f"{reason}; the deadline of {within_s:g} s is over")
            try:
                return self._attempt(method, path, content, deadline)
            except _Passing as error:
                reason = self.clean(str(error))
                if error.after_s is not None:
                    self._hold(error.after_s)
            if attempt < attempts:
                bound = min(_LONGEST_WAIT_S, self.patience.backoff_s * 2 ** min(attempt - 1, 30))
                time.sleep(max(0.0, min(self._random.uniform(0.0, bound), deadline - time.monotonic())))
        raise Unreachable(f"{reason}; given up after {attempts} attempts")

    def _hold(self, seconds: float) -> None:
        with self._lock:
            self._not_before = max(self._not_before, time.monotonic() + seconds)

    def _wait(self, deadline: float) -> bool:
        """Wait until calls are welcome; False if that is after the deadline."""
        while (now := time.monotonic()) < self._not_before < deadline:
            time.sleep(self._not_before - now)
        return max(now, self._not_before) < deadline

    def _attempt(self, method: str, path: str, content: bytes | None, deadline: float) -> Answer:
        """One call. Raises _Passing for what may pass: no connection, a timeout, 429, 5xx, a torn answer."""
        start = time.monotonic()
        left_s = max(0.001, min(deadline - start, self.patience.timeout_s))
        headers = {"Content-Type": "application/json"} if content is not None else {}
        data = bytearray()
        late = f"no complete answer within {left_s:.3g} s"
        try:
            with self._client.stream(
                method, self._url + path, content=content, headers=headers, timeout=left_s
            ) as response:
                # The client's timeout is one between bytes; a server that dribbles must not outlive ours.
                for chunk in response.iter_bytes():
                    data += chunk
                    if time.monotonic() - start > left_s:
                        raise _Passing(late)
        except httpx2.TimeoutException as error:
            raise _Passing(late) from error
        except httpx2.RequestError as error:
            raise _Passing(f"{type(error).__name__}: {error}") from error
        text = data.decode("utf-8", "replace")
        if response.status_code in _PASSING:
            raise _Passing(
                f"HTTP {response.status_code}: {text}",
                retry_after_s(response.headers.get("retry-after"), time.time()),
            )
        try:
            return Answer(response.status_code, json.loads(text), text)
        except ValueError as error:
            if response.status_code == 200:
                raise _Passing(f"an answer that is not JSON: {text}") from error
            return Answer(response.status_code, None, text)


def retry_after_s(header: str | None, now: float) -> float | None:
    """Seconds to wait by a Retry-After header (a number or a date); None if there is none that can be read.

    Args:
        now: seconds since the epoch.
    """
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now)
    except ValueError:
        return None
