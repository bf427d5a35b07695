"""What editors return, checked and made into PNG; and stored PNG back into images."""

import io
from typing import TYPE_CHECKING, Any

from micebench.errors import DataError, EditorError
from micebench.sessions import ImageFile
from micebench.utils.image_decoding import rgb_pixels
from micebench.utils.png import encode_png, is_bare_png

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

_PNG = b"\x89PNG\r\n\x1a\n"
_CONVERTIBLE = ("RGB", "L", "LA", "P", "PA", "RGBA", "RGBX", "1", "CMYK", "YCbCr")
_FLOAT_SLACK = 1e-3  # float noise of a decoder beyond [0, 1]; anything more is another scale


def to_png(result: Any, size: tuple[int, int] | None) -> bytes:
    """An editor's result as RGB PNG bytes; transparent pixels are composited on white.

    Args:
        result: PIL image, uint8 array (H, W, 3), or float array (H, W, 3) in [0, 1].
        size: the (width, height) it must have; None: any.

    Raises:
        EditorError: another type, dtype, shape or size; NaN or infinity; values out of range.
    """
    import numpy as np
    from PIL import Image

    if isinstance(result, Image.Image):
        image = _from_pil(result)
    elif isinstance(result, np.ndarray):
        image = _from_array(result)
    else:
        raise EditorError(
            f"the editor returned {_describe(result)}; expected a PIL image or an array (height, width, 3)"
        )
    if size is not None and image.size != size:
        raise EditorError(
            f"the editor returned an image of {image.size[0]} x {image.size[1]} pixels for an input of "
            f"{size[0]} x {size[1]}"
        )
    return encode_png(image)


def _from_pil(image: "Image") -> "Image":
    if image.mode not in _CONVERTIBLE:
        raise EditorError(f"the editor returned an image of mode {image.mode!r}; expected RGB")
    return rgb_pixels(image).image


def _from_array(array: "np.ndarray") -> "Image":
    import numpy as np
    from PIL import Image

    if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise EditorError(f"the editor returned an array of shape {array.shape}; expected (height, width, 3)")
    if np.issubdtype(array.dtype, np.floating):
        bad = array.size - int(np.isfinite(array).sum())
        if bad:
            raise EditorError(f"the editor returned an image with {bad} values that are NaN or infinite")
        low, high = float(array.min()), float(array.max())
        if low < -_FLOAT_SLACK or high > 1.0 + _FLOAT_SLACK:
            raise EditorError(
                f"the editor returned a float image with values in [{low:.4g}, {high:.4g}]; expected [0, 1]"
            )
        array = np.rint(np.clip(array, 0.0, 1.0) * 255.0).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise EditorError(f"the editor returned an array of dtype {array.dtype}; expected uint8, or float in [0, 1]")
    return Image.fromarray(np.ascontiguousarray(array))


def _describe(result: Any) -> str:
    return "None" if result is None else f"an object of type {type(result).__name__!r}"


def decode_png(png: bytes) -> "Image":
    """A PNG of the run as an RGB image without metadata. Raises DataError if it is no whole PNG."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            image.load()
            image.info = {}
            return image if image.mode == "RGB" else image.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError("a stored image is no readable PNG; run the same `micebench run` command again") from error


def source_png(image: ImageFile) -> bytes:
    """An image of the data set as PNG bytes; a PNG of bare 8-bit RGB pixels is kept as it is.

    Raises:
        DataError: absent, undecodable, or of an unknown pixel format.
    """
    data = image.read()
    opened = ImageFile(image.path, data=data, file=image.file).open()
    return data if is_bare_png(data) else encode_png(opened)


def png_size(png: bytes) -> tuple[int, int]:
    """(width, height) from the header."""
    if not png.startswith(_PNG):
        raise DataError("not a PNG")
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


class StoredImage:
    """A `LazyImage`: a blob of the run, decoded when first looked at."""

    def __init__(self, digest: str, png: bytes) -> None:
        self._digest = digest
        self._png = png
        self._image: Image | None = None

    @property
    def sha256(self) -> str:
        return self._digest

    @property
    def png(self) -> bytes:
        """The stored file."""
        return self._png

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), without decoding."""
        return png_size(self._png)

    def load(self) -> "Image":
        """RGB image, decoded once and kept."""
        if self._image is None:
            self._image = decode_png(self._png)
        return self._image
