"""Errors a user can act on. The command line prints them as one line, without a traceback."""

import difflib
import unicodedata
from collections.abc import Iterable

_JOINERS = "\u200c\u200d"  # needed to spell Persian and to compose emoji
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


class MicebenchError(Exception):
    """Something the user can mend. The message names what was found, where, and the remedy."""


class CardError(MicebenchError):
    """A card is missing, malformed or does not fit the others it is used with."""


class DataError(MicebenchError):
    """A session file, a row or an image cannot be used."""


class EditorError(MicebenchError):
    """An editor returned something that is not an image of the session."""


class EndpointError(MicebenchError):
    """A server turns away every call, whatever is asked: a wrong key, a model that it does not serve."""


class RunError(MicebenchError):
    """A run directory does not fit what is asked of it."""


def nearest(name: str, known: Iterable[str], *, limit: int = 12) -> str:
    """``"did you mean 'x'? known: ..."`` for an unknown `name`, for use at the end of an error line."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(repr(c) for c in close)}? " if close else ""
    shown = ", ".join(names[:limit]) + (f", ... ({len(names)} in all)" if len(names) > limit else "")
    return f"{hint}known: {shown or 'none'}"


def one_line(said: object, most: int | None = None) -> str:
    """A text, or an error's message, in one printable line of at most `most` characters."""
    return printable(" ".join(str(said).split()))[:most]


def printable(text: str) -> str:
    """`text` on one line with nothing hidden in it.

    Control characters, direction overrides, lone surrogates and unassigned code points are written out as
    ``\\x1b`` or ``\\u202e``, so that no text can move the cursor, reverse the line or hide words.
    """
    return text if text.isascii() and text.isprintable() else "".join(map(_spelled, text))


def _spelled(character: str) -> str:
    if character in "\n\t\r":
        return " "
    if character in _JOINERS or unicodedata.category(character) not in _INVISIBLE:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def described(error: BaseException, most: int = 500) -> str:
    """``Kind: message`` in one line, for errors of other people's code."""
    return f"{type(error).__name__}: {one_line(error)}".removesuffix(": ")[:most]


def needs_extra(extra: str, error: ImportError) -> MicebenchError:
    """The line shown when a feature's optional dependencies are not installed."""
    return MicebenchError(f"{error.name or error} is not installed; run: pip install 'micebench[{extra}]'")
