"""A PNG of a bundle has one exact structure; nothing in it can make a decoder see other pixels than were measured."""

import io
import random
import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from micebench.submission.png_checks import MAX_CHUNKS, decoded, size_of
from micebench.utils.png import encode_png

SIGNATURE = b"\x89PNG\r\n\x1a\n"
Chunk = tuple[bytes, bytes]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int, height: int, rest: bytes = b"\x08\x02\x00\x00\x00") -> Chunk:
    return b"IHDR", struct.pack(">II", width, height) + rest


def file(*chunks: Chunk) -> bytes:
    return SIGNATURE + b"".join(chunk(kind, data) for kind, data in chunks)


def rows(width: int, height: int) -> bytes:
    return (b"\0" + bytes(range(3 * width))) * height


HEADER, END = header(4, 4), (b"IEND", b"")
DATA = (b"IDAT", zlib.compress(rows(4, 4)))
GOOD = file(HEADER, DATA, END)
NOISE = encode_png(Image.frombytes("RGB", (24, 17), random.Random(1).randbytes(24 * 17 * 3)))
PALETTE = (b"PLTE", bytes(range(48)))
SPLIT = ((b"IDAT", DATA[1][:9]), (b"IDAT", DATA[1][9:]))


def broken(png: bytes, place: int) -> bytes:
    return png[:place] + bytes([png[place] ^ 1]) + png[place + 1 :]


REFUSED: dict[str, tuple[bytes, str]] = {
    "second IHDR": (file(HEADER, header(9000, 1), DATA, END), "has a second IHDR"),
    "second IHDR behind the pixels": (file(HEADER, DATA, header(9000, 1), END), "has a second IHDR"),
    "same IHDR twice": (file(HEADER, HEADER, DATA, END), "has a second IHDR"),
    "no IHDR first": (file(DATA, HEADER, END), "is no PNG"),
    "long IHDR": (file((b"IHDR", HEADER[1] + b"\0"), DATA, END), "is no PNG"),
    "no IEND": (file(HEADER, DATA), "has no IEND"),
    "bytes behind IEND": (GOOD + b"x", "has something after its end"),
    "second IEND": (GOOD + chunk(*END), "has something after its end"),
    "IEND with content": (file(HEADER, DATA, (b"IEND", b"x")), "has something after its end"),
    "wrong CRC of IHDR": (broken(GOOD, 8 + 8 + 13), "chunk IHDR with a wrong checksum"),
    "wrong CRC of IDAT": (broken(GOOD, len(GOOD) - 13), "chunk IDAT with a wrong checksum"),
    "wrong CRC of IEND": (broken(GOOD, len(GOOD) - 1), "chunk IEND with a wrong checksum"),
    "unknown critical chunk": (file(HEADER, (b"ABCD", b""), DATA, END), "has an unknown critical chunk ABCD"),
    "chunk that is no name": (file(HEADER, (b"a\0\x1b[", b""), DATA, END), "has an unknown critical chunk"),
    "palette image": (file(header(4, 4, b"\x08\x03\0\0\0"), PALETTE, DATA, END), "is not 8-bit RGB"),
    "16 bits": (file(header(4, 4, b"\x10\x02\0\0\0"), DATA, END), "is not 8-bit RGB"),
    "compression method": (file(header(4, 4, b"\x08\x02\1\0\0"), DATA, END), "PNG does not know"),
    "filter method": (file(header(4, 4, b"\x08\x02\0\1\0"), DATA, END), "PNG does not know"),
    "interlace method": (file(header(4, 4, b"\x08\x02\0\0\2"), DATA, END), "PNG does not know"),
    "pixel data apart": (file(HEADER, SPLIT[0], (b"tEXt", b"a\0b"), SPLIT[1], END), "pixel data in several places"),
    "no pixel data": (file(HEADER, END), "has no pixel data"),
    "animation": (file(HEADER, (b"acTL", bytes(8)), DATA, END), "is animated"),
    "much metadata": (file(HEADER, *[(b"teXt", bytes(1 << 20))] * 5, DATA, END), "MiB of metadata"),
    "many chunks": (file(HEADER, *[(b"IDAT", b"")] * MAX_CHUNKS, DATA, END), "has more than 65,536 chunks"),
}
UNDECODABLE: dict[str, tuple[bytes, str]] = {
    "more pixels": (file(HEADER, (b"IDAT", zlib.compress(rows(4, 5))), END), "more pixel data than its header"),
    "fewer pixels": (file(HEADER, (b"IDAT", zlib.compress(rows(4, 3))), END), "less pixel data than its header"),
    "cut zlib stream": (file(HEADER, (b"IDAT", DATA[1][:-3]), END), "less pixel data than its header"),
    "bytes behind the zlib stream": (file(HEADER, (b"IDAT", DATA[1] + b"x"), END), "something after its pixel data"),
    "chunk behind the zlib stream": (file(HEADER, DATA, (b"IDAT", b"x"), END), "something after its pixel data"),
    "wrong Adler sum": (file(HEADER, (b"IDAT", DATA[1][:-1] + b"\0"), END), "cannot be decoded"),
    "no zlib": (file(HEADER, (b"IDAT", b"\xff" * 9), END), "cannot be decoded"),
    "unknown row filter": (file(HEADER, (b"IDAT", zlib.compress(b"\7" * 52)), END), "cannot be decoded"),
}


@pytest.mark.parametrize(("png", "said"), REFUSED.values(), ids=REFUSED)
def test_a_png_of_another_structure_is_refused_before_it_is_inflated(png: bytes, said: str):
    for read in (size_of, decoded):
        with pytest.raises(ValueError, match=said) as error:
            read(png)
        assert str(error.value).isprintable()


@pytest.mark.parametrize(("png", "said"), UNDECODABLE.values(), ids=UNDECODABLE)
def test_pixel_data_that_is_not_the_headers_is_refused(png: bytes, said: str):
    assert size_of(png, bare=True) == (4, 4)
    with pytest.raises(ValueError, match=said):
        decoded(png)


@pytest.mark.parametrize("kind", [b"tEXt", b"iCCP", b"tRNS", b"gAMA", b"eXIf", b"iDOT", b"PLTE"])
def test_an_edited_image_holds_no_metadata_but_a_source_may(kind: bytes):
    png = file(HEADER, (kind, b"\0\1\0\1\0\1"), DATA, END)
    assert decoded(png).tobytes() == decoded(GOOD).tobytes()
    assert decoded(png).info == {}
    for read in (size_of, decoded):
        with pytest.raises(ValueError, match=f"has a chunk {kind.decode()}; an edited image holds pixels only"):
            read(png, bare=True)


@pytest.mark.parametrize("size", [(1, 1), (3, 9), (48, 48), (257, 131)])
def test_what_micebench_and_interlacing_encoders_write_is_decoded(size: tuple[int, int]):
    noise = random.Random(0).randbytes(3 * size[0] * size[1])
    image = Image.frombytes("RGB", size, noise)
    assert decoded(encode_png(image), bare=True).tobytes() == noise
    assert size_of(encode_png(image), bare=True) == size
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    data = b""
    for left, top, right, down in passes:
        for y in range(top, size[1], down):
            row = b"".join(noise[3 * (y * size[0] + x) :][:3] for x in range(left, size[0], right))
            data += b"\0" + row if row else b""
    png = file(header(*size, b"\x08\x02\0\0\1"), (b"IDAT", zlib.compress(data)), END)
    assert decoded(png, bare=True).tobytes() == noise


def test_a_bomb_of_pixels_is_not_inflated():
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    png = file(HEADER, (b"IDAT", packed), END)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="more pixel data"):
            decoded(png)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_damaged_png_is_refused_or_shows_the_same_pixels(data: st.DataObject):
    whole = data.draw(st.sampled_from([GOOD, NOISE]))
    png = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(png) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "insert"])):
            case "flip":
                png[place] ^= data.draw(st.integers(1, 255))
            case "cut":
                del png[place : place + data.draw(st.integers(1, 20))]
            case "insert":
                png[place:place] = data.draw(st.binary(max_size=20))
        if not png:
            break
    try:
        pixels = decoded(bytes(png), bare=True)
    except ValueError:
        return
    with Image.open(io.BytesIO(whole)) as image:
        assert (pixels.size, pixels.tobytes()) == (image.size, image.convert("RGB").tobytes())
