"""Errors a user can act on. The command line prints them as one line, without a traceback."""

import difflib
from collections.abc import Iterable


class MicebenchError(Exception):
    """Something the user can mend. The message names what was found, where, and the remedy."""


class CardError(MicebenchError):
    """A card is missing, malformed or does not fit the others it is used with."""


class UnavailableError(CardError):
    """What a card names cannot be had on this machine: a server, weights or a package."""


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
    """A text, or an error's message, in one line of at most `most` characters."""
    return " ".join(str(said).split())[:most]


def described(error: BaseException, most: int = 500) -> str:
    """``Kind: message`` in one line, for errors of other people's code."""
    return f"{type(error).__name__}: {one_line(error)}".removesuffix(": ")[:most]


def needs_extra(extra: str, error: ImportError) -> UnavailableError:
    """The line shown when a feature's optional dependencies are not installed."""
    return UnavailableError(f"{error.name or error} is not installed; run: pip install 'micebench[{extra}]'")
