"""The whole contract of an editor."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

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


class Editor(Protocol):
    """Anything that turns requests into images.

    A class with this one method is an editor: name it ``module:Class`` in a card, or pass an instance to
    `micebench.evaluate`. Same length and order as `requests`; each result is a PIL image, a uint8 array
    (H, W, 3), or a float array (H, W, 3) in [0, 1].
    """

    def edit(self, requests: Sequence[EditRequest]) -> "list[EditResult]": ...
