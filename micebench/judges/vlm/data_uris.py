"""Images as lossless data URIs."""

import base64
import threading
from typing import Protocol, runtime_checkable

from micebench.utils.lru_cache import Lru
from micebench.utils.png import encode_png
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
        self._kept: Lru[str, bytes] = Lru(room_bytes, len)
        self._lock = threading.Lock()

    def of(self, image: LazyImage) -> bytes:
        """The very pixels: a stored PNG as it is, anything else encoded without loss."""
        name = image.sha256
        with self._lock:
            if (kept := self._kept.get(name)) is not None:
                return kept
        uri = b"data:image/png;base64," + base64.b64encode(_png(image))
        with self._lock:
            self._kept.keep(name, uri)
        return uri


def size_of(image: LazyImage) -> tuple[int, int]:
    """(width, height); a stored image need not be decoded for it."""
    return image.size if isinstance(image, _Stored) else image.load().size


def _png(image: LazyImage) -> bytes:
    return image.png if isinstance(image, _Stored) else encode_png(image.load())
