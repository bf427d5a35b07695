"""Waiting: never less than our own backoff, as long as the server asks, by the server's own clock."""

import email.utils
import threading
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micebench.utils.http import Answer, Endpoint, Outage, Patience, retry_after
from tests.editors.fake_image_server import Reply, serving

NOTHING = [
    "0",
    "0.0",
    "0.0001",
    "-1",
    "soon",
    "",
    "nan",
    "inf",
    "1e9",
    "0x10",
    "1_000",
    "Thu, 01 Jan 1970 00:00:00 GMT",
]
BACKOFF = Patience(attempts=3, timeout_s=5, deadline_s=20, first_wait_s=0.2)


def date(offset_s: float) -> str:
    return email.utils.formatdate(time.time() + offset_s, usegmt=True)


@pytest.mark.parametrize("asked", NOTHING)
@pytest.mark.parametrize("header", ["Retry-After", "retry-after-ms"])
def test_a_server_that_asks_for_no_wait_gets_our_backoff(asked: str, header: str) -> None:
    arrived: list[float] = []

    def behave(_: Any) -> Reply:
        arrived.append(time.monotonic())
        return Reply(status=429, headers={header: asked}) if len(arrived) < 3 else Reply({})

    with serving(behave) as server, Endpoint(server.url, patience=BACKOFF) as endpoint:
        assert isinstance(endpoint.post("x"), Answer)
    first, second = arrived[1] - arrived[0], arrived[2] - arrived[1]
    assert first >= 0.1, "half of first_wait_s at least"
    assert second >= 0.2, "and twice as much the second time"


def test_a_shorter_wait_than_our_own_is_not_taken() -> None:
    endpoint = Endpoint("http://localhost", patience=Patience(first_wait_s=10))
    assert endpoint._wait(1, 0.01) >= 5
    assert endpoint._wait(3, 1.0) >= 20
    assert endpoint._wait(1, 50.0) >= 50


@pytest.mark.parametrize("ahead_s", [-86_400, 0, 86_400 * 365])
def test_a_date_is_compared_with_the_servers_clock(ahead_s: float) -> None:
    headers = {"date": date(ahead_s), "retry-after": date(ahead_s + 100)}
    asked = retry_after(headers)
    assert asked is not None
    assert 98 <= asked <= 102


@pytest.mark.parametrize("their_date", [None, "", "yesterday", "Thu, 99 Jan 2020 00:00:00 GMT"])
def test_without_the_servers_clock_ours_is_taken(their_date: str | None) -> None:
    headers = {"retry-after": date(100)} | ({} if their_date is None else {"date": their_date})
    asked = retry_after(headers)
    assert asked is not None
    assert 90 < asked <= 101


def test_a_date_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        headers = {"date": "Wed, 21 Oct 2015 07:28:00 -0000", "retry-after": "Wed, 21 Oct 2015 07:29:00 GMT"}
        assert retry_after(headers) == 60
    finally:
        monkeypatch.undo()
        time.tzset()


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "date"]), st.text(max_size=40)))
def test_no_header_is_an_error_or_a_negative_wait(headers: dict[str, str]) -> None:
    asked = retry_after(headers)
    assert asked is None or asked >= 0


@pytest.mark.parametrize("asked", ["99999999999999", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_an_absurd_wait_is_an_outage_that_names_it_for_all_callers(asked: str) -> None:
    calls = []

    def behave(_: Any) -> Reply:
        calls.append(1)
        return Reply(b"busy", status=503, headers={"Retry-After": asked})

    with serving(behave) as server, Endpoint(server.url) as endpoint:
        start = time.monotonic()
        first, second = endpoint.post("x"), endpoint.post("x")
        assert time.monotonic() - start < 5
    assert isinstance(first, Outage)
    assert isinstance(second, Outage)
    assert first.reason.startswith("HTTP 503: busy (1 attempt); the server asks to wait ")
    assert "longer than the 600 s for a call" in first.reason
    assert second.reason == "an earlier answer asked for a longer wait than the 600 s left for a call (0 attempts)"
    assert len(calls) == 1


def test_what_a_server_asks_inside_a_success_holds_for_all() -> None:
    arrived: list[float] = []

    def behave(_: Any) -> Reply:
        arrived.append(time.monotonic())
        error = {"error": {"code": 429, "message": "slow down"}}
        return Reply(error, headers={"Retry-After": "0.6"}) if len(arrived) == 1 else Reply({"data": [1]})

    with serving(behave) as server, Endpoint(server.url) as endpoint:
        first = threading.Thread(target=endpoint.post, args=("x",))
        first.start()
        while endpoint._quiet_until == 0.0:
            time.sleep(0.01)
        assert isinstance(endpoint.post("x"), Answer)
        first.join()
    assert min(arrived[1:]) - arrived[0] >= 0.6
