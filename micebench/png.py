"""The one form in which images are kept and sent."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


def encode_png(image: "Image") -> bytes:
    """Lossless, fast (level 1) and reproducible: equal pixels give equal bytes, whatever metadata came with them."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1, icc_profile=None, transparency=None)
    return buffer.getvalue()


def bare_rgb(image: "Image") -> "Image":
    """A copy without colour profile, transparency, EXIF or text: nothing but pixels is saved with it."""
    import PIL.Image

    pixels = image.convert("RGB")
    return PIL.Image.frombytes("RGB", pixels.size, pixels.tobytes())
