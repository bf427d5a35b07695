"""Wall-clock limits: no step of a call, from the DNS lookup to the last byte, lasts beyond the call's deadline.

The timeouts of an HTTP client restart with every byte that arrives; a server that sends one byte a second holds
such a call for ever. Here each step on the network gets only the time that is left.
"""

import ipaddress
import math
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore2

_PIECE = 1 << 14  # bytes sent under one timeout; also the largest TLS record

_ends: ContextVar[float] = ContextVar("ends", default=math.inf)


@contextmanager
def ending_at(moment: float) -> Iterator[None]:
    """Limit what this thread does on the network in the block; `moment` is one of `time.monotonic()`."""
    token = _ends.set(moment)
    try:
        yield
    finally:
        _ends.reset(token)


def _left(timeout: float | None, error: type[Exception]) -> float | None:
    """Seconds for the next step: `timeout`, or less. Raises `error` when there are none left."""
    left = _ends.get() - time.monotonic()
    if left <= 0:
        raise error("the deadline of the call has passed")
    seconds = min(left, math.inf if timeout is None else timeout)
    return None if seconds == math.inf else seconds


class LimitedBackend(httpcore2.NetworkBackend):
    """Connections whose every step ends with the deadline that is set by `ending_at` in the calling thread."""

    def __init__(self) -> None:
        self._sockets = httpcore2.SyncBackend()
        self._lookups = _Lookups()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Try the host's addresses one after the other; `timeout` is for all of them, in equal shares."""
        seconds = _left(timeout, httpcore2.ConnectTimeout)
        ends = math.inf if seconds is None else time.monotonic() + seconds
        addresses = self._lookups.addresses(host, port, seconds)
        trouble: Exception = httpcore2.ConnectError(f"{host} has no address")
        for number, address in enumerate(addresses):
            share = (ends - time.monotonic()) / (len(addresses) - number)
            if share <= 0:
                raise httpcore2.ConnectTimeout("no address left to try in time")
            try:
                stream = self._sockets.connect_tcp(
                    address, port, None if share == math.inf else share, local_address, socket_options
                )
                return _LimitedStream(stream)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                trouble = error
        raise trouble


class _LimitedStream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        view = memoryview(buffer)
        for start in range(0, len(view), _PIECE):
            piece = view[start : start + _PIECE]
            self._stream.write(piece, _left(timeout, httpcore2.WriteTimeout))  # type: ignore[arg-type]

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        seconds = _left(timeout, httpcore2.ConnectTimeout)
        return _LimitedStream(self._stream.start_tls(ssl_context, server_hostname, seconds))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Lookups:
    """DNS lookups that can be given up. The system's cannot be interrupted: it ends in a thread of its own.

    Callers that ask for the same name at the same time share one thread.
    """

    def __init__(self) -> None:
        self._running: dict[tuple[str, int], Future[list[str]]] = {}
        self._lock = threading.Lock()

    def addresses(self, host: str, port: int, seconds: float | None) -> list[str]:
        """Numeric addresses in the system's order. Raises ConnectTimeout or ConnectError."""
        if _is_address(host):
            return [host]
        with self._lock:
            found = self._running.get((host, port))
            if found is None:
                found = self._running[host, port] = Future()
                threading.Thread(target=self._look_up, args=(host, port, found), name="lookup", daemon=True).start()
        try:
            return found.result(seconds)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"the lookup of {host} took too long") from error
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(str(error)) from error

    def _look_up(self, host: str, port: int, found: Future[list[str]]) -> None:
        try:
            lines = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            outcome: list[str] | BaseException = list(dict.fromkeys(str(line[4][0]) for line in lines))
        except BaseException as error:  # noqa: BLE001 (raised again where it is waited for)
            outcome = error
        with self._lock:
            del self._running[host, port]
        if isinstance(outcome, BaseException):
            found.set_exception(outcome)
        else:
            found.set_result(outcome)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
