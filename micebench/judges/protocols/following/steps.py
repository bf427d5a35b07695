"""What the rules of all protocols are made of."""

from collections.abc import Generator, Sequence
from typing import Any, Protocol

from micebench.judges.models.base import Request
from micebench.verdicts import LazyImage, Verdict

Step = Generator[Request, Any, Verdict]
"""One edit type's rule on its way: yields requests, returns the verdict."""


class Asks(Protocol):
    """The VLM's part: questions by the name of their prompt, answered in the mode the judge's card names."""

    def yes(self, prompt: str, images: Sequence[LazyImage], /, **words: str) -> Generator[Request, Any, float]:
        """How far the answer is yes, in [0, 1]; raises Unanswered if it cannot be told."""
        ...

    def text(self, prompt: str, images: Sequence[LazyImage], /, **words: str) -> Generator[Request, Any, str]:
        """A written answer."""
        ...

    def texts(self, prompt: str, images: Sequence[LazyImage], /, **words: str) -> Generator[Request, Any, list[str]]:
        """Written answers, one per vote."""
        ...


def failed(reason: str) -> Verdict:
    """The turn was not followed."""
    return Verdict.ok(0.0, reason)
