"""Stored images as small data URIs; one decoded at a time.

Only pixels are shown: a colour profile or a transparent colour in the file would show others than the judge saw.
"""

import base64
import io
from dataclasses import dataclass

from micebench.utils.png import bare_rgb

_SMALL = 96  # px: up to here an image is shown pixel by pixel, losslessly, at a whole multiple of its size
_SHOWN = 192  # px: what small images are enlarged to, at most
_LARGEST = 256  # px: longest side of a thumbnail


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """An embedded image: `width` and `height` are CSS pixels, `size` the stored image's "W×H"."""

    uri: str
    width: int
    height: int
    pixelated: bool
    size: str


def thumbnail(data: bytes) -> Thumbnail | None:
    """The data URI of an encoded image; None if it cannot be decoded."""
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(data)) as stored:
            width, height = stored.size
            image = bare_rgb(stored)
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError):
        return None
    size = f"{width}×{height}"
    buffer = io.BytesIO()
    if max(width, height) <= _SMALL:
        scale = max(1, _SHOWN // max(width, height))
        image.save(buffer, "PNG", optimize=True)
        return Thumbnail(_uri("png", buffer), width * scale, height * scale, True, size)
    image.thumbnail((_LARGEST, _LARGEST))
    image.save(buffer, "WEBP", quality=82, method=4)
    return Thumbnail(_uri("webp", buffer), image.width, image.height, False, size)


def _uri(kind: str, buffer: io.BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
