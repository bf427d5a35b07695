"""Only an image of the right size enters a run; everything else is one clear line."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from micebench.errors import DataError, EditorError
from micebench.execution.images import decode_png, source_png, to_png
from micebench.sessions import ImageFile
from micebench.utils.png import encode_png

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


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SAID = PngInfo()
SAID.add_text("Comment", "made yesterday")


@pytest.mark.parametrize(
    "laden",
    [
        encoded(Image.fromarray(PIXELS), pnginfo=SAID),
        encoded(Image.fromarray(PIXELS), exif=exif(1)),
        encoded(Image.fromarray(PIXELS), dpi=(300, 300)),
        encoded(Image.fromarray(PIXELS), transparency=(1, 2, 3)),
        encoded(Image.fromarray(PIXELS), icc_profile=SRGB),
        encoded(Image.fromarray(PIXELS)) + b"behind the end",
        encoded(Image.fromarray(PIXELS))[:-12],
    ],
    ids=["text", "EXIF", "dpi", "colour key", "profile", "behind IEND", "no IEND"],
)
def test_a_source_is_stored_as_bare_pixels(laden: bytes) -> None:
    assert source_png(ImageFile("a.png", data=laden)) == encode_png(Image.fromarray(PIXELS))


def test_a_source_is_stored_upright_and_flattened() -> None:
    data = encoded(Image.fromarray(PIXELS), exif=exif(6))
    assert np.array_equal(np.asarray(decode_png(source_png(ImageFile("a.png", data=data)))), np.rot90(PIXELS, -1))
    hidden = encoded(Image.new("RGBA", (2, 2), (9, 9, 9, 0)))
    assert np.asarray(decode_png(source_png(ImageFile("a.png", data=hidden)))).min() == 255


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_colours_hidden_under_transparency_do_not_enter_a_run(mode: str) -> None:
    result = Image.new(mode, SIZE, (7, 0) if mode == "LA" else (7, 7, 7, 0))
    assert np.asarray(decode_png(to_png(result, SIZE))).min() == 255


def test_an_image_that_an_editor_opened_is_upright() -> None:
    opened = Image.open(io.BytesIO(encoded(Image.fromarray(PIXELS), exif=exif(6))))
    assert np.array_equal(np.asarray(decode_png(to_png(opened, (4, 6)))), np.rot90(PIXELS, -1))


def test_a_stored_image_is_given_to_editors_without_metadata() -> None:
    image = decode_png(encoded(Image.fromarray(PIXELS), exif=exif(6), pnginfo=SAID))
    assert image.info == {}
    assert image.getexif() == {}
    assert to_png(image, SIZE) == to_png(PIXELS, SIZE)


@pytest.mark.parametrize("data", [b"", b"no image", encode_png(Image.fromarray(PIXELS))[:-30]])
def test_a_stored_image_that_is_none_is_one_line(data: bytes) -> None:
    with pytest.raises(DataError, match="no readable PNG"):
        decode_png(data)


def test_a_source_that_is_no_image_is_named() -> None:
    with pytest.raises(DataError, match=r"cat\.png: not a readable image"):
        source_png(ImageFile("cat.png", data=b"no image"))
