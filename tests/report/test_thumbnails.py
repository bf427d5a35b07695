"""Thumbnails show the pixels that were judged, whatever else a file says."""

import base64
import io

import pytest
from PIL import Image, ImageCms, PngImagePlugin

from micebench.report.thumbnails import thumbnail
from micebench.utils.png import bare_rgb


def with_metadata(size: tuple[int, int]) -> bytes:
    """A red PNG with a colour profile, a transparent colour, EXIF orientation, gamma and text."""
    told = PngImagePlugin.PngInfo()
    told.add(b"gAMA", (1000).to_bytes(4, "big"))
    told.add_text("Comment", "shown by a viewer")
    exif = Image.Exif()
    exif[0x0112] = 3
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    buffer = io.BytesIO()
    Image.new("RGB", size, (250, 10, 20)).save(
        buffer, "PNG", pnginfo=told, exif=exif, icc_profile=profile, transparency=(250, 10, 20)
    )
    return buffer.getvalue()


@pytest.mark.parametrize("size", [(48, 48), (300, 200)])
def test_a_thumbnail_holds_pixels_only(size: tuple[int, int]):
    shown = thumbnail(with_metadata(size))
    assert shown is not None
    data = base64.b64decode(shown.uri.partition(",")[2])
    with Image.open(io.BytesIO(data)) as image:
        assert not {"icc_profile", "transparency", "exif", "gamma", "Comment"} & set(image.info)
        red, green, blue = image.convert("RGB").getpixel((5, 5))
    assert abs(red - 250) + abs(green - 10) + abs(blue - 20) < 12
    for name in (b"iCCP", b"tRNS", b"eXIf", b"gAMA", b"tEXt", b"ICCP", b"EXIF"):
        assert name not in data


def test_a_bare_image_keeps_pixels_and_drops_the_rest():
    with Image.open(io.BytesIO(with_metadata((7, 5)))) as image:
        bare = bare_rgb(image)
        assert (bare.info, bare.size, bare.tobytes()) == ({}, (7, 5), image.convert("RGB").tobytes())
