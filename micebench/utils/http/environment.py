"""What the environment says about calls: keys, proxies, certificates."""

import ipaddress
import os
import re
import ssl
import urllib.request
from dataclasses import dataclass
from importlib.util import find_spec

import httpx2

from micebench.errors import CardError, one_line
from micebench.utils.http.urls import Origin, origin_of, shown

_SCHEMES = ("http", "https", "socks5", "socks5h")
_HOST = re.compile(r"[\w.:-]+")
_PORTS = {"http": 80, "https": 443}


def from_environment(variable: str, *, where: str) -> str:
    """The value of an environment variable that a card names, without surrounding blanks.

    Raises:
        CardError: it is not set, or empty.
    """
    value = os.environ.get(variable, "").strip()
    if not value:
        raise CardError(f"{where}: environment variable {variable} is not set; set it, or name another in the card")
    return value


@dataclass(frozen=True, slots=True)
class EnvironmentProxy:
    """The proxy through which calls to one server go.

    Attributes:
        variable: the environment variable that names it.
        server: the host that is called through it.
    """

    proxy: httpx2.Proxy
    variable: str
    server: str

    @property
    def name(self) -> str:
        return f"the proxy {shown(str(self.proxy.url)).rstrip('/')} (from {self.variable})"

    @property
    def remedy(self) -> str:
        return f"correct or unset {self.variable}, or add {self.server} to NO_PROXY"


def proxy_for(origin: Origin, *, where: str) -> EnvironmentProxy | None:
    """The proxy that the environment names for a server, if any.

    Raises:
        CardError: the variable holds no URL of a proxy, or one whose protocol is not supported.
    """
    scheme, host, port = origin
    proxies = urllib.request.getproxies()
    for name in (scheme, "all"):
        if value := proxies.get(name, "").strip():
            break
    else:
        return None
    if _bypassed(host, port or _PORTS[scheme], proxies.get("no", "")):
        return None
    variable = _variable(name)
    url = value if "://" in value else f"http://{value}"
    try:
        proxy = httpx2.Proxy(url)
        usable = bool(_HOST.fullmatch(proxy.url.host))
    except (httpx2.InvalidURL, ValueError):
        usable, proxy = False, None
    if proxy is None or not usable:
        raise CardError(
            f"{where}: {variable} does not hold the URL of a proxy ({', '.join(_SCHEMES)}); set it to one like "
            f"http://proxy.example:3128, or unset it"
        )
    if proxy.url.scheme.startswith("socks") and find_spec("socksio") is None:
        raise CardError(
            f"{where}: {variable} names a SOCKS proxy, which needs the package socksio; run: pip install socksio, "
            f"or unset {variable}"
        )
    return EnvironmentProxy(proxy, variable, host)


def _variable(name: str) -> str:
    """The variable that is in effect; lower case wins, as in `urllib.request`."""
    names = (f"{name}_proxy", f"{name.upper()}_PROXY")
    return next((one for one in names if os.environ.get(one)), "the system's proxy settings")


def _bypassed(host: str, port: int, no_proxy: str) -> bool:
    """Whether NO_PROXY lists the host: a name (with all below it), an address, a network or ``*``; maybe with a port.

    Entries that are none of these match nothing, as in curl.
    """
    host = host.strip("[]").rstrip(".").lower()
    for entry in no_proxy.replace(",", " ").lower().split():
        name = entry.partition("://")[2].rstrip("/") or entry
        parsed = origin_of(f"http://{name}")
        if name == "*" or _in_network(host, name.strip("[]")):
            return True
        if parsed is not None and "/" not in name:
            name = parsed[1].strip("[]")
            if parsed[2] is not None and parsed[2] != port:
                continue
        name = name.removeprefix("*").strip(".")
        if name and (host == name or host.endswith(f".{name}")):
            return True
    return False


def _in_network(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except (ValueError, TypeError):
        return False


def tls_context(*, where: str) -> ssl.SSLContext:
    """Certificates as ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` say, else the system's.

    Raises:
        CardError: what a variable names is not there, or holds no certificates.
    """
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    variable, path = ("SSL_CERT_FILE", file) if file else ("SSL_CERT_DIR", folder)
    remedy = "set it to a PEM file of certificates" if file else "set it to a folder of certificates"
    if not file and folder and not any(map(os.path.isdir, folder.split(os.pathsep))):
        raise CardError(f"{where}: {variable} names {folder!r}, which is no folder; {remedy}, or unset it")
    try:
        return httpx2.create_ssl_context()
    except (OSError, ValueError) as error:
        keys = os.environ.get("SSLKEYLOGFILE")
        if path is None or (file and keys and _readable(file)):
            variable, path, remedy = ("SSLKEYLOGFILE", keys, "set it to a file that can be written")
        reason = one_line(error.strerror if isinstance(error, OSError) and error.strerror else error, 200)
        raise CardError(
            f"{where}: {variable} names {path!r}, which cannot be used ({reason}); {remedy}, or unset it"
        ) from error


def _readable(path: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (OSError, ValueError):
        return False
    return True
