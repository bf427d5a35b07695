"""A proxy or certificates that cannot be used are one line naming the variable; a dead proxy is no dead server."""

import socket
from pathlib import Path

import pytest

from micebench.errors import CardError
from micebench.utils.http import Answer, Endpoint, Outage, Patience
from tests.editors.fake_image_server import Reply, in_turn, serving
from tests.utils.http.raw_server import drips, serving_bytes

ONCE = Patience(attempts=1, timeout_s=5)
VARIABLES = [f"{name}_proxy" for name in ("http", "https", "all", "no")]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, *map(str.upper, VARIABLES), "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"):
        monkeypatch.delenv(name, raising=False)


def refused(url: str) -> str:
    with pytest.raises(CardError, match=r"^the card: ") as error:
        Endpoint(url, where="the card")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("variable", "value", "url"),
    [
        ("HTTP_PROXY", "http://[::1", "http://h.example"),
        ("http_proxy", "http://proxy:port", "http://h.example"),
        ("HTTPS_PROXY", "ftp://proxy", "https://h.example"),
        ("ALL_PROXY", "socks://127.0.0.1:1080", "https://h.example"),
        ("all_proxy", "socks4://127.0.0.1:1080", "http://h.example"),
        ("HTTP_PROXY", "http://", "http://h.example"),
        ("HTTP_PROXY", "http://a b", "http://h.example"),
        ("HTTP_PROXY", "http://me:top-secret@[", "http://h.example"),
    ],
)
def test_a_bad_proxy_is_named_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, url: str
) -> None:
    monkeypatch.setenv(variable, value)
    line = refused(url)
    assert f"{variable} does not hold the URL of a proxy" in line
    assert "unset it" in line
    assert "secret" not in line


def test_a_socks_proxy_without_its_package_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("micebench.utils.http.environment.find_spec", lambda name: None)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    assert "ALL_PROXY names a SOCKS proxy, which needs the package socksio" in refused("http://h.example")


def test_a_bad_proxy_that_is_not_used_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "garbage://")
    Endpoint("http://h.example")
    monkeypatch.setenv("HTTP_PROXY", "garbage://")
    monkeypatch.setenv("NO_PROXY", "h.example")
    Endpoint("http://h.example")


@pytest.mark.parametrize(
    ("no_proxy", "direct"),
    [
        ("127.0.0.1", True),
        ("127.0.0.0/8", True),
        ("*", True),
        ("other, 127.0.0.1", True),
        ("other 127.0.0.1", True),
        ("http://127.0.0.1", True),
        ("127.0.0.1:PORT", True),
        ("127.0.0.1:1", False),
        ("[::1", False),
        ("[", False),
        ("::1,fe80::/10,,/", False),
        ("7.0.0.1", False),
        (".0.0.1", True),
    ],
)
def test_no_proxy_is_read_as_people_write_it(monkeypatch: pytest.MonkeyPatch, no_proxy: str, direct: bool) -> None:
    with serving(in_turn(Reply({}))) as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_port()}")
        monkeypatch.setenv("NO_PROXY", no_proxy.replace("PORT", server.url.rpartition(":")[2]))
        with Endpoint(server.url, patience=ONCE) as endpoint:
            assert isinstance(endpoint.post("x"), Answer) == direct


def unused_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.mark.parametrize(
    ("variable", "scheme"), [("HTTP_PROXY", "http"), ("https_proxy", "https"), ("ALL_PROXY", "http")]
)
def test_a_dead_proxy_is_named_as_the_proxy(monkeypatch: pytest.MonkeyPatch, variable: str, scheme: str) -> None:
    address = f"127.0.0.1:{unused_port()}"
    monkeypatch.setenv(variable, f"http://me:top-secret@{address}")
    with Endpoint(f"{scheme}://h.example/v1", patience=ONCE) as endpoint:
        outage = endpoint.post("x")
    assert isinstance(outage, Outage)
    assert outage.local
    assert outage.reason == (
        f"the proxy http://{address} (from {variable}): no connection; correct or unset {variable}, or add h.example "
        f"to NO_PROXY (1 attempt)"
    )


@pytest.mark.parametrize(
    ("scheme", "answer", "words"),
    [
        ("http", b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "it wants a user"),
        ("https", b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "it refused: 407"),
        ("https", b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "it refused: 403 Forbidden"),
    ],
)
def test_a_proxy_that_refuses_is_named(
    monkeypatch: pytest.MonkeyPatch, scheme: str, answer: bytes, words: str
) -> None:
    with serving_bytes(drips(b"", first=answer, seconds=0)) as url:
        monkeypatch.setenv(f"{scheme}_proxy", url)
        with Endpoint(f"{scheme}://h.example", patience=ONCE) as endpoint:
            outage = endpoint.post("x")
    assert isinstance(outage, Outage)
    assert f"the proxy {url} (from {scheme}_proxy): {words}" in outage.reason


def test_calls_go_through_the_proxy_with_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving_bytes(drips(b"", first=OK, seconds=0)) as url:
        monkeypatch.setenv("http_proxy", url)
        with Endpoint("http://h.example", patience=ONCE) as endpoint:
            assert isinstance(endpoint.post("x"), Answer)
    with serving_bytes(drips(b"x", first=b"HTTP/1.1 200 OK\r\nX: ")) as url:
        for scheme in ("http", "https"):
            monkeypatch.setenv(f"{scheme}_proxy", url)
            patience = Patience(attempts=1, timeout_s=0.3)
            with Endpoint(f"{scheme}://h.example", patience=patience) as endpoint:
                outage = endpoint.post("x")
            assert isinstance(outage, Outage)
            assert outage.latency_s < 1.5


@pytest.mark.parametrize("kind", ["missing", "garbage", "empty", "a folder"])
def test_a_bad_certificate_file_is_named_by_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path if kind == "a folder" else tmp_path / "ca.pem"
    if kind in ("garbage", "empty"):
        path.write_text("no certificate" if kind == "garbage" else "")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    line = refused("https://h.example")
    assert f"SSL_CERT_FILE names {str(path)!r}, which cannot be used" in line
    assert "set it to a PEM file of certificates, or unset it" in line
    Endpoint("http://h.example")  # needs none


def test_a_bad_certificate_folder_is_named_by_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    assert "SSL_CERT_DIR names" in refused("https://h.example")


def test_a_log_of_keys_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import truststore  # noqa: F401

    certificates = "/etc/ssl/certs/ca-certificates.crt"
    if not Path(certificates).is_file():
        pytest.skip("no bundle of certificates on this machine")
    monkeypatch.setenv("SSL_CERT_FILE", certificates)
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "none" / "keys"))
    assert "SSLKEYLOGFILE names" in refused("https://h.example")


def test_a_server_without_tls_is_told_from_one_that_is_away() -> None:
    with serving(in_turn(Reply({}))) as server, Endpoint(server.url.replace("http:", "https:")) as endpoint:
        outage = endpoint.post("x")
    assert isinstance(outage, Outage)
    assert outage.reason == "the server does not speak TLS; is its URL http:// instead of https://? (1 attempt)"


def test_an_answer_that_is_not_http_hints_at_https() -> None:
    alert = serving_bytes(drips(b"", first=b"\x15\x03\x03\x00\x02\x02\x46", seconds=0))
    with alert as url, Endpoint(url, patience=ONCE) as endpoint:
        outage = endpoint.post("x")
    assert isinstance(outage, Outage)
    assert outage.reason == "the answer is not HTTP; is its URL https:// instead of http://? (1 attempt)"


def test_an_unknown_host_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", none)
    for host in ("h.example", "a" * 64 + ".example"):
        with Endpoint(f"http://{host}", patience=ONCE) as endpoint:
            outage = endpoint.post("x")
        assert isinstance(outage, Outage)
        assert outage.reason == f"the host name {host} cannot be resolved (1 attempt)"
