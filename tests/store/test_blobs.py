"""An image is found by its hash or not at all: a damaged one counts as missing, and writing it again mends it."""

from pathlib import Path

import pytest

from micebench.errors import RunError
from micebench.store.blobs import Blobs
from micebench.store.keys import sha256


def test_what_was_put_is_found_under_its_hash(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    digest = blobs.put(b"pixels")
    assert digest == sha256(b"pixels")
    assert blobs.path(digest) == tmp_path / "blobs" / digest[:2] / f"{digest}.png"
    assert blobs.get(digest) == blobs.find(digest) == b"pixels"
    assert [path.name for path in tmp_path.rglob("*.tmp")] == []


@pytest.mark.parametrize("damage", [b"", b"pixelz", b"pixels and more"])
def test_a_damaged_blob_is_not_found_is_named_and_is_mended_by_putting_it_again(
    tmp_path: Path, damage: bytes
) -> None:
    blobs = Blobs(tmp_path)
    digest = blobs.put(b"pixels")
    blobs.path(digest).write_bytes(damage)
    assert blobs.find(digest) is None
    with pytest.raises(RunError, match=f"{digest}.png is damaged"):
        blobs.get(digest)
    blobs.put(b"pixels")
    assert blobs.get(digest) == b"pixels"


def test_a_missing_blob_is_named_with_the_remedy(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    assert blobs.find("ab" * 32) is None
    with pytest.raises(RunError, match=r"abab\.png is missing .*`micebench run`"):
        blobs.get("ab" * 32)
