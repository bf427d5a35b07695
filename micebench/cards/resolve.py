"""``module:attr`` references, imported only when used; whatever other people's code does there is one line."""

import importlib
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from micebench.errors import CardError, MicebenchError, described, nearest, one_line

_SHOWN = 100  # characters of a reference
_NEVER = set("/\\\0 \t\n")  # characters that no module's name has
_OURS = {Path(__file__), Path(importlib.__file__)}  # whose lines say nothing about a failure


def resolve(reference: str, *, where: str) -> Any:
    """Import ``package.module:attr``. `where` names the card (or option) for the error line.

    Raises:
        CardError: malformed reference, missing module or attribute, or a module that fails or exits while it is
            imported.
    """
    module_name, colon, attribute = reference.partition(":")
    if not (colon and _is_dotted_name(module_name) and attribute.isidentifier()):
        shown = one_line(reference, _SHOWN)
        raise CardError(f"{where}: {shown!r} is not module:name, e.g. my_package.my_editor:MyEditor")
    with failure_of(f"{where}: importing {module_name}", module_name):
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if not _lacks_itself(module_name, error):
                raise
            raise CardError(
                f"{where}: cannot import {module_name!r} ({error}); is it installed, or its folder on PYTHONPATH?"
            ) from error
        if not hasattr(module, attribute):
            public = [name for name in vars(module) if not name.startswith("_")]
            raise CardError(f"{where}: {module_name} has no {attribute!r}; {nearest(attribute, public)}")
        return getattr(module, attribute)


def made(reference: str, make: Callable[..., Any], *arguments: Any, where: str) -> Any:
    """What a class or function of a reference returns.

    Raises:
        CardError: it raises something other than a MicebenchError, or exits.
    """
    with failure_of(f"{where}: {reference}", reference.partition(":")[0]):
        return make(*arguments)


@contextmanager
def failure_of(doing: str, module: str) -> Iterator[None]:
    """Turn what other people's code raises, SystemExit included, into a CardError; Ctrl-C stays what it is.

    Args:
        doing: begins the message.
        module: dotted name of the module; of the places in a traceback its own is named, if it has one.
    """
    try:
        yield
    except (MicebenchError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise CardError(f"{doing} failed{_place(error, module)}: {_told(error)}") from error


def _told(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {one_line(error.msg, 300)}"
    if isinstance(error, SystemExit):
        return f"it exits (SystemExit: {one_line(error.code, 100)})"
    try:
        return described(error)
    except Exception:  # noqa: BLE001 (an exception whose own text cannot be made)
        return type(error).__name__


def _place(error: BaseException, module: str) -> str:
    """`` at file:line``: the last line of the module that was at work, else of any; "" if there is none."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" at {error.filename}:{error.lineno or 1}"
    frames = [
        (frame.f_code.co_filename, line, frame.f_globals) for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    frames = [entry for entry in frames if not entry[0].startswith("<frozen") and Path(entry[0]) not in _OURS]
    own = [entry for entry in frames if entry[2].get("__name__") == module]
    for file, line, _ in (own or frames)[-1:]:
        return f" at {file}:{line}"
    return ""


def _is_dotted_name(name: str) -> bool:
    return all(part and not _NEVER & set(part) for part in name.split("."))


def _lacks_itself(module: str, error: ModuleNotFoundError) -> bool:
    """Whether the module or a package above it is what is missing, rather than something that it imports."""
    return error.name is not None and (module == error.name or module.startswith(f"{error.name}."))
