"""How far a run is, told to whoever shows it."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total); the stages are ``sources``, ``edits``, ``verdicts``, in this order."""


def silent(stage: str, done: int, total: int) -> None:
    """Tells nobody."""
