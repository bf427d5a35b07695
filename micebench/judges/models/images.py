"""Images made from images: resized, cropped or compressed, named by how, so that they are computed once."""

import hashlib
import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from micebench.judges.models.base import Box
from micebench.verdicts import LazyImage

if TYPE_CHECKING:
    from PIL.Image import Image


class Derived:
    """A `LazyImage` that is computed from another when first looked at. `recipe` says how, and names it."""

    def __init__(self, image: LazyImage, recipe: str, make: "Callable[[Image], Image]") -> None:
        self._image, self._make = image, make
        self._sha256 = hashlib.sha256(f"{recipe} of {image.sha256}".encode()).hexdigest()
        self._made: Image | None = None

    @property
    def sha256(self) -> str:
        return self._sha256

    def load(self) -> "Image":
        if self._made is None:
            self._made = self._make(self._image.load())
        return self._made


def resized(image: LazyImage, size: tuple[int, int]) -> LazyImage:
    """(width, height) by Lanczos, whatever the aspect ratio: what the published protocols do."""
    from PIL.Image import Resampling

    return Derived(image, f"resize {size}", lambda picture: picture.resize(size, Resampling.LANCZOS))


def cropped(image: LazyImage, box: Box) -> LazyImage:
    """The rectangle, rounded to whole pixels, at least one."""

    def cut(picture: "Image") -> "Image":
        width, height = picture.size
        left, top = min(round(box.left * width), width - 1), min(round(box.top * height), height - 1)
        right, bottom = max(round(box.right * width), left + 1), max(round(box.bottom * height), top + 1)
        return picture.crop((left, top, right, bottom))

    return Derived(image, f"crop {box}", cut)


def compressed(image: LazyImage, quality: int | None) -> LazyImage:
    """The image after a trip through a JPEG file of this quality; itself for None."""
    if quality is None:
        return image

    def squeeze(picture: "Image") -> "Image":
        import PIL.Image

        buffer = io.BytesIO()
        picture.save(buffer, format="JPEG", quality=quality)
        return PIL.Image.open(buffer).convert("RGB")

    return Derived(image, f"jpeg {quality}", squeeze)
