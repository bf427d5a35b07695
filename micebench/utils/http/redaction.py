"""Keeping keys out of what a server says: an answer may repeat a key as it was sent, or encoded in some way."""

import base64
import html
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote

SHORTEST = 8
"""Characters. A shorter key is a dummy, such as EMPTY, and too likely to be a part of honest text."""

_STARS = "***"
_ROUNDS = 3  # of decoding: a JSON text in a JSON text, say
_ESCAPE = re.compile(r"\\+(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_BLANKS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "b": "\b"}
_HIDDEN = "".join(c for c in map(chr, range(0x10000)) if unicodedata.category(c) in ("Cc", "Cf"))
_INVISIBLE = re.compile(f"[{re.escape(_HIDDEN)}]")
_GAP = rf"(?:\s|[{re.escape(_HIDDEN)}]|\\+[nrtfb])*"


class Redactor:
    """Replaces secrets by ``***``, however they are written.

    Found are the secret itself, in any case, split by blanks, control or invisible characters, with characters
    written as JSON, URL or HTML escapes (also repeatedly), in hexadecimal, and in base64, alone or in a longer text.
    Secrets of fewer than `SHORTEST` characters are left alone.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        kept = sorted({secret for secret in secrets if len(secret) >= SHORTEST}, key=len, reverse=True)
        words = [form for secret in kept for form in (secret, secret.encode().hex())]
        self._words = [_compact(word).casefold() for word in words]
        self._fragments = sorted({part for secret in kept for part in _base64(secret)}, key=len, reverse=True)
        self._patterns = [re.compile(_GAP.join(map(_spellings, word)), re.IGNORECASE) for word in words]
        self._patterns += [re.compile(_GAP.join(map(re.escape, part))) for part in self._fragments]

    def text(self, text: str) -> str:
        """`text` without secrets; all of it is replaced where they cannot be cut out."""
        if not self.holds(text):
            return text
        for pattern in self._patterns:
            text = pattern.sub(_STARS, text)
        return _STARS if self.holds(text) else text

    def value(self, value: Any) -> Any:
        """A JSON value without secrets in any of its strings, names included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.text(name): self.value(item) for name, item in value.items()}
        return value

    def holds(self, text: str) -> bool:
        """Whether there is a secret in `text`."""
        for form in _forms(text) if self._words else ():
            compact = _compact(form)
            folded = compact.casefold()
            if any(word in folded for word in self._words) or any(part in compact for part in self._fragments):
                return True
        return False


def _forms(text: str) -> Iterator[str]:
    """The text, and what it reads decoded."""
    yield text
    for _ in range(_ROUNDS):
        decoded = html.unescape(text) if "&" in text else text
        decoded = unquote(decoded) if "%" in decoded else decoded
        decoded = _ESCAPE.sub(_unescaped, decoded) if "\\" in decoded else decoded
        if decoded == text:
            return
        yield (text := decoded)


def _unescaped(match: re.Match[str]) -> str:
    digits = match[1] or match[2]
    return chr(int(digits, 16)) if digits else _BLANKS.get(match[3], match[3])


def _compact(text: str) -> str:
    """Without blanks and invisible characters."""
    text = "".join(text.split())
    if text.isascii() and text.isprintable():
        return text
    return unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))


def _spellings(character: str) -> str:
    """A pattern for one character of a secret, escaped in whatever way."""
    code, plain = ord(character), re.escape(character)
    return rf"(?:{plain}|\\+u{code:04x}|\\+x{code:02x}|%{code:02x}|&\#0*{code};|&\#x0*{code:x};|\\+{plain})"


def _base64(secret: str) -> Iterator[str]:
    """What stands in any base64 text of something that contains `secret`: one string per offset and alphabet."""
    for offset in range(3):
        raw = bytes(offset) + secret.encode()
        first, last = (0, 2, 3)[offset], 8 * len(raw) // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(raw).decode()[first:last]


def in_headers(headers: Iterable[str]) -> Iterator[str]:
    """The secrets in the values of headers: the whole value, and what follows a scheme such as ``Bearer``."""
    for value in headers:
        yield value
        yield value.partition(" ")[2].strip()
