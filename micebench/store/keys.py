"""Content addresses: a key hashes everything that caused a thing, so a changed cause is a different key."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def canonical(value: Any) -> bytes:
    """JSON bytes that depend on content only: sorted keys, no white space, UTF-8, no NaN."""
    return _CANONICAL.encode(value).encode("utf-8", "surrogatepass")


def sha256(data: bytes) -> str:
    """sha256 as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def content_key(value: Any) -> str:
    """sha256 (hex) of the canonical JSON of `value`."""
    return sha256(canonical(value))


@dataclass(frozen=True, slots=True)
class EditCause:
    """What all edits of a run have in common: the part of an edit's key that is not the session's.

    Attributes:
        task: task id.
        editor: the editor's identity (card hash, or class name and source of a Python object).
        context: last | history | composed.
        seed: the run's base seed.
    """

    task: str
    editor: str
    context: str
    seed: int

    def edit_key(self, row: str, source: str, repeat: int, turn: int, previous: Sequence[str]) -> str:
        """Key of one edit.

        Args:
            row: hash of the session's instructions and annotations.
            source: sha256 of the source image's PNG.
            repeat: 0-based.
            turn: 1-based.
            previous: sha256 of the earlier outputs this edit was made from, in turn order.
        """
        parts = (
            "edit", self.task, self.editor, self.context, self.seed, row, source, repeat, turn, *previous
        )  # fmt: skip
        return content_key(parts)


def verdict_key(edit: str, image: str, judge: str, metric: str) -> str:
    """Key of one verdict: the edit, the image it led to, the judge's identity and the metric.

    The image is part of it because an editor may not be deterministic: an edit that had to be made again
    and came out differently must be judged again.
    """
    return sha256(f"verdict {edit} {image} {judge} {metric}".encode())  # hashes and names: no blanks inside


def derive_seed(task: str, session: str, turn: int, repeat: int, seed: int) -> int:
    """Seed of one edit, in [0, 2**63): 63 bits of a hash of everything that tells edits apart."""
    digest = hashlib.sha256(canonical(("seed", task, session, turn, repeat, seed))).digest()
    return int.from_bytes(digest[:8], "big") >> 1
