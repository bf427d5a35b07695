"""Large blocks that are freed and wanted again cost no page faults."""

import platform
import subprocess
import sys

import pytest

_FAULTS = """
import resource, sys
import numpy as np
from micebench.utils.malloc import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    np.ones(8_000_000)
before = faults()
for _ in range(10):
    np.ones(8_000_000)  # 64 MB
print(faults() - before)
"""


def _faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", _FAULTS, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_blocks_are_kept_where_the_c_library_can_be_told() -> None:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("this C library cannot be told to keep freed memory")
    default, kept = _faults("default"), _faults("keep")
    if default < 1000:
        pytest.skip(f"this system faults no large blocks in again ({default} faults)")
    assert kept < default / 20
