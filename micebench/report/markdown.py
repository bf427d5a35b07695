"""Tables as Markdown."""

from collections.abc import Iterable, Sequence


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], rule: str = "--:") -> str:
    """The first column to the left, the others as `rule` says: numbers to the right unless told otherwise."""
    lines = [heads, [":--", *[rule] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
