"""Images by content: ``blobs/ab/abcd....png``, lossless, checked by their own name."""

import os
from pathlib import Path

from micebench.errors import RunError
from micebench.store.journal import write_error
from micebench.store.keys import sha256


class Blobs:
    """A folder of PNG files named by their sha256.

    A blob is written beside its place and renamed, so a file under its final name is whole unless the
    machine lost power; since every reader compares content with name, a lost one is noticed and made again,
    and no fsync per image is needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: set[str] = set()  # sub-folders that exist

    def path(self, digest: str) -> Path:
        """Where the blob is, or would be."""
        return self.folder / digest[:2] / f"{digest}.png"

    def put(self, png: bytes) -> str:
        """Store PNG bytes; returns their sha256. A damaged file under that name is replaced.

        Raises:
            RunError: the disk is full or fails.
        """
        digest = sha256(png)
        path = self.path(digest)
        try:
            if self._matches(path, png):
                return digest
            if digest[:2] not in self._known:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._known.add(digest[:2])
            # All new files start in one folder: file systems that spread folders over the disk (ext4) would
            # otherwise look for a free inode in another corner for every image.
            beside = f"{self.folder}/{digest}.tmp"
            try:
                descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
                with open(descriptor, "wb", buffering=0) as file:
                    pending = memoryview(png)
                    while pending:
                        pending = pending[file.write(pending) :]
                os.replace(beside, path)
            except OSError:
                Path(beside).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise write_error(path, error) from error
        return digest

    def get(self, digest: str) -> bytes:
        """The PNG bytes. Raises RunError if the file is missing or is not what its name says."""
        path = self.path(digest)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise RunError(
                f"image {path} is missing ({error.strerror}); run the same `micebench run` command to redo it"
            ) from error
        if sha256(data) != digest:
            raise RunError(f"image {path} is damaged; run the same `micebench run` command again to redo it")
        return data

    def find(self, digest: str) -> bytes | None:
        """The PNG bytes, or None if the file is missing or is not what its name says."""
        try:
            data = self.path(digest).read_bytes()
        except OSError:
            return None
        return data if sha256(data) == digest else None

    @staticmethod
    def _matches(path: Path, png: bytes) -> bool:
        try:
            return path.read_bytes() == png
        except FileNotFoundError:
            return False
