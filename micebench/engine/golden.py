"""Golden items: questions that a judge's folder carries with the verdicts this judge once gave (``golden.jsonl``).

First line: ``{"format": 1, "limit": ..., "note": ...}``. Each further line is one session: its annotations, its
images (source first) as PNG in base64, and the scores by turn and metric.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from pydantic import BaseModel, ConfigDict, Field

from micebench.cards import check_fields
from micebench.errors import CardError, DataError, RunError
from micebench.execution.images import StoredImage, png_size
from micebench.sessions import ImageFile
from micebench.store.blobs import Blobs
from micebench.store.journal import dump_line
from micebench.store.keys import canonical, sha256
from micebench.store.session_records import parse_session
from micebench.utils.json_lines import parse_json
from micebench.utils.text_files import decoded
from micebench.verdicts import MeasureName, MetricName, Question, Status

if TYPE_CHECKING:
    from micebench.engine.run_reader import Run
    from micebench.registry.sources import JudgeSource
    from micebench.store.records import VerdictRecord

FORMAT = 1
_NOWHERE = Blobs(Path())  # golden sessions carry their images with them
_METRICS = {name for kind in (MetricName, MeasureName) for name in get_args(kind)}


class _Head(BaseModel):
    """The first line.

    Attributes:
        limit: largest change of a metric's mean score that is not called a drift, in [0, 1].
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1]
    limit: float = Field(ge=0.0, le=1.0)
    note: str = ""


class _Line(BaseModel):
    """A session with its images and scores."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    session: dict[str, Any]
    images: list[str] = Field(min_length=2)
    scores: dict[int, dict[str, float]]
    composed: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """One question, and the score it once got.

    Attributes:
        id: ``session/turn/metric``.
    """

    id: str
    question: Question
    score: float


@dataclass(frozen=True, slots=True)
class GoldenSet:
    """The golden items of a judge.

    Attributes:
        limit: largest change of a metric's mean score that is not called a drift, in [0, 1].
        sha256: of the file.
    """

    items: tuple[Item, ...]
    limit: float
    sha256: str


def golden_of(source: "JudgeSource") -> GoldenSet | None:
    """The items that the judge's card carries, as far as they ask what the judge is asked; None without any.

    Raises:
        CardError: a file that cannot be used, with the line.
    """
    path = source.card.golden() if source.card is not None else None
    return None if path is None else load_golden(path, source.metrics)


def load_golden(path: Path, metrics: Sequence[str]) -> GoldenSet | None:
    """Read ``golden.jsonl``; only items about `metrics`. None if there are none. Raises CardError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CardError(f"{path}: cannot be read ({error.strerror or error})") from error
    lines = data.splitlines()
    head = check_fields(_parsed(lines[0] if lines else b"", f"{path}:1"), _Head, where=f"{path}:1")
    items: dict[str, Item] = {}
    for number, text in enumerate(lines[1:], start=2):
        where = f"{path}:{number}"
        line = check_fields(_parsed(text, where), _Line, where=where)
        for item in _items(line, where):
            if items.setdefault(item.id, item) is not item:
                raise CardError(f"{where}: item {item.id!r} is there twice; keep one")
    wanted = tuple(item for item in items.values() if item.question.metric in metrics)
    return GoldenSet(wanted, head.limit, sha256(data)) if wanted else None


def _parsed(text: bytes, where: str) -> dict[str, Any]:
    try:
        fields = parse_json(decoded(text))
    except ValueError as error:
        raise CardError(f"{where}: not JSON ({error}); make the file anew with `micebench golden`") from error
    if not isinstance(fields, dict):
        raise CardError(f"{where}: expected an object; make the file anew with `micebench golden`")
    return fields


def _items(line: _Line, where: str) -> Iterator[Item]:
    images = [_image(text, where) for text in line.images]
    try:
        session = parse_session({**line.session, "image": None}, line.task, _NOWHERE)
    except (KeyError, TypeError, ValueError) as error:
        raise CardError(f"{where} session: {error!r}; make the file anew with `micebench golden`") from error
    session = replace(session, image=ImageFile(session.image.path, data=images[0].png))
    for turn, scores in line.scores.items():
        if not 1 <= turn < len(images) or turn > len(session.turns):
            raise CardError(f"{where} scores: turn {turn} has no image or no instruction")
        for metric, score in scores.items():
            if metric not in _METRICS or not 0.0 <= score <= 1.0:
                raise CardError(f"{where} scores.{turn}.{metric}: expected a known metric and a score in [0, 1]")
            name = cast(MetricName | MeasureName, metric)
            question = Question(name, session, turn, images[: turn + 1], line.composed)
            yield Item(f"{session.id}/{turn}/{metric}", question, score)


def _image(text: str, where: str) -> StoredImage:
    try:
        png = base64.b64decode(text, validate=True)
        png_size(png)
    except (binascii.Error, ValueError, DataError) as error:
        raise CardError(f"{where} images: not a PNG in base64 ({error})") from error
    return StoredImage(sha256(png), png)


def freeze(runs: "Sequence[Run]", *, sessions: int, limit: float, seed: int = 0) -> tuple[bytes, int]:
    """Golden items made of judged runs: the content of a ``golden.jsonl``, and how many items it holds.

    Sessions are drawn by a hash of their ids, in turn from each track and from those that followed every instruction
    and those that did not, so that all kinds of verdicts occur; each session once. Only sessions whose every verdict
    is there are drawn, and what a judge compares with reference images (``.target``) is left out, since references
    do not travel with the items.

    Args:
        runs: all judged by one judge.
        sessions: how many of each run.

    Raises:
        RunError: not judged, judged by several judges, or no session can be used.
    """
    judges = {(run.manifest.judge, run.manifest.judge_hash): run for run in runs}
    if len(judges) > 1:
        paths = " and ".join(str(run.path) for run in judges.values())
        raise RunError(f"{paths} are judged by different judges; golden items belong to one")
    lines: dict[str, dict[str, Any]] = {}
    for run in runs:
        usable = {name: said for name, said in _by_session(run).items() if name not in lines and _complete(said)}
        chosen = _drawn(usable, _tracks(run), seed)[:sessions]
        if not chosen:
            raise RunError(f"{run.path}: no session has a score for all that was asked; judge it with --retry-failed")
        lines |= {name: _frozen(run, name, usable[name]) for name in chosen}
    made = ", ".join(f"{run.manifest.task} by {run.manifest.model}" for run in runs)
    note = f"{runs[0].manifest.judge} on {len(lines)} sessions: {made}"
    head = {"format": FORMAT, "limit": limit, "note": note}
    count = sum(len(scores) for line in lines.values() for scores in line["scores"].values())
    return b"".join(map(dump_line, [head, *lines.values()])), count


def _by_session(run: "Run") -> "dict[str, list[VerdictRecord]]":
    found: dict[str, list[VerdictRecord]] = {}
    for record in run.verdicts():
        if record.repeat == 0 and record.metric in _METRICS and not record.metric.endswith(".target"):
            found.setdefault(record.session, []).append(record)
    return found


def _tracks(run: "Run") -> dict[str, str]:
    index = run.edit_index().sessions
    return {line["id"]: line["track"] for line in index.lines(range(len(index)))}


def _frozen(run: "Run", name: str, records: "Sequence[VerdictRecord]") -> dict[str, Any]:
    index = run.edit_index()
    place = index.sessions.position[name]
    (said,) = index.sessions.lines([place])
    scores: dict[str, dict[str, float]] = {}
    for record in records:
        if record.value is not None:
            scores.setdefault(str(record.turn), {})[record.metric] = record.value
    shown = [index.sessions.source(place), *(index.image(place * index.repeats, int(turn)) for turn in scores)]
    return {
        "task": run.manifest.task,
        "session": _bare(said),
        "images": [base64.b64encode(run.blob(digest or "")).decode() for digest in shown],
        "scores": scores,
        "composed": run.manifest.context == "composed",
    }


def _complete(records: Sequence["VerdictRecord"]) -> bool:
    """Every turn was scored, from the first on, and nothing failed."""
    turns = sorted({record.turn for record in records if record.value is not None})
    fine = all(record.status in (Status.OK, Status.NOT_APPLICABLE) for record in records)
    return fine and bool(turns) and turns == list(range(1, turns[-1] + 1))


def _drawn(usable: "Mapping[str, Sequence[VerdictRecord]]", tracks: Mapping[str, str], seed: int) -> list[str]:
    groups: dict[tuple[str, bool], list[str]] = {}
    for name in sorted(usable, key=lambda name: sha256(canonical(["golden", seed, name]))):
        failed = any(record.metric == "IF" and (record.value or 0.0) <= 0.5 for record in usable[name])
        groups.setdefault((tracks[name], failed), []).append(name)
    rounds = zip_longest(*(groups[key] for key in sorted(groups)))
    return [name for drawn in rounds for name in drawn if name is not None]


def _bare(line: Mapping[str, Any]) -> dict[str, Any]:
    """The session's line without what belongs to the run it comes from."""
    pictures = {"target", "mask"}
    turns = [{name: said for name, said in turn.items() if name not in pictures} for turn in line["turns"]]
    return {**line, "source": None, "image": None, "fault": None, "path": "", "provenance": "", "turns": turns}
