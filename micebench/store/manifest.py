"""What a run is: written first, compared on every resume."""

import json
import os
import platform
from datetime import UTC, datetime
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from micebench.errors import RunError
from micebench.store.journal import write_error

FORMAT = 1
_IDENTITY = {
    "task": "task",
    "task_version": "task version",
    "task_hash": "task card",
    "model": "model",
    "editor_hash": "model card or code",
    "context": "context",
    "seed": "seed",
    "repeats": "repeats",
    "limit": "limit",
    "n_sessions": "number of sessions",
}


class Manifest(BaseModel):
    """Everything that identifies a run. Holds no secrets: cards carry none, and no environment is copied.

    Attributes:
        task, model, judge: card ids, or ``module.Class`` of a Python object; judge None: nothing is judged.
        task_hash, editor_hash, judge_hash: sha256 of the cards (of class name and source for an object).
        task_card, editor_card, judge_card: the cards in full, None for a Python object.
        fingerprint: sha256 over the sessions, where the task card states one.
        limit: sessions asked for with --limit, None: all.
        turns: the largest number of turns of a session.
        batch: requests per editor call; recorded, not part of the identity.
        versions: package -> version.
        created: UTC, ISO 8601.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = FORMAT
    task: str
    task_version: int
    task_hash: str
    task_card: dict[str, Any]
    fingerprint: str | None = None
    model: str
    editor_hash: str
    editor_card: dict[str, Any] | None = None
    judge: str | None = None
    judge_hash: str | None = None
    judge_card: dict[str, Any] | None = None
    metrics: list[str] = Field(default_factory=list)
    context: Literal["last", "history", "composed"]
    seed: int
    repeats: int
    limit: int | None = None
    n_sessions: int
    turns: int
    content_consistency: Literal["edival", "mice"]
    batch: int = 1
    versions: dict[str, str] = Field(default_factory=dict)
    platform: str = ""
    created: str = ""

    def differences(self, wanted: "Manifest") -> list[str]:
        """``"seed is 0, not 1"`` for each part of the identity (judge apart) that differs."""
        found: list[str] = []
        for field, word in _IDENTITY.items():
            mine, theirs = getattr(self, field), getattr(wanted, field)
            if mine == theirs:
                continue
            if field.endswith("_hash"):
                found.append(f"the {word} has changed since")
            else:
                found.append(f"its {word} is {mine!r}, not {theirs!r}")
        return found

    def save(self, path: Path) -> None:
        """Write atomically and durably. Raises RunError if the disk refuses."""
        text = json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
        write_atomically(path, text.encode(), durable=True)

    @classmethod
    def load(cls, path: Path) -> "Manifest":
        """Raises RunError: missing, unreadable, or written by another version of micebench."""
        try:
            fields = json.loads(path.read_bytes())
        except FileNotFoundError as error:
            raise RunError(
                f"{path.parent} is not a run (no {path.name}); make one with `micebench run --out DIR`"
            ) from error
        except (OSError, ValueError) as error:
            raise RunError(f"{path}: cannot be read ({error}); restore it from a copy") from error
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "content"
            raise RunError(
                f"{path}: {where}: {first['msg']}; the run was made by another version of micebench"
            ) from error


def write_atomically(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write beside, then rename: readers see the old file or the new one, never half of it.

    Raises:
        RunError: the disk is full or fails.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # hidden: half a manifest does not make a folder full
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(beside, "wb") as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            os.replace(beside, path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise write_error(path, error) from error


def versions() -> dict[str, str]:
    """Versions of what can move a score."""
    found = {
        "micebench": import_module("micebench").__version__,  # by name: no edge from this room to the API
        "python": platform.python_version(),
    }
    for package in ("numpy", "pillow", "datasets", "scipy", "torch", "diffusers"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def now() -> str:
    """UTC, ISO 8601, seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")
