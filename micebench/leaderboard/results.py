"""What `results/` holds: accepted submissions, and numbers that papers report."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeInt

from micebench.cards import check_fields, read_yaml
from micebench.errors import DataError
from micebench.leaderboard.literature_results import ReportedFile, ReportedRow

FORMAT = 1
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
"""Task ids and slugs, which become names of files and addresses: no separator, no leading dot."""


class Check(BaseModel):
    """One thing that `micebench verify` looked at."""

    model_config = ConfigDict(frozen=True)

    check: str
    outcome: Literal["passed", "skipped", "failed"]
    detail: str = ""


class Verification(BaseModel):
    """``verification.json``: who submitted what, and how far it was checked."""

    model_config = ConfigDict(frozen=True)

    format: Literal[1]
    name: str = Field(min_length=1)
    slug: str
    model: str
    task: str
    url: str | None = None
    bundle_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    mark: Literal["verified", "self-reported"]
    checks: tuple[Check, ...] = ()
    verdicts_recomputed: NonNegativeInt = 0
    of: NonNegativeInt = 0
    detection_probability: FiniteFloat | None = None
    micebench: str = ""
    command: str = ""


class _Cell(BaseModel):
    """One number of a summary. Only its form is checked: what it says was computed by `verify`."""

    value: FiniteFloat | None = None
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    at_least: FiniteFloat | None = None
    at_most: FiniteFloat | None = None
    n: NonNegativeInt = 0
    of: NonNegativeInt = 0


_ByTurn = dict[Annotated[str, Field(pattern=r"^[1-9][0-9]{0,3}$")], _Cell]


class _Summary(BaseModel):
    task: str
    model: str
    judge: str
    n_sessions: NonNegativeInt
    metrics: dict[str, _ByTurn] = Field(min_length=1)
    tracks: dict[str, dict[str, _ByTurn]] = {}
    edit_types: dict[str, _Cell] = {}
    edit_types_by_turn: dict[str, _ByTurn] = {}
    coverage: dict[str, dict[str, NonNegativeInt]] = {}
    first_failure: dict[str, NonNegativeInt] = {}


@dataclass(frozen=True)
class Accepted:
    """An accepted submission: ``results/<task>/<slug>/``."""

    folder: Path
    verification: Verification
    summary: Mapping[str, Any]

    @property
    def task(self) -> str:
        return self.verification.task

    @property
    def slug(self) -> str:
        return self.verification.slug

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle.zip"


@dataclass(frozen=True)
class Results:
    """All of `results/`; `left_out` are folders of results that were never submitted (no verification.json)."""

    accepted: tuple[Accepted, ...]
    reported: Mapping[str, tuple[ReportedRow, ...]]
    left_out: tuple[Path, ...]

    @property
    def tasks(self) -> list[str]:
        return sorted({one.task for one in self.accepted} | set(self.reported))


def read_results(root: Path, task: str | None = None) -> Results:
    """Read ``results/<task>/<slug>/`` and ``results/<task>/reported.yaml``; with `task`, of that task only.

    Raises:
        DataError: no such folder, or a file in it that is not what it should be (named, with the reason).
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; name the one that holds TASK/SLUG/verification.json")
    accepted: list[Accepted] = []
    reported: dict[str, tuple[ReportedRow, ...]] = {}
    left_out: list[Path] = []
    for home in _folders(root):
        if task is not None and home.name != task:
            continue
        if (home / "reported.yaml").is_file():
            reported[home.name] = read_yaml(home / "reported.yaml", ReportedFile).rows
        for folder in _folders(home):
            if (folder / "verification.json").is_file():
                accepted.append(_accepted(folder))
            else:
                left_out.append(folder)
    return Results(tuple(accepted), reported, tuple(left_out))


def _folders(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            if not NAME.fullmatch(path.name):
                raise DataError(f"{path}: a folder of results is named in a-z, 0-9, '.', '_' and '-'; rename it")
            yield path


def _accepted(folder: Path) -> Accepted:
    verification = check_fields(
        _json(folder / "verification.json"), Verification, where=f"{folder}/verification.json"
    )
    summary = _json(folder / "summary.json")
    check_fields(summary, _Summary, where=f"{folder}/summary.json")
    told = (verification.task, verification.slug, verification.model)
    there = (folder.parent.name, folder.name, summary["model"])
    for word, one, other in zip(("task", "slug", "model"), told, there, strict=True):
        if one != other:
            raise DataError(f"{folder}/verification.json: {word} is {one!r}, but this result's is {other!r}")
    if summary["task"] != verification.task:
        raise DataError(f"{folder}/summary.json: task is {summary['task']!r}, not {verification.task!r}")
    return Accepted(folder, verification, summary)


def _json(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_bytes(), parse_constant=_no_constant)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error})") from error
    if not isinstance(fields, dict):
        raise DataError(f"{path}: expected an object")
    return fields


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
