"""Foreign image files (data sets, answers of servers, replayed folders) as plain 8-bit RGB pixels.

A bare ``Image.open(file).convert("RGB")`` ignores EXIF orientation, turns 16-bit grey white and float black, shows
the colours hidden under transparent pixels, and hands any format to its decoder. `decode_image` does none of that:
what it changes it notes, and what it cannot convert with certainty it refuses.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from micebench.errors import DataError, described

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "PPM")
"""Pillow's names of the accepted file formats; never one that runs another program, as EPS does."""

MAX_PIXELS = 178_956_970
"""Width times height of the largest accepted image: where Pillow's own limit lies."""

_COLOUR_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
_INTEGER_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")
_ORIENTATION, _BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 0x0112, 258, 262, 0  # TIFF and EXIF tags; a value of the last
_WHITE_16 = 65535
_SRGB_TOLERANCE = 2  # levels; sRGB profiles of different makers differ by rounding
_REMEDY = "save it as an 8-bit RGB PNG"
_REPLACE = "replace it, or save it as PNG"


class UnreadableImage(DataError):
    """The bytes are not an image of an accepted format, or are damaged."""


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """Pixels of a foreign image.

    Attributes:
        image: mode RGB, without metadata.
        notes: what decoding changed, in words: "rotated by EXIF orientation 6", "16-bit grey scaled to 8 bits" ...
            Empty where the file already held plain 8-bit pixels.
    """

    image: "Image"
    notes: tuple[str, ...]


def decode_image(data: bytes, *, formats: Sequence[str] = FORMATS, max_pixels: int = MAX_PIXELS) -> DecodedImage:
    """Decode an untrusted image file.

    EXIF orientation is applied, 16-bit grey and float in [0, 1] are scaled to 8 bits, transparent pixels are
    composited on white, other colour spaces are converted to sRGB by the embedded ICC profile. Of several frames the
    first is taken. 8-bit pixels that need none of this are left as they are, bit for bit.

    Args:
        formats: accepted formats, of `FORMATS`.
        max_pixels: largest accepted width times height, checked before decoding.

    Raises:
        UnreadableImage: another format, or a damaged file.
        DataError: too many pixels, or a pixel format whose scale is unknown (its mode is named).
    """
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(data), formats=tuple(formats)) as image:
            _check_size(image.size, max_pixels)
            decoded = rgb_pixels(image)
            notes = (*decoded.notes, *_frames(image))
            return DecodedImage(decoded.image, notes)
    except DataError:
        raise
    except PIL.UnidentifiedImageError as error:
        raise UnreadableImage(f"not a readable image (no whole {_listed(formats)} file); {_REPLACE}") from error
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        most = min(max_pixels, MAX_PIXELS)
        raise DataError(f"too many pixels; at most {most:,} are accepted; scale it down") from error
    except Exception as error:
        raise UnreadableImage(f"not a readable image ({described(error, 200)}); {_REPLACE}") from error


def rgb_pixels(image: "Image") -> DecodedImage:
    """An opened image as `decode_image` gives it.

    Orientation and colour profile are applied to an image straight from a file (`PIL.Image.open`); one that was made
    or converted in memory has its final pixels, whatever metadata it still carries.

    Raises:
        DataError: a pixel format whose scale is unknown, with its mode's name.
    """
    from PIL.ImageFile import ImageFile

    notes: list[str] = []
    of_file = isinstance(image, ImageFile)
    deep = of_file and any(";16" in str(tile[3]) for tile in image.tile[:1])  # known until it is loaded
    turned = _orientation(image, notes) if of_file else 1
    image.load()
    if turned != 1:
        notes.append(f"rotated by EXIF orientation {turned}")
    profile = image.info.get("icc_profile") if of_file else None
    if image.mode == "F":
        colour, alpha = _from_float(image, notes), None
    elif image.mode in _INTEGER_MODES:
        colour, alpha = _from_integers(image, notes)
    elif image.mode in _COLOUR_MODES:
        if deep:
            notes.append("16-bit channels reduced to 8 bits")
        colour, alpha = _parts(image, deep)
    else:
        raise DataError(f"{_kind(image)}: its pixels cannot be converted to RGB; {_REMEDY}")
    rgb = _to_srgb(colour, profile, notes).convert("RGB")
    if alpha is not None and alpha.getextrema() != (255, 255):
        rgb = _on_white(rgb, alpha)
        notes.append("transparent pixels composited on white")
    if of_file:
        rgb = _upright(rgb, _orientation(image, []))  # Pillow turns TIFF files itself
    rgb.info = {}
    return DecodedImage(rgb, tuple(notes))


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise DataError(f"an image of {width} x {height} pixels; at most {max_pixels:,} are accepted")
    if not width * height:
        raise UnreadableImage(f"not a readable image ({width} x {height} pixels); {_REPLACE}")


def _listed(formats: Sequence[str]) -> str:
    return f"{', '.join(formats[:-1])} or {formats[-1]}"


def _kind(image: "Image") -> str:
    return f"{image.format or 'image'} of mode {image.mode!r}"


def _orientation(image: "Image", notes: list[str]) -> int:
    """EXIF orientation, 1 (upright) to 8."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 (damaged metadata of an intact image)
        notes.append("unreadable EXIF data ignored")
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(image: "Image", orientation: int) -> "Image":
    from PIL.Image import Transpose

    turns = (
        *(None, Transpose.FLIP_LEFT_RIGHT, Transpose.ROTATE_180, Transpose.FLIP_TOP_BOTTOM),
        *(Transpose.TRANSPOSE, Transpose.ROTATE_270, Transpose.TRANSVERSE, Transpose.ROTATE_90),
    )
    turn = turns[orientation - 1]
    return image if turn is None else image.transpose(turn)


def _frames(image: "Image") -> tuple[str, ...]:
    try:
        count = getattr(image, "n_frames", 1)
    except Exception:  # noqa: BLE001 (a later frame is damaged; the first is whole)
        return ("first frame taken",)
    return (f"first of {count} frames taken",) if count > 1 else ()


def _parts(image: "Image", deep: bool) -> "tuple[Image, Image | None]":
    """Colours (mode L, RGB or CMYK) and alpha (mode L) of an 8-bit image."""
    if not image.has_transparency_data:
        return (image if image.mode in ("L", "CMYK") else image.convert("RGB")), None
    key = image.info.get("transparency")
    if deep and isinstance(key, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in key)  # the pixels have lost their low byte
    rgba = image.convert("RGBA")
    colour = image.getchannel("L") if image.mode in ("L", "LA") else rgba.convert("RGB")
    return colour, rgba.getchannel("A")


def _from_integers(image: "Image", notes: list[str]) -> "tuple[Image, Image | None]":
    """16-bit grey; and 32-bit integers that hold 8- or 16-bit grey."""
    import numpy as np
    import PIL.Image

    values = np.asarray(image)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > _WHITE_16:
        raise DataError(f"{_kind(image)}: integers from {low} to {high}, on no known scale; {_REMEDY}")
    white, name = _WHITE_16, "16-bit grey"
    tags: Any = getattr(image, "tag_v2", {})
    if image.mode == "I" and image.format not in ("PNG", "PPM"):  # those two are always on the 16-bit scale
        white, name = (255, "32-bit integers up to 255") if high <= 255 else (white, "32-bit integers")
    elif 8 < (bits := int(tags.get(_BITS, (16,))[0])) < 16:
        white, name = (1 << bits) - 1, f"{bits}-bit grey"
    scale = (np.arange(_WHITE_16 + 1) * 255 + white // 2) // white
    scale = scale.clip(0, 255).astype(np.uint8)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO and image.mode != "I":
        scale = 255 - scale
    notes.append(f"{name} scaled to 8 bits")
    key = image.info.get("transparency")
    alpha = PIL.Image.fromarray(_bytes(values != key)) if isinstance(key, int) else None
    return PIL.Image.fromarray(scale[values]), alpha


def _from_float(image: "Image", notes: list[str]) -> "Image":
    """Grey in [0, 1]; or whole numbers in [0, 255]. Any other range may mean anything."""
    import numpy as np
    import PIL.Image

    values = np.asarray(image)
    bad = values.size - int(np.isfinite(values).sum())
    if bad:
        raise DataError(f"{_kind(image)}: {bad} values are NaN or infinite; {_REMEDY}")
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        notes.append("float grey in [0, 1] scaled to 8 bits")
        return PIL.Image.fromarray(np.rint(values * 255).astype(np.uint8))
    if low >= 0 and high <= 255 and bool((values == np.rint(values)).all()):
        notes.append("whole float numbers up to 255 taken as 8 bits")
        return PIL.Image.fromarray(values.astype(np.uint8))
    raise DataError(f"{_kind(image)}: float values from {low:.4g} to {high:.4g}, expected [0, 1]; {_REMEDY}")


def _bytes(mask: "NDArray[np.bool_]") -> "NDArray[np.uint8]":
    import numpy as np

    return np.where(mask, 255, 0).astype(np.uint8)


def _on_white(rgb: "Image", alpha: "Image") -> "Image":
    import PIL.Image

    sheet = PIL.Image.new("RGB", rgb.size, "white")
    sheet.paste(rgb, mask=alpha)
    return sheet


def _to_srgb(image: "Image", profile: object, notes: list[str]) -> "Image":
    """By the embedded profile; unchanged where that is sRGB, broken, or of another kind of colour."""
    if not isinstance(profile, bytes) or not profile:
        if image.mode == "CMYK":
            notes.append("CMYK without a colour profile converted to RGB")
        return image
    from PIL import ImageCms

    try:
        source: Any = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space != {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}[image.mode]:
            notes.append("ICC profile for another colour space ignored")
            return image
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            image.mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        if _changes_nothing(transform, image.mode):
            return image
        converted = ImageCms.applyTransform(image, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, ImportError):
        notes.append("broken ICC profile ignored")
        return image
    notes.append("ICC profile converted to sRGB")
    return image if converted is None else converted


def _changes_nothing(transform: Any, mode: str) -> bool:
    """Whether a transform to sRGB moves no colour by more than rounding: the profile is one of sRGB."""
    import numpy as np
    import PIL.Image
    from PIL import ImageCms

    if mode == "CMYK":
        return False
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    if mode == "L":
        grid = np.arange(256, dtype=np.uint8)[None]
    moved = ImageCms.applyTransform(PIL.Image.fromarray(grid), transform)
    before = np.asarray(PIL.Image.fromarray(grid).convert("RGB"), dtype=int)
    return int(np.abs(np.asarray(moved, dtype=int) - before).max()) <= _SRGB_TOLERANCE
