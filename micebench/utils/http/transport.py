"""One attempt of a call on the network: through the environment's proxy, within a wall-clock limit."""

import socket
import ssl
from collections.abc import Iterator
from typing import Any

import httpcore2
import httpx2

from micebench.utils.http.deadlines import LimitedBackend
from micebench.utils.http.environment import EnvironmentProxy, proxy_for, tls_context
from micebench.utils.http.urls import Origin

_NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")


class Transport(httpx2.BaseTransport):
    """Connections to one server, kept open for the next call.

    Raises:
        CardError: the environment names a proxy or certificates that cannot be used.
    """

    def __init__(self, origin: Origin, connections: int, *, where: str) -> None:
        self.proxy = proxy_for(origin, where=where)
        needs_tls = origin[0] == "https" or (self.proxy is not None and self.proxy.proxy.url.scheme == "https")
        common: dict[str, Any] = {
            "ssl_context": tls_context(where=where) if needs_tls else None,
            "max_connections": connections,
            "max_keepalive_connections": connections,
            "keepalive_expiry": 5.0,
            "network_backend": LimitedBackend(),
        }
        self._pool = _through(self.proxy, common) if self.proxy else httpcore2.ConnectionPool(**common)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it. Raises the errors of httpcore2."""
        assert isinstance(request.stream, httpx2.SyncByteStream)
        response = self._pool.handle_request(
            httpcore2.Request(
                method=request.method,
                url=_core(request.url),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx2.Response(response.status, headers=response.headers, stream=_Body(response.stream))

    def close(self) -> None:
        self._pool.close()


class _Body(httpx2.SyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        self._stream.close()


def _through(named: EnvironmentProxy, common: dict[str, Any]) -> httpcore2.ConnectionPool:
    proxy = named.proxy
    if proxy.url.scheme.startswith("socks"):
        return httpcore2.SOCKSProxy(_core(proxy.url), proxy.raw_auth, **common)
    return httpcore2.HTTPProxy(_core(proxy.url), proxy.raw_auth, **common)


def _core(url: httpx2.URL) -> httpcore2.URL:
    return httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def cause(error: BaseException, kind: type[BaseException]) -> Any:
    """The first of an error's causes that is of this kind, or None."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, kind):
        seen = seen.__cause__ or seen.__context__
    return seen


def why_no_connection(error: Exception, host: str) -> tuple[str, bool]:
    """(What kept us from connecting to a server, whether it may pass by itself)."""
    certificate = cause(error, ssl.SSLCertVerificationError)
    if certificate is not None:
        why = getattr(certificate, "verify_message", "") or "it cannot be verified"
        return (
            f"the TLS certificate of {host} is not accepted ({why}); put its authority's certificate into a file "
            f"and set SSL_CERT_FILE to that"
        ), False
    tls = cause(error, ssl.SSLError)
    if tls is not None:
        if tls.reason in _NOT_TLS:
            return "the server does not speak TLS; is its URL http:// instead of https://?", False
        return f"no TLS connection ({tls.reason or 'unknown reason'})", True
    if cause(error, socket.gaierror) is not None or cause(error, UnicodeError) is not None:
        return f"the host name {host} cannot be resolved", True
    return "no connection", True
