"""Images as lossless data URIs."""

import base64
import threading
from collections import OrderedDict
from typing import Protocol, runtime_checkable

from micebench.png import encode_png
from micebench.verdicts import LazyImage

_ROOM_BYTES = 256 << 20


@runtime_checkable
class _Stored(Protocol):
    """An image whose PNG is at hand."""

    @property
    def png(self) -> bytes: ...
    @property
    def size(self) -> tuple[int, int]: ...


class PngUris:
    """``data:image/png;base64,...`` of images; the latest are kept, since one image is asked about many times."""

    def __init__(self, room_bytes: int = _ROOM_BYTES) -> None:
        self._room = room_bytes
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, image: LazyImage) -> bytes:
        """The very pixels: a stored PNG as it is, anything else encoded without loss."""
        name = image.sha256
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
        uri = b"data:image/png;base64," + base64.b64encode(_png(image))
        with self._lock:
            if name not in self._kept:
                self._kept[name] = uri
                self._room -= len(uri)
            while self._room < 0 and len(self._kept) > 1:
                self._room += len(self._kept.popitem(last=False)[1])
        return uri


def size_of(image: LazyImage) -> tuple[int, int]:
    """(width, height); a stored image need not be decoded for it."""
    return image.size if isinstance(image, _Stored) else image.load().size


def _png(image: LazyImage) -> bytes:
    return image.png if isinstance(image, _Stored) else encode_png(image.load())
