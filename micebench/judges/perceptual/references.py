"""What an image is compared with, and the texts that describe what was wanted."""

import hashlib
from typing import TYPE_CHECKING

from micebench.sessions import ImageFile
from micebench.verdicts import LazyImage, Question

if TYPE_CHECKING:
    from PIL.Image import Image


class Nothing(Exception):
    """There is nothing to compare with; the message says what is missing."""


class Target:
    """A turn's reference image as a `LazyImage`. Raises DataError if it cannot be read."""

    def __init__(self, file: ImageFile) -> None:
        self._data = file.read()
        self._path = file.path
        self._image: Image | None = None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self._data).hexdigest()

    def load(self) -> "Image":
        if self._image is None:
            self._image = ImageFile(self._path, data=self._data).open()
        return self._image


def reference(question: Question, to: str) -> LazyImage:
    """The image that `to` (source, previous, target) names. Raises Nothing, or DataError if it cannot be read."""
    if to == "source":
        return question.images[0]
    if to == "previous":
        return question.earlier[-1]
    file = question.current.target_image
    if file is None:
        raise Nothing("the turn has no reference image")
    target = Target(file)
    target.load()  # an unreadable one is this question's fault, not the batch's
    return target


def wanted(question: Question) -> str:
    """Description of the image this turn should lead to. Raises Nothing."""
    return _described(question, question.turn)


def wanted_before(question: Question) -> str:
    """Description of the image the turn starts from. Raises Nothing."""
    if len(question.earlier) == 1:
        raise Nothing("there is no description of the source image")
    return _described(question, question.turn - 1)


def _described(question: Question, turn: int) -> str:
    text = question.session.turns[turn - 1].target_description
    if not text:
        raise Nothing(f"turn {turn} has no description of the wanted image")
    return text
