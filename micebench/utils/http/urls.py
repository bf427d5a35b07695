"""Base URLs as people give them."""

import re

import httpx2

_ENDPOINT = re.compile(r"/+(chat/completions|completions|responses|images/(edits|generations)|models/[^/]+:\w+)$")
_VERSION = re.compile(r"/v\d")

Origin = tuple[str, str, int | None]
"""(scheme, host, port); a default port is None."""


def base_of(url: str) -> str:
    """A base URL without surrounding blanks, slashes at its end, a fragment, and the path of an endpoint below it."""
    url = url.strip().partition("#")[0]
    path, mark, query = url.partition("?")
    path = _ENDPOINT.sub("", path.rstrip("/"))
    return path.rstrip("/") + mark + query


def below(base: str, path: str) -> str:
    """The URL of `path` below a base URL; the base's query is kept."""
    front, mark, query = base.partition("?")
    return f"{front}/{path.lstrip('/')}{mark}{query}"


def origin_of(url: str) -> Origin | None:
    """None: not an http(s) URL."""
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError, TypeError):
        return None
    return (parsed.scheme, parsed.host, parsed.port) if parsed.scheme in {"http", "https"} and parsed.host else None


def shown(url: str) -> str:
    """A valid URL without user, password and query, for messages."""
    parsed = httpx2.URL(url)
    return f"{parsed.scheme}://{parsed.netloc.decode()}{parsed.path}"


def has_version(url: str) -> bool:
    """Whether the path of a base URL names a version of the protocol, such as ``/v1``."""
    return bool(_VERSION.search(httpx2.URL(url).path))


def secrets_in(url: str) -> list[str]:
    """User, password and values of the query."""
    parsed = httpx2.URL(url)
    return [parsed.username, parsed.password, *(value for _, value in parsed.params.multi_items())]
