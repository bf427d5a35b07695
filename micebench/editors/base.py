"""The whole contract of an editor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    EditResult = Image | np.ndarray


@dataclass(frozen=True, slots=True)
class EditRequest:
    """All that an editor is ever told. Bracketed instructions, pools and rules are not in it, by type.

    What `instructions` and `images` hold depends on the editor's context:

    ========  ===============================  ==========================================
    context   instructions                     images
    ========  ===============================  ==========================================
    last      the current one                  the editor's last output
    history   1..turn, as the user wrote them  0..turn-1: source, then its own outputs
    composed  one: 1..turn joined by ". "      the source
    ========  ===============================  ==========================================

    Images are RGB, re-read from the stored PNG. `seed` is derived from (task, session, turn, repeat, seed):
    an editor draws all its randomness from it, so that batching never changes a result.
    """

    session_id: str
    turn: int
    instructions: tuple[str, ...]
    images: tuple["Image", ...] = field(repr=False)
    seed: int

    @property
    def instruction(self) -> str:
        """The current instruction."""
        return self.instructions[-1]

    @property
    def image(self) -> "Image":
        """The image to edit."""
        return self.images[-1]


def one_prompt(instructions: Sequence[str]) -> str:
    """Several instructions as one prompt: sentences in the order they were said, the last one as it is."""
    return ". ".join([*(said.rstrip(" .") for said in instructions[:-1]), instructions[-1]])


@dataclass(frozen=True, slots=True)
class Edited:
    """An editor's result with what is worth keeping about how it came about; a bare image is as good.

    Attributes:
        image: the edit; None if there is none, then exactly one of `refused` and `failed` says why.
        refused: the editor declined (a content filter, say): the editor's doing, recorded as a refusal.
        failed: it could not be done (an outage, out of memory, an answer without an image).
        usage: tokens, cost in USD, latency in seconds, retries ...: whatever is known.
        hopeless: with `failed`: every other request would fail like this one (a wrong key, a model that is not
            there). Nothing is recorded; the run keeps what it has and stops with that reason.
    """

    image: "EditResult | None" = field(repr=False)
    refused: str = ""
    failed: str = ""
    usage: Mapping[str, Any] | None = None
    hopeless: bool = False


class Editor(Protocol):
    """Anything that turns requests into images.

    A class with this one method is an editor: name it ``module:Class`` in a card, or pass an instance to
    `micebench.evaluate`. Same length and order as `requests`; each result is a PIL image, a uint8 array
    (H, W, 3), a float array (H, W, 3) in [0, 1], or an `Edited`.
    """

    def edit(self, requests: Sequence[EditRequest]) -> "list[EditResult | Edited]": ...
