"""Errors a user can act on. The command line prints them as one line, without a traceback."""

import difflib
import errno
import re
import unicodedata
from collections.abc import Iterable

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]{4,}(?=>)")
"""In the representation of an object: another one in every process, and nothing that a user could look up."""
_JOINERS = "\u200c\u200d"  # needed to spell Persian and to compose emoji
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef]"
)  # letters and marks without a shape; \ufe0e and \ufe0f choose between text and emoji


class MicebenchError(Exception):
    """Something the user can fix. The message names what was found, where, and the remedy.

    Attributes:
        exit_code: of the command line.
    """

    exit_code = 1

    def __str__(self) -> str:
        return without_addresses(super().__str__())


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


class NothingGained(MicebenchError):
    """A judging without a single value, or a training without a single optimizer step. What was computed is kept."""

    exit_code = 3


class HopelessEndpoint(EndpointError, NothingGained):
    """A server gives the same error to one question after the other, and has answered none."""


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
    return printable(without_addresses(" ".join(str(said).split())))[:most]


def printable(text: str) -> str:
    """`text` on one line with nothing hidden in it.

    Control characters, direction overrides, lone surrogates and unassigned code points are written out as
    ``\\x1b`` or ``\\u202e``, so that no text can move the cursor, reverse the line or hide words.
    """
    return text if text.isascii() and text.isprintable() else "".join(map(_spelled, text))


def hidden(character: str) -> bool:
    """Whether a character has no shape of its own: control, format, unassigned, filler, variation selector."""
    return unicodedata.category(character) in _INVISIBLE or _BLANK.match(character) is not None


def _spelled(character: str) -> str:
    if character in "\n\t\r":
        return " "
    if character in _JOINERS or not hidden(character):
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def without_addresses(text: str) -> str:
    """``<object object at 0x7f...>`` as ``<object object>``."""
    return _ADDRESS.sub("", text) if " at 0x" in text else text


_REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of your quota, or have it raised",
    errno.EROFS: "the file system is read-only; mount it writable, or give a folder on another one",
    errno.EACCES: "change the permissions, or give another folder",
    errno.EPERM: "change the owner or the attributes of the file, or give another folder",
    errno.ENAMETOOLONG: "give a shorter path",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
    errno.ENFILE: "the system has too many open files; close other programs",
    errno.EFBIG: "the file would be too large; raise the limit (ulimit -f), or give a folder on another file system",
    errno.EIO: "the device fails; check it, and go on with a copy on another one",
    errno.ENODEV: "the device is gone; attach it again",
    errno.ENXIO: "the device is gone; attach it again",
    errno.ENOENT: "a folder of the path is gone; make it again, or give another one",
    errno.ENOTDIR: "a part of the path is a file; give another path",
    errno.EISDIR: "a folder has the name of the file; move it away, or give another path",
    errno.ENOTEMPTY: "a folder is in the way; move it away, or give another path",
    errno.EEXIST: "a file is in the way; move it away, or give another path",
    errno.ELOOP: "symbolic links of the path lead in a circle; correct them",
    errno.EINVAL: "the file system does not take this name or file; give another folder",
    errno.EXDEV: "two file systems share the folder; give one that lies on a single file system",
    errno.EBUSY: "another program holds the file; end it",
    errno.ETXTBSY: "another program runs the file; end it",
    errno.ENOLCK: "the file system has no locks left; give a folder on another one",
    errno.ENOTSUP: "the file system cannot do this; give a folder on another one",
    errno.ENOSYS: "the file system cannot do this; give a folder on another one",
    errno.ENOMEM: "free some memory",
    errno.ESTALE: "the network file system has lost the file; mount it again",
    errno.ENOTCONN: "the network file system is not connected; mount it again",
    errno.ETIMEDOUT: "the network file system does not answer; mount it again",
    errno.EPIPE: "the reading program has ended; start it again",
}


def remedy(error: OSError) -> str:
    """What to do about a refusal of the operating system, by its number."""
    return _REMEDIES.get(error.errno or 0, "check the path and its device")


def described(error: BaseException, most: int = 500) -> str:
    """``Kind: message`` in one line, for errors of other people's code."""
    return f"{type(error).__name__}: {one_line(error)}".removesuffix(": ")[:most]


def needs_extra(extra: str, error: ImportError) -> UnavailableError:
    """The line shown when a feature's optional dependencies are not installed."""
    return UnavailableError(f"{error.name or error} is not installed; run: pip install 'micebench[{extra}]'")
