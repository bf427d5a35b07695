"""What a run is: written first, compared on every resume."""

import json
import os
import platform
from datetime import UTC, datetime
from importlib import import_module, metadata
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from micebench.errors import RunError, one_line, remedy
from micebench.store.forms import Sha256, first_fault
from micebench.store.journal import parse_json, write_error
from micebench.verdicts import is_known_metric

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


def _file_name(name: str) -> str:
    if not name or name.startswith(".") or any(mark in name for mark in "/\\\0\n"):
        raise ValueError("a name that fits into a file's name")
    return name


def _known(metrics: list[str]) -> list[str]:
    unknown = [metric for metric in metrics if not is_known_metric(metric)]
    if unknown or len(set(metrics)) < len(metrics):
        raise ValueError(f"unknown metric {unknown[0][:40]!r}" if unknown else "a metric comes twice")
    return metrics


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

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal[1] = FORMAT
    task: str
    task_version: int
    task_hash: Sha256
    task_card: dict[str, Any]
    fingerprint: str | None = None
    model: str
    editor_hash: Sha256
    editor_card: dict[str, Any] | None = None
    judge: Annotated[str, AfterValidator(_file_name)] | None = None
    judge_hash: Sha256 | None = None
    judge_card: dict[str, Any] | None = None
    metrics: Annotated[list[str], AfterValidator(_known)] = Field(default_factory=list)
    context: Literal["last", "history", "composed"]
    seed: int
    repeats: int = Field(ge=1, le=1_000_000)
    limit: int | None = Field(default=None, ge=1)
    n_sessions: int = Field(ge=0)
    turns: int = Field(ge=1, le=0xFFFF)
    content_consistency: Literal["edival", "mice"]
    batch: int = Field(default=1, ge=1)
    versions: dict[str, str] = Field(default_factory=dict)
    platform: str = ""
    created: str = ""

    @model_validator(mode="after")
    def _judge_or_none(self) -> Self:
        if (self.judge is None) != (self.judge_hash is None) or (self.judge is None) != (not self.metrics):
            raise ValueError("judge, judge_hash and metrics: give all of them or none")
        return self

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
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise RunError(
                f"{path.parent} is not a run (no {path.name}); make one with `micebench run --out DIR`"
            ) from error
        except OSError as error:
            raise RunError(f"{path}: cannot be read ({error.strerror or error}); {remedy(error)}") from error
        try:
            return cls.model_validate(parse_json(data))
        except ValidationError as error:
            raise RunError(
                f"{path}: {first_fault(error)}; the run was made by another version of micebench, or the file is "
                "damaged: restore it from a copy"
            ) from error
        except ValueError as error:
            raise RunError(f"{path}: cannot be read ({one_line(error, 200)}); restore it from a copy") from error


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
