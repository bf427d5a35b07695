"""Whatever bytes come in: pixels or one line of refusal, in bounded time and memory."""

import io
import time
import tracemalloc
import warnings
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from micebench.errors import DataError
from micebench.utils.image_decoding import decode_image

FORMS = ("PNG", "PNG16", "PALETTE", "JPEG", "WEBP", "TIFF", "TIFF-LZW", "TIFF-FLOAT", "GIF", "BMP", "AVIF", "PPM")
STARTS = (
    *(b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\x40\0\0\0WEBPVP8 ", b"II*\0", b"MM\0*"),
    *(b"BM", b"GIF89a", b"P6 9 9 255\n", b"P5 9 9 65535\n"),
)
PIXEL_LIMIT = 1_000_000
SECONDS = 5.0
BYTES = 64 * PIXEL_LIMIT


@cache
def honest(form: str) -> bytes:
    """A small file with everything that a decoder reads: EXIF data, a colour profile, transparency."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    tags = Image.Exif()
    tags[0x0112] = 6
    extra = {
        "exif": tags.tobytes(),
        "icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    }
    image, name, options = Image.fromarray(pixels), form.partition("-")[0], extra
    if form == "PNG16":
        image, name = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257), "PNG"
    elif form == "PALETTE":
        image, name, options = image.quantize(8), "PNG", {**extra, "transparency": b"\x00\x80"}
    elif form == "TIFF-LZW":
        options = {**extra, "compression": "tiff_lzw"}
    elif form == "TIFF-FLOAT":
        image = Image.fromarray(pixels[..., 0].astype(np.float32) / 255)
    elif form in ("PNG", "WEBP"):
        image = image.convert("RGBA")
    elif form in ("GIF", "BMP", "PPM"):
        options = {}
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def attempt(data: bytes) -> None:
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow thinks of damaged metadata
        try:
            decoded = decode_image(data, max_pixels=PIXEL_LIMIT)
        except DataError as error:
            said = str(error)
            assert said.isprintable(), said
            assert len(said) < 500
            assert " at 0x" not in said
        else:
            assert decoded.image.mode == "RGB"
            assert 0 < decoded.image.width * decoded.image.height <= PIXEL_LIMIT
            assert not decoded.image.info
            assert all(note.isprintable() and len(note) < 100 for note in decoded.notes)
    assert time.perf_counter() - started < SECONDS


@pytest.mark.parametrize("form", FORMS)
def test_the_honest_file_is_read(form: str) -> None:
    assert decode_image(honest(form)).image.mode == "RGB"


@settings(max_examples=100, deadline=None)
@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=400))
def test_random_bytes_are_refused_or_read(start: bytes, rest: bytes) -> None:
    attempt(start + rest)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_files_are_refused_or_read(form: str, data: st.DataObject) -> None:
    file = bytearray(honest(form))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(file) - 1))
        kind = data.draw(st.sampled_from(["set", "insert", "delete", "cut"]))
        if kind == "set":
            file[place] = data.draw(st.integers(0, 255))
        elif kind == "insert":
            file[place:place] = data.draw(st.binary(min_size=1, max_size=8))
        elif kind == "delete":
            del file[place : place + data.draw(st.integers(1, 8))]
        elif place > 8:
            del file[place:]
        if not file:
            break
    attempt(bytes(file))


def test_a_header_that_promises_much_takes_no_memory() -> None:
    from tests.utils.test_image_decoding import png

    tracemalloc.start()
    try:
        for size in ((10**6, 10**6), (60000, 60000)):
            with pytest.raises(DataError):
                decode_image(png(2, 8, size, b""))
        bomb = io.BytesIO()
        Image.new("1", (1100, 1100)).save(bomb, "TIFF", compression="group4")
        with pytest.raises(DataError, match="at most 1,000,000"):
            decode_image(bomb.getvalue(), max_pixels=PIXEL_LIMIT)
        assert tracemalloc.get_traced_memory()[1] < BYTES
    finally:
        tracemalloc.stop()
