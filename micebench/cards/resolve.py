"""``module:attr`` references, imported only when used, with suggestions when they are wrong."""

import importlib
from typing import Any

from micebench.errors import CardError, nearest


def resolve(reference: str, *, where: str) -> Any:
    """Import ``package.module:attr``. `where` names the card (or option) for the error line.

    Raises:
        CardError: malformed reference, missing module or attribute.
    """
    module_name, colon, attribute = reference.partition(":")
    if not (colon and module_name and attribute.isidentifier()):
        raise CardError(f"{where}: {reference!r} is not module:name, e.g. my_package.my_editor:MyEditor")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise CardError(
            f"{where}: cannot import {module_name!r} ({error}); is it installed, or its folder on PYTHONPATH?"
        ) from error
    if not hasattr(module, attribute):
        public = [name for name in vars(module) if not name.startswith("_")]
        raise CardError(f"{where}: {module_name} has no {attribute!r}; {nearest(attribute, public)}")
    return getattr(module, attribute)
