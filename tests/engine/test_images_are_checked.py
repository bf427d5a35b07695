"""Only an image of the right size enters a run; everything else is one clear line."""

import numpy as np
import pytest
from PIL import Image

from micebench.engine.images import decode_png, source_png, to_png
from micebench.errors import DataError, EditorError
from micebench.png import encode_png
from micebench.sessions import ImageFile

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
SIZE = (6, 4)


@pytest.mark.parametrize(
    "result",
    [PIXELS, Image.fromarray(PIXELS), PIXELS / 255.0, (PIXELS / 255.0).astype(np.float32), np.asfortranarray(PIXELS)],
    ids=["uint8", "PIL", "float64", "float32", "strided"],
)
def test_every_form_of_an_image_is_stored_losslessly(result: object) -> None:
    assert np.array_equal(np.asarray(decode_png(to_png(result, SIZE))), PIXELS)


def test_equal_pixels_give_equal_bytes() -> None:
    assert to_png(PIXELS, None) == to_png(Image.fromarray(PIXELS), None) == to_png(PIXELS / 255, None)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1"])
def test_other_common_modes_become_rgb(mode: str) -> None:
    image = Image.fromarray(PIXELS).convert(mode)
    assert decode_png(to_png(image, SIZE)).mode == "RGB"


BROKEN = PIXELS / 255.0
BROKEN[1, 2, 0] = np.nan
INFINITE = PIXELS / 255.0
INFINITE[0, 0, 1] = np.inf


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (BROKEN, r"1 values that are NaN or infinite"),
        (INFINITE, r"1 values that are NaN or infinite"),
        (PIXELS * 1.0, r"float image with values in \[1, 2\d\d\]; expected \[0, 1\]"),
        (PIXELS / 127.5 - 1.0, r"float image with values in \[-"),
        (PIXELS.astype(np.int64), r"dtype int64; expected uint8"),
        (PIXELS[..., 0], r"shape \(4, 6\)"),
        (PIXELS.transpose(2, 0, 1), r"shape \(3, 4, 6\); expected \(height, width, 3\)"),
        (PIXELS[None], r"shape \(1, 4, 6, 3\)"),
        (PIXELS[:0], r"shape \(0, 6, 3\)"),
        (PIXELS[:3], r"6 x 3 pixels for an input of 6 x 4"),
        (Image.fromarray(PIXELS).resize((4, 4)), r"4 x 4 pixels for an input of 6 x 4"),
        (Image.fromarray(np.zeros((4, 6), np.float32)), r"mode 'F'"),
        (None, r"returned None"),
        ("image.png", r"an object of type 'str'"),
    ],
)
def test_what_is_no_image_of_the_session_is_refused_in_one_line(result: object, said: str) -> None:
    with pytest.raises(EditorError, match=said) as error:
        to_png(result, SIZE)
    assert "\n" not in str(error.value)


def test_a_task_that_allows_it_takes_any_size() -> None:
    assert decode_png(to_png(PIXELS[:3], None)).size == (6, 3)


def test_equal_pixels_are_equal_bytes_whatever_else_the_image_carries() -> None:
    plain, laden = Image.fromarray(PIXELS), Image.fromarray(PIXELS)
    laden.info = {"icc_profile": b"x" * 200, "transparency": (1, 2, 3), "dpi": (300, 300), "exif": b"Exif\0\0x"}
    laden.info |= {"Comment": "made yesterday", "gamma": 0.4}
    assert to_png(laden, None) == to_png(plain, None)


def test_a_source_that_is_an_rgb_png_is_kept_byte_by_byte() -> None:
    png = encode_png(Image.fromarray(PIXELS))
    assert source_png(ImageFile("a.png", data=png)) == png


@pytest.mark.parametrize(("mode", "form"), [("L", "PNG"), ("RGBA", "PNG"), ("RGB", "BMP"), ("P", "GIF")])
def test_any_other_source_becomes_an_rgb_png(mode: str, form: str, tmp_path) -> None:
    path = tmp_path / "source"
    image = Image.fromarray(PIXELS).convert(mode)
    image.save(path, form)
    stored = decode_png(source_png(ImageFile("source", file=str(path))))
    assert stored.mode == "RGB"
    assert np.array_equal(np.asarray(stored), np.asarray(image.convert("RGB")))


def test_a_source_that_is_no_image_is_named() -> None:
    with pytest.raises(DataError, match=r"cat\.png: not a readable image"):
        source_png(ImageFile("cat.png", data=b"no image"))
