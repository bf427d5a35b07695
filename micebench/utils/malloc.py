"""What the C library does with memory that is free again."""

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # mallopt(3)
_GROWTH = 256 * 2**20  # bytes


def keep_freed_memory() -> bool:
    """Tell the C library to keep freed blocks for the next step; False where it cannot be told (not glibc).

    By default glibc maps every large block anew and unmaps it when it is free. A model on a CPU then pays page
    faults for all its activations in every step: little where it computes in float32, more under autocast, which
    makes more and shorter-lived copies. The process keeps its largest size instead.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(mallopt(*option) for option in ((_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, _GROWTH), (_MMAP_MAX, 0)))
