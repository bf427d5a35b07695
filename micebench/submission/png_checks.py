"""Images from a bundle: PNG of one exact structure, walked chunk by chunk before a decoder sees it.

A decoder skips what it does not know, takes the last of two headers and stops at the first end. So that it cannot
see other pixels than its caller measured, it gets a file rebuilt from the header and the pixel data alone.
"""

import hashlib
import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from micebench.report.formatting import visible
from micebench.utils.png import bare_rgb

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 4096 * 4096
MAX_CHUNKS = 65_536
MAX_ANCILLARY_BYTES = 4 << 20
"""Of colour profiles, text and the like in the source image of a data set."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB_8 = b"\x08\x02"
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")
_PIECE = 1 << 16
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


@dataclass(frozen=True)
class _Png:
    """The parts of a PNG that pixels are decoded from."""

    header: bytes
    width: int
    height: int
    interlaced: bool
    data: tuple[memoryview, ...]

    @property
    def inflated_bytes(self) -> int:
        """What the pixel data must inflate to: a filter byte and three bytes a pixel for each row of each pass."""
        if not self.interlaced:
            return self.height * (1 + 3 * self.width)
        total = 0
        for left, top, right, down in _ADAM7:
            width, height = -((left - self.width) // right), -((top - self.height) // down)
            total += height * (1 + 3 * width) if width > 0 and height > 0 else 0
        return total


def size_of(png: bytes, *, bare: bool = False) -> tuple[int, int]:
    """(width, height), after the whole structure was checked; no pixel data is inflated.

    Args:
        png: the file.
        bare: allow no chunks but IHDR, IDAT and IEND, which is what micebench writes. Otherwise ancillary ones
            may be there, as in the source images of a data set.

    Raises:
        ValueError: no PNG, more than `MAX_PIXELS`, another form than 8-bit RGB, or a damaged or odd structure.
    """
    parts = _parts(png, bare)
    return parts.width, parts.height


def decoded(png: bytes, *, bare: bool = False) -> "Image":
    """The RGB pixels, without any metadata. Raises ValueError: see `size_of`; or damaged pixel data."""
    import PIL.Image

    parts = _parts(png, bare)
    _check_inflates(parts)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
            with PIL.Image.open(io.BytesIO(_rebuilt(parts)), formats=("PNG",)) as image:
                if image.size != (parts.width, parts.height) or image.mode != "RGB":
                    raise ValueError("other pixels than its header says")
                return bare_rgb(image)
    except (OSError, ValueError, SyntaxError, MemoryError, PIL.Image.DecompressionBombError, Warning) as error:
        raise ValueError(f"cannot be decoded ({visible(error, 120)})") from error


def pixels_digest(image: "Image") -> str:
    """sha256 over size and RGB pixels: the same for every encoder."""
    width, height = image.size
    return hashlib.sha256(f"{width}x{height} ".encode() + image.convert("RGB").tobytes()).hexdigest()


def _parts(png: bytes, bare: bool) -> _Png:
    if not png.startswith(_SIGNATURE):
        raise ValueError("is no PNG")
    view = memoryview(png)
    measured: tuple[bytes, int, int, bool] | None = None
    data: list[memoryview] = []
    place, last, ancillary = len(_SIGNATURE), b"", 0
    for _ in range(MAX_CHUNKS):
        length, kind = int.from_bytes(png[place : place + 4], "big"), png[place + 4 : place + 8]
        content, end = view[place + 8 : place + 8 + length], place + 12 + length
        if end > len(png):
            raise ValueError("is cut off: it has no IEND" if last else "is no PNG")
        if zlib.crc32(view[place + 4 : end - 4]).to_bytes(4, "big") != png[end - 4 : end]:
            raise ValueError(f"has a chunk {visible(kind.decode('latin-1'), 20)} with a wrong checksum")
        if (kind == b"IHDR") != (measured is None):
            raise ValueError("is no PNG" if measured is None else "has a second IHDR")
        if kind == b"IHDR":
            measured = _measured(bytes(content))
        elif kind == b"IDAT":
            if data and last != b"IDAT":
                raise ValueError("has pixel data in several places")
            data.append(content)
        elif kind == b"IEND":
            if length or end != len(png):
                raise ValueError("has something after its end")
            break
        else:
            ancillary += end - place
            _check_ancillary(kind, bare)
        place, last = end, kind
    else:
        raise ValueError(f"has more than {MAX_CHUNKS:,} chunks")
    if ancillary > MAX_ANCILLARY_BYTES:
        raise ValueError(f"has more than {MAX_ANCILLARY_BYTES >> 20} MiB of metadata")
    if measured is None or not data:
        raise ValueError("has no pixel data")
    return _Png(*measured, tuple(data))


def _measured(header: bytes) -> tuple[bytes, int, int, bool]:
    """(header, width, height, interlaced)."""
    if len(header) != 13:
        raise ValueError("is no PNG")
    width, height = struct.unpack(">II", header[:8])
    if not 0 < width * height <= MAX_PIXELS or max(width, height) > MAX_PIXELS // 64:
        raise ValueError(f"says that it has {width:,} x {height:,} pixels; at most {MAX_PIXELS:,} are decoded")
    if header[8:10] != _RGB_8:
        raise ValueError("is not 8-bit RGB")
    if header[10:12] != bytes(2) or header[12] > 1:
        raise ValueError("is compressed, filtered or interlaced in a way that PNG does not know")
    return header, width, height, header[12] == 1


def _check_ancillary(kind: bytes, bare: bool) -> None:
    name = visible(kind.decode("latin-1"), 20)
    if not (kind.isalpha() and kind.isascii()) or (not kind[0] & 0x20 and kind != b"PLTE"):
        raise ValueError(f"has an unknown critical chunk {name}")
    if kind in _ANIMATION:
        raise ValueError("is animated")
    if bare:
        raise ValueError(f"has a chunk {name}; an edited image holds pixels only")


def _check_inflates(parts: _Png) -> None:
    """The pixel data is one zlib stream of exactly the header's size; inflated in pieces, none of them kept."""
    stream, size, wanted = zlib.decompressobj(), 0, parts.inflated_bytes
    try:
        for content in parts.data:
            rest: bytes | memoryview = content
            while rest and not stream.eof:
                size += len(stream.decompress(rest, _PIECE))
                rest = stream.unconsumed_tail
                if size > wanted:
                    raise ValueError("cannot be decoded (more pixel data than its header says)")
            if rest or stream.unused_data:
                raise ValueError("has something after its pixel data")
    except zlib.error as error:
        raise ValueError(f"cannot be decoded ({visible(error, 120)})") from error
    if size < wanted or not stream.eof:
        raise ValueError("cannot be decoded (less pixel data than its header says)")


def _rebuilt(parts: _Png) -> bytes:
    chunks = [(b"IHDR", parts.header), (b"IDAT", b"".join(parts.data)), (b"IEND", b"")]
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
