"""How an image gets to a model that takes only certain sizes, and back. Nothing is ever squashed.

The image is scaled with its aspect ratio kept, centred on a canvas of a supported size, and the rest is padded in
neutral grey. Of the result the same part is cut out and scaled to the input's size.
"""

from dataclasses import dataclass
from math import ceil, floor, log, sqrt
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from micebench.errors import DataError, EditorError
from micebench.utils.image_decoding import UnreadableImage, decode_image

if TYPE_CHECKING:
    from PIL.Image import Image

Size = tuple[int, int]
"""(width, height) in pixels."""

FORMATS = ("PNG", "JPEG", "WEBP")
_GREY = (128, 128, 128)
_STRETCH = 1.03  # servers round sides to multiples of 8 to 32; a result further off is another picture


class CanvasRules(BaseModel):
    """Which sizes a model takes. With all at their defaults an image is sent at its own size."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sizes: tuple[Size, ...] = Field(default=(), description="the only sizes; the nearest by aspect ratio is taken")
    multiple: int = Field(default=1, ge=1, description="sides are multiples of this (without `sizes`)")
    min_pixels: int = Field(default=1, ge=1, description="smaller images are enlarged (without `sizes`)")
    max_pixels: int = Field(default=1 << 26, ge=1, description="larger images are reduced (without `sizes`)")


@dataclass(frozen=True, slots=True)
class Canvas:
    """A size to send, and where on it the image lies: (left, top, right, bottom) in pixels."""

    size: Size
    box: tuple[int, int, int, int]


def canvas_for(size: Size, rules: CanvasRules) -> Canvas:
    """The canvas for an image of `size`."""
    if rules.sizes:
        return _centred(size, min(rules.sizes, key=lambda other: stretch(size, other)))
    width, height = size
    pixels = width * height
    scale = sqrt(min(max(pixels, rules.min_pixels), rules.max_pixels) / pixels)
    counts = [side * scale / rules.multiple for side in size]
    # Up to the next multiple, so that no pixel is lost; down, where that would be too large.
    across, down = (max(1, ceil(count - 1e-9)) * rules.multiple for count in counts)
    if across * down > rules.max_pixels:
        across, down = (max(1, floor(count)) * rules.multiple for count in counts)
    return _centred(size, (across, down))


def stretch(size: Size, other: Size) -> float:
    """By which factor one side would grow more than the other; at least 1."""
    return 2.0 ** abs(log(size[0] * other[1] / (size[1] * other[0]), 2))


def place(image: "Image", canvas: Canvas) -> "Image":
    """The image on its canvas; the image itself where the canvas has its size."""
    from PIL import Image
    from PIL.Image import Resampling

    if image.size == canvas.size:
        return image
    left, top, right, bottom = canvas.box
    inner = (right - left, bottom - top)
    picture = image if image.size == inner else image.resize(inner, Resampling.LANCZOS)
    if inner == canvas.size:
        return picture
    sheet = Image.new("RGB", canvas.size, _GREY)
    sheet.paste(picture, (left, top))
    return sheet


def take_back(result: "Image", canvas: Canvas, size: Size) -> "Image":
    """The part of the result that shows the image, at the image's own size.

    Raises:
        EditorError: the result has another aspect ratio than the canvas, so that its parts cannot be told.
    """
    from PIL.Image import Resampling

    if result.size == size == canvas.size:
        return result
    if stretch(result.size, canvas.size) > _STRETCH:
        raise EditorError(
            f"the answer's image has {result.size[0]} x {result.size[1]} pixels, another aspect ratio than the "
            f"{canvas.size[0]} x {canvas.size[1]} that were asked for"
        )
    across, down = result.width / canvas.size[0], result.height / canvas.size[1]
    left, top, right, bottom = canvas.box
    # Cut out first: resizing a part in place would mix in the padding around it.
    part = (ceil(left * across), ceil(top * down), floor(right * across), floor(bottom * down))
    cut = result.crop(part)
    return cut if cut.size == size else cut.resize(size, Resampling.LANCZOS)


def decode(data: bytes, max_pixels: int) -> "Image":
    """Untrusted bytes as an upright RGB image (see `decode_image`).

    Raises:
        EditorError: not a whole PNG, JPEG or WebP, a pixel format of unknown scale, or more than `max_pixels`.
    """
    try:
        return decode_image(data, formats=FORMATS, max_pixels=max_pixels).image
    except UnreadableImage as error:
        raise EditorError("it is no readable PNG, JPEG or WebP image") from error
    except DataError as error:
        raise EditorError(str(error)) from error


def _centred(size: Size, sheet: Size) -> Canvas:
    scale = min(sheet[0] / size[0], sheet[1] / size[1])
    width, height = (max(1, min(round(side * scale), limit)) for side, limit in zip(size, sheet, strict=True))
    left, top = (sheet[0] - width) // 2, (sheet[1] - height) // 2
    return Canvas(sheet, (left, top, left + width, top + height))
