"""Foreign image files become upright, plain RGB pixels, or are refused in one line."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from micebench.errors import DataError
from micebench.utils.image_decoding import DecodedImage, UnreadableImage, decode_image, rgb_pixels

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
WHITE = [255, 255, 255]


def saved(image: Image.Image, form: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def array(decoded: DecodedImage) -> np.ndarray:
    assert decoded.image.mode == "RGB"
    assert not decoded.image.info
    return np.asarray(decoded.image)


def greys(decoded: DecodedImage) -> list[int]:
    pixels = array(decoded)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0].ravel().tolist()


def tiff(bits: int, samples: bytes, width: int, *, white_is_zero: bool = False) -> bytes:
    """An uncompressed little-endian grey TIFF of one row."""
    head = struct.pack("<2sHI", b"II", 42, 8 + len(samples))
    tags = [
        (256, 3, width),
        (257, 3, 1),
        (258, 3, bits),
        (259, 3, 1),
        (262, 3, 0 if white_is_zero else 1),
        (273, 4, 8),
        (277, 3, 1),
        (278, 3, 1),
        (279, 4, len(samples)),
    ]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return head + samples + struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def png(colour_type: int, depth: int, size: tuple[int, int], samples: bytes, *extra: bytes) -> bytes:
    """A PNG of one row."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour_type, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0" + samples))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + body + chunk(b"IEND", b"")


# --- what was right stays as it was ---


@pytest.mark.parametrize(("mode", "form"), [("RGB", "PNG"), ("RGB", "BMP"), ("RGB", "TIFF"), ("RGB", "PPM"),
                                            ("L", "PNG"), ("1", "PNG"), ("P", "PNG"), ("P", "GIF"), ("CMYK", "TIFF"),
                                            ("RGB", "JPEG"), ("L", "JPEG"), ("RGB", "WEBP")])  # fmt: skip
def test_plain_eight_bit_pixels_are_left_bit_for_bit(mode: str, form: str) -> None:
    data = saved(Image.fromarray(PIXELS).convert(mode), form)
    decoded = decode_image(data)
    assert np.array_equal(array(decoded), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    assert decoded.notes == (("CMYK without a colour profile converted to RGB",) if mode == "CMYK" else ())


def test_opaque_alpha_changes_nothing() -> None:
    decoded = decode_image(saved(Image.fromarray(PIXELS).convert("RGBA")))
    assert np.array_equal(array(decoded), PIXELS)
    assert decoded.notes == ()


def test_an_srgb_profile_changes_no_pixel() -> None:
    profile = SRGB
    decoded = decode_image(saved(Image.fromarray(PIXELS), icc_profile=profile))
    assert np.array_equal(array(decoded), PIXELS)
    assert decoded.notes == ()


# --- orientation ---

UPRIGHT = {  # EXIF orientation -> the stored pixels, upright
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize(("form", "options"), [("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}),
                                               ("WEBP", {"lossless": True})])  # fmt: skip
def test_exif_orientation_is_applied(form: str, options: dict, orientation: int) -> None:
    decoded = decode_image(saved(Image.fromarray(PIXELS), form, exif=exif(orientation), **options))
    assert np.array_equal(array(decoded), UPRIGHT[orientation](PIXELS))
    assert decoded.notes == ((f"rotated by EXIF orientation {orientation}",) if orientation > 1 else ())


def test_a_phone_picture_is_upright() -> None:
    decoded = decode_image(saved(Image.new("RGB", (30, 18)), "JPEG", exif=exif(6)))
    assert decoded.image.size == (18, 30)


@pytest.mark.parametrize("value", [0, 9, 255])
def test_an_orientation_that_does_not_exist_turns_nothing(value: int) -> None:
    decoded = decode_image(saved(Image.fromarray(PIXELS), exif=exif(value)))
    assert np.array_equal(array(decoded), PIXELS)
    assert decoded.notes == ()


def test_damaged_exif_data_costs_no_image() -> None:
    decoded = decode_image(saved(Image.fromarray(PIXELS), exif=b"Exif\0\0no TIFF header"))
    assert np.array_equal(array(decoded), PIXELS)
    assert decoded.notes == ("unreadable EXIF data ignored",)


# --- depth ---


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_is_scaled(form: str) -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65535]], dtype=np.uint16)
    decoded = decode_image(saved(Image.fromarray(values), form))
    assert greys(decoded) == [0, 0, 1, 1, 128, 255]
    assert decoded.notes == ("16-bit grey scaled to 8 bits",)


def test_dark_sixteen_bit_grey_stays_dark() -> None:
    values = np.full((2, 2), 200, dtype=np.uint16)
    for form in ("PNG", "PPM", "TIFF"):
        assert greys(decode_image(saved(Image.fromarray(values), form))) == [1] * 4


def test_twelve_bit_grey_is_scaled_by_its_own_white() -> None:
    decoded = decode_image(tiff(12, bytes([0xFF, 0xF0, 0x00]), 2))  # 4095, 0
    assert greys(decoded) == [255, 0]
    assert decoded.notes == ("12-bit grey scaled to 8 bits",)


def test_sixteen_bit_grey_with_zero_as_white_is_not_a_negative() -> None:
    decoded = decode_image(tiff(16, np.array([0, 65535, 257], "<u2").tobytes(), 3, white_is_zero=True))
    assert greys(decoded) == [255, 0, 254]


def test_sixteen_bit_colour_is_reduced_and_noted() -> None:
    decoded = decode_image(png(2, 16, (1, 1), bytes([0x12, 0xFF, 0x80, 0x00, 0xFF, 0xFF])))
    assert array(decoded)[0, 0].tolist() == [0x12, 0x80, 0xFF]
    assert decoded.notes == ("16-bit channels reduced to 8 bits",)


def test_integers_are_taken_on_the_scale_they_fill() -> None:
    small, large = np.array([[0, 7, 255]], np.int32), np.array([[0, 257, 65535]], np.int32)
    assert greys(decode_image(saved(Image.fromarray(small), "TIFF"))) == [0, 7, 255]
    assert greys(decode_image(saved(Image.fromarray(large), "TIFF"))) == [0, 1, 255]


@pytest.mark.parametrize("values", [[-1, 5], [0, 65536]])
def test_integers_on_no_known_scale_are_refused_with_the_mode(values: list[int]) -> None:
    with pytest.raises(DataError, match=r"TIFF of mode 'I': integers from .* on no known scale; save it as"):
        decode_image(saved(Image.fromarray(np.array([values], np.int32)), "TIFF"))


def test_float_grey_is_scaled() -> None:
    decoded = decode_image(saved(Image.fromarray(np.array([[0, 0.5, 1.0]], np.float32)), "TIFF"))
    assert greys(decoded) == [0, 128, 255]
    assert decoded.notes == ("float grey in [0, 1] scaled to 8 bits",)


def test_whole_float_numbers_up_to_255_are_eight_bits() -> None:
    assert greys(decode_image(saved(Image.fromarray(np.array([[0, 17, 255]], np.float32)), "TIFF"))) == [0, 17, 255]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0.0, np.nan], "1 values are NaN or infinite"),
        ([0.0, np.inf], "1 values are NaN or infinite"),
        ([0.0, 1.5], r"float values from 0 to 1\.5, expected \[0, 1\]"),
        ([-0.2, 1.0], r"float values from -0\.2 to 1"),
        ([0.0, 256.0], r"float values from 0 to 256"),
    ],
)
def test_float_pixels_on_no_known_scale_are_refused_with_the_mode(values: list[float], said: str) -> None:
    with pytest.raises(DataError, match=f"TIFF of mode 'F': {said}"):
        decode_image(saved(Image.fromarray(np.array([values], np.float32)), "TIFF"))


def test_a_mode_without_conversion_is_named() -> None:
    with pytest.raises(DataError, match=r"TIFF of mode 'LAB': .* save it as an 8-bit RGB PNG"):
        decode_image(saved(Image.new("LAB", (2, 2)), "TIFF"))


# --- transparency ---


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_colours_hidden_under_transparency_do_not_show(form: str) -> None:
    rgba = np.dstack([PIXELS, np.full((4, 6), 255, np.uint8)])
    rgba[:2, :, 3] = 0
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    decoded = decode_image(saved(Image.fromarray(rgba), form, **options))
    assert array(decoded)[:2].min() == 255
    assert np.array_equal(array(decoded)[2:], PIXELS[2:])
    assert decoded.notes == ("transparent pixels composited on white",)


def test_half_transparent_pixels_are_mixed_with_white() -> None:
    rgba = np.array([[[0, 100, 200, 128]]], np.uint8)
    assert np.abs(array(decode_image(saved(Image.fromarray(rgba)))).astype(int) - [[[127, 177, 227]]]).max() <= 1


def test_grey_with_alpha_is_composited() -> None:
    pixels = np.array([[[10, 255], [10, 0]]], np.uint8)
    assert greys(decode_image(saved(Image.fromarray(pixels, "LA")))) == [10, 255]


@pytest.mark.parametrize("key", [1, b"\xff\x00"])
def test_transparent_palette_entries_are_composited(key: object) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 0, 0])
    image.putdata([0, 1])
    decoded = decode_image(saved(image, transparency=key))
    assert array(decoded).tolist() == [[[10, 20, 30], WHITE]]


def test_a_transparent_colour_key_is_composited() -> None:
    grey = png(0, 8, (2, 1), bytes([5, 9]), chunk(b"tRNS", struct.pack(">H", 9)))
    deep = png(0, 16, (2, 1), struct.pack(">HH", 514, 9), chunk(b"tRNS", struct.pack(">H", 9)))
    rgb = png(2, 8, (2, 1), bytes([1, 2, 3, 7, 8, 9]), chunk(b"tRNS", struct.pack(">HHH", 7, 8, 9)))
    bits = png(0, 1, (2, 1), b"\x40", chunk(b"tRNS", struct.pack(">H", 0)))
    assert greys(decode_image(grey)) == [5, 255]
    assert greys(decode_image(deep)) == [2, 255]
    assert array(decode_image(rgb)).tolist() == [[[1, 2, 3], WHITE]]
    assert greys(decode_image(bits)) == [255, 255]


def test_a_transparent_sixteen_bit_colour_key_is_composited() -> None:
    key = struct.pack(">HHH", 0x0712, 0x0834, 0x0956)
    data = png(2, 16, (2, 1), struct.pack(">HHH", 0x0100, 0x0200, 0x0300) + key, chunk(b"tRNS", key))
    assert array(decode_image(data)).tolist() == [[[1, 2, 3], WHITE]]


# --- colour profiles ---


def swapped_profile() -> bytes:
    """An sRGB profile with the primaries of red and blue exchanged."""
    data = SRGB
    return data.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_an_icc_profile_is_converted_to_srgb(form: str) -> None:
    decoded = decode_image(saved(Image.new("RGB", (8, 8), "red"), form, icc_profile=swapped_profile()))
    assert np.abs(array(decoded)[4, 4].astype(int) - [0, 0, 255]).max() <= 8
    assert decoded.notes == ("ICC profile converted to sRGB",)


def test_a_profile_is_applied_before_transparency_and_to_palettes() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putdata([0, 1])
    decoded = decode_image(saved(image, transparency=1, icc_profile=swapped_profile()))
    assert np.abs(array(decoded).astype(int) - [[[0, 0, 255], WHITE]]).max() <= 2


@pytest.mark.parametrize("profile", [b"broken", SRGB[:300]])
def test_a_broken_profile_is_ignored_and_noted(profile: bytes) -> None:
    decoded = decode_image(saved(Image.fromarray(PIXELS), icc_profile=profile))
    assert np.array_equal(array(decoded), PIXELS)
    assert decoded.notes == ("broken ICC profile ignored",)


@pytest.mark.parametrize("profile", [SRGB, SRGB.replace(b"RGB ", b"\0\x1b[2", 1)], ids=["RGB", "control characters"])
def test_a_profile_of_another_colour_space_is_ignored_and_noted(profile: bytes) -> None:
    decoded = decode_image(saved(Image.new("L", (2, 2), 77), icc_profile=profile))
    assert greys(decoded) == [77] * 4
    assert decoded.notes == ("ICC profile for another colour space ignored",)


# --- frames, sizes, formats ---


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_of_several_frames_is_taken(form: str) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue", "green")]
    options = {"lossless": True} if form == "WEBP" else {}
    decoded = decode_image(saved(frames[0], form, save_all=True, append_images=frames[1:], **options))
    assert array(decoded)[0, 0].tolist() == [255, 0, 0]
    assert decoded.notes == ("first of 3 frames taken",)


def test_a_picture_of_several_as_phones_write_them_is_accepted() -> None:
    frames = [Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")]
    decoded = decode_image(saved(frames[0], "MPO", save_all=True, append_images=frames[1:]))
    assert decoded.notes == ("first of 2 frames taken",)
    assert np.abs(array(decoded)[4, 4].astype(int) - [255, 0, 0]).max() <= 8


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(DataError, match="an image of 4 x 3 pixels; at most 10 are accepted"):
        decode_image(png(2, 8, (4, 3), b"not even compressed"), max_pixels=10)
    for size in ((30000, 30000), (2**31 - 1, 2**31 - 1)):
        with pytest.raises(DataError, match="at most"):
            decode_image(png(2, 8, size, b""))


def test_the_size_that_counts_is_the_decoded_one() -> None:
    large = chunk(b"IHDR", struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0))
    with pytest.raises(DataError, match="9000 x 9000 pixels"):
        decode_image(png(2, 8, (4, 4), b"", large), max_pixels=10_000)


@pytest.mark.parametrize(
    "start", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"%PDF-1.7\n", b"<svg/>", b""]
)
def test_no_other_format_reaches_its_decoder(start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was called"))
    with pytest.raises(UnreadableImage, match=r"not a readable image .no whole PNG, JPEG.*save it as PNG"):
        decode_image(start)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "AVIF"])
def test_a_truncated_file_is_refused(form: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise), form)
    with pytest.raises(UnreadableImage, match="not a readable image"):
        decode_image(data[: len(data) // 2])


# --- images in memory ---


def test_only_an_image_straight_from_a_file_is_turned() -> None:
    data = saved(Image.fromarray(PIXELS), exif=exif(6))
    assert rgb_pixels(Image.open(io.BytesIO(data))).image.size == (4, 6)
    assert rgb_pixels(Image.open(io.BytesIO(data)).convert("RGB")).image.size == (6, 4)


def test_the_given_image_is_left_as_it_was() -> None:
    image = Image.fromarray(PIXELS)
    image.info["dpi"] = (300, 300)
    assert rgb_pixels(image).image is not image
    assert image.info == {"dpi": (300, 300)}
