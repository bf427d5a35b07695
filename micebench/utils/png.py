"""The one form in which images are kept and sent."""

import io
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_IHDR, _IDAT, _IEND = b"IHDR", b"IDAT", b"IEND"
_RGB_8 = b"\x08\x02"  # bit depth and colour type
_AROUND = 12  # bytes of a chunk's length, type and checksum


def encode_png(image: "Image") -> bytes:
    """Lossless, fast (level 1) and reproducible: equal pixels give equal bytes, whatever metadata came with them."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1, icc_profile=None, transparency=None)
    return buffer.getvalue()


def is_bare_png(data: bytes) -> bool:
    """Whether a file is an 8-bit RGB PNG that holds pixels alone: no metadata, nothing behind its end, no damage.

    Only such a file shows the same colours in every viewer.
    """
    if not data.startswith(_SIGNATURE) or data[24:26] != _RGB_8:
        return False
    chunks: list[bytes] = []
    place = len(_SIGNATURE)
    while place + _AROUND <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        end = place + _AROUND + length
        body, checksum = data[place + 4 : end - 4], data[end - 4 : end]
        if end > len(data) or zlib.crc32(body).to_bytes(4, "big") != checksum:
            return False
        chunks.append(body[:4])
        place = end
    pixels = chunks[1:-1]
    return place == len(data) and chunks == [_IHDR, *pixels, _IEND] and set(pixels) == {_IDAT}


def bare_rgb(image: "Image") -> "Image":
    """A copy without colour profile, transparency, EXIF or text: nothing but pixels is saved with it."""
    import PIL.Image

    pixels = image.convert("RGB")
    return PIL.Image.frombytes("RGB", pixels.size, pixels.tobytes())
