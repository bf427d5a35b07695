"""At which size an image is edited. Width and height are never changed by different factors, but for rounding."""

from collections.abc import Sequence
from math import sqrt

from micebench.editors.diffusers.options import Area, AtMost, Resolution
from micebench.editors.resize_pad import Size, stretch

_STRETCH = 1.1  # a size of the preferred list further off in aspect ratio than this would squash the image


def working_size(size: Size, resolution: Resolution, multiple: int, preferred: Sequence[Size] = ()) -> Size:
    """The size at which an image of `size` is edited: both sides multiples of `multiple`.

    ============  ======================================================================================
    native        its own size
    area          that many pixels, in its own aspect ratio
    at_most       its own size, or the area if that is smaller
    preferred     the nearest of `preferred` by aspect ratio; where that would stretch the image by more
                  than 10 %, the area of the list in its own aspect ratio
    ============  ======================================================================================
    """
    width, height = size
    if resolution == "preferred":
        nearest = min(preferred, key=lambda other: stretch(size, other))
        if stretch(size, nearest) <= _STRETCH:
            return nearest
        resolution = Area(area=max(w * h for w, h in preferred))
    if isinstance(resolution, Area):
        return _at_area(size, resolution.area, multiple)
    if isinstance(resolution, AtMost) and width * height > resolution.at_most:
        return _at_area(size, resolution.at_most, multiple)
    return _to_multiple(width, multiple), _to_multiple(height, multiple)


def _at_area(size: Size, area: int, multiple: int) -> Size:
    ratio = size[0] / size[1]
    width = sqrt(area * ratio)
    return _to_multiple(width, multiple), _to_multiple(width / ratio, multiple)


def _to_multiple(length: float, multiple: int) -> int:
    return max(1, round(length / multiple)) * multiple
