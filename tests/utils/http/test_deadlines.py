"""`timeout_s` and `deadline_s` are wall-clock limits, whatever a server does before, in and after its answer."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from micebench.utils.http import Answer, Endpoint, Outage, Patience
from tests.utils.http.raw_server import Serve, drips, floods, serving_bytes, silent

LIMIT_S = 0.3
ONCE = Patience(attempts=1, timeout_s=LIMIT_S, deadline_s=30)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SLOW: dict[str, Serve] = {
    "nothing": silent,
    "a dripped status line": drips(b"HTTP/1.1 200 O", every_s=0.05),
    "a dripped header": drips(b"x", first=b"HTTP/1.1 200 OK\r\nX-Long: "),
    "many headers": drips(b"A: b\r\n", first=b"HTTP/1.1 200 OK\r\n"),
    "1xx without end": drips(b"HTTP/1.1 100 Continue\r\n\r\n", every_s=0.002),
    "a flood of 1xx": floods(b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "a chunk's extension": drips(b"x", first=CHUNKED + b"5;e="),
    "chunks of one byte": drips(b"1\r\nx\r\n", first=CHUNKED),
    "a flood of chunk extensions": floods(b"1;" + b"e" * 2000 + b"\r\nx\r\n", first=CHUNKED),
    "trailers": drips(b"T: x\r\n", first=CHUNKED + b"1\r\n{\r\n0\r\n"),
    "a body without length": drips(b" ", first=b"HTTP/1.1 200 OK\r\n\r\n"),
    "a body that never comes": drips(b"", first=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", seconds=2.0),
}


def timed(endpoint: Endpoint, **content: Any) -> tuple[Answer | Outage, float]:
    start = time.monotonic()
    result = endpoint.post("x", **(content or {"json": {}}))
    return result, time.monotonic() - start


@pytest.mark.parametrize("kind", SLOW)
def test_an_attempt_ends_at_its_limit(kind: str) -> None:
    with serving_bytes(SLOW[kind]) as url, Endpoint(url, patience=ONCE) as endpoint:
        result, seconds = timed(endpoint)
    assert isinstance(result, Outage)
    assert result.reason == "no answer within 0.3 s (1 attempt)"
    assert LIMIT_S - 0.05 < seconds < 1.5


def test_the_deadline_ends_the_last_attempt() -> None:
    patience = Patience(attempts=50, timeout_s=30, deadline_s=LIMIT_S, first_wait_s=0)
    with serving_bytes(SLOW["a dripped header"]) as url, Endpoint(url, patience=patience) as endpoint:
        result, seconds = timed(endpoint)
    assert isinstance(result, Outage)
    assert seconds < 1.5


def reads_slowly(connection: socket.socket) -> None:
    ends = time.monotonic() + 3.0
    while time.monotonic() < ends:
        connection.recv(1 << 18)
        time.sleep(0.02)


def test_a_slow_upload_ends_at_its_limit() -> None:
    with serving_bytes(reads_slowly) as url, Endpoint(url, patience=ONCE) as endpoint:
        for content in ({"json": b"x" * (32 << 20)}, {"files": [("image", ("a", b"x" * (32 << 20), "image/png"))]}):
            result, seconds = timed(endpoint, **content)
            assert isinstance(result, Outage)
            assert seconds < 1.0


def test_a_slow_tls_handshake_ends_at_its_limit() -> None:
    hanging = serving_bytes(drips(b"\x16", every_s=0.05))
    with hanging as url, Endpoint(url.replace("http:", "https:"), patience=ONCE) as endpoint:
        result, seconds = timed(endpoint)
    assert isinstance(result, Outage)
    assert seconds < 1.5


def test_a_slow_lookup_ends_at_its_limit_and_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    done = threading.Event()

    def slow(host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        done.wait(5.0)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with Endpoint("http://slow.example/v1", patience=ONCE) as endpoint, ThreadPoolExecutor(8) as pool:
        start = time.monotonic()
        results = list(pool.map(lambda _: endpoint.post("x"), range(8)))
        assert time.monotonic() - start < 2.0
        done.set()
    assert [result.reason for result in results if isinstance(result, Outage)] == [
        "no answer within 0.3 s (1 attempt)"
    ] * 8
    assert asked == ["slow.example"], "one lookup for all"


def test_all_addresses_of_a_host_are_tried_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.create_connection
    tried: list[str] = []

    def hanging(address: tuple[str, int], timeout: float, **more: Any) -> socket.socket:
        tried.append(address[0])
        if address[0] == "127.0.0.1":
            return connect(address, timeout, **more)
        time.sleep(timeout)
        raise TimeoutError

    good = drips(b"", first=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", seconds=0)
    with serving_bytes(good) as url:
        port = int(url.rpartition(":")[2])
        both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in ("192.0.2.1", "127.0.0.1")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
        monkeypatch.setattr(socket, "create_connection", hanging)
        patience = Patience(attempts=1, timeout_s=1.0)
        with Endpoint(f"http://two.example:{port}", patience=patience) as endpoint:
            result, seconds = timed(endpoint)
    assert isinstance(result, Answer)
    assert tried == ["192.0.2.1", "127.0.0.1"]
    assert seconds < 1.0


def test_many_threads_keep_their_own_limits_and_leave_no_thread_behind() -> None:
    before = threading.active_count()
    with serving_bytes(SLOW["a dripped header"]) as url, Endpoint(url, patience=ONCE, connections=32) as endpoint:
        with ThreadPoolExecutor(32) as pool:
            start = time.monotonic()
            results = list(pool.map(lambda _: endpoint.post("x"), range(64)))
            assert time.monotonic() - start < 5.0
        assert all(isinstance(result, Outage) for result in results)
    ends = time.monotonic() + 8.0
    while threading.active_count() > before and time.monotonic() < ends:
        time.sleep(0.05)
    assert threading.active_count() <= before


def test_a_connection_that_is_used_again_has_the_limit_of_the_new_call() -> None:
    def serve(connection: socket.socket) -> None:
        for _ in range(3):
            if not connection.recv(1 << 16):
                return
            time.sleep(0.25)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with serving_bytes(serve) as url, Endpoint(url, patience=Patience(attempts=1, timeout_s=0.6)) as endpoint:
        assert all(isinstance(timed(endpoint)[0], Answer) for _ in range(3))
