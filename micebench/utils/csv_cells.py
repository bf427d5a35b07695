"""Text in CSV files that spreadsheet programs take for what it is: ``=1+1`` is a formula to them, ``'=1+1`` text."""

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_QUOTED = re.compile(r"'+[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def inert(cell: object) -> object:
    """A cell that no program evaluates: an apostrophe goes before text that begins like a formula.

    Numbers, and text that is a number, stay what they are.
    """
    if isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def plain(cell: str) -> str:
    """The text of a cell that `inert` has written."""
    return cell[1:] if _QUOTED.match(cell) else cell
