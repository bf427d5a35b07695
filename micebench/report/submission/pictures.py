"""Images that somebody else made: PNG only, and measured before they are decoded."""

import hashlib
import io
import warnings
from typing import TYPE_CHECKING

from micebench.report.text import visible

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 4096 * 4096
_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_RGB_8 = b"\x08\x02"


def size_of(png: bytes) -> tuple[int, int]:
    """(width, height) by the header, without decoding.

    Raises ValueError: no PNG, more than `MAX_PIXELS`, or another form than 8-bit RGB.
    """
    if not png.startswith(_START) or len(png) < 33:
        raise ValueError("is no PNG")
    width, height = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
    if not 0 < width * height <= MAX_PIXELS or max(width, height) > MAX_PIXELS // 64:
        raise ValueError(f"says that it has {width:,} x {height:,} pixels; at most {MAX_PIXELS:,} are decoded")
    if png[24:26] != _RGB_8:
        raise ValueError("is not 8-bit RGB")
    return width, height


def decoded(png: bytes) -> "Image":
    """The RGB image. Raises ValueError: see `size_of`; or damaged."""
    import PIL.Image

    size_of(png)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
            with PIL.Image.open(io.BytesIO(png), formats=("PNG",)) as image:
                return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, MemoryError, PIL.Image.DecompressionBombError, Warning) as error:
        raise ValueError(f"cannot be decoded ({visible(error, 120)})") from error


def pixels_digest(image: "Image") -> str:
    """sha256 over size and RGB pixels: the same for every encoder."""
    width, height = image.size
    return hashlib.sha256(f"{width}x{height} ".encode() + image.convert("RGB").tobytes()).hexdigest()
