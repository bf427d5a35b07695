"""Images made elsewhere, scored here: a folder of files, or a table of images. Nothing is generated.

The run's identity covers the content of every file of the folder (sha256), or the pinned commit of the table's
repository: other images are another model, and no verdict about the old ones is reused.
"""

import os
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path, PureWindowsPath
from string import Formatter
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from micebench.cards import EditorCard, check_fields
from micebench.editors.base import Edited, EditRequest
from micebench.editors.resize_pad import decode
from micebench.errors import CardError, EditorError, one_line

if TYPE_CHECKING:
    from PIL.Image import Image

EDIVAL = "{name}_input_raw_turn_{turn}"
"""What EdiVal's scripts call an output (TianyuCodings/EdiVal @ a7bbdec, eval.py)."""
_PROTOCOLS = ("multipass", "singlepass")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_FIELDS = {"session", "name", "turn", "turn0"}
_SAME_SHAPE = 1.02


class Columns(BaseModel):
    """Names of a table's columns; one row is one image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    session: str = "session"
    turn: str = "turn"
    image: str = "image"


class ReplayOptions(BaseModel):
    """How images are found and fitted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pattern: str | None = Field(
        default=None,
        description="path in the folder; fields {session}, {name} (its part after the last /), {turn} from 1, "
        "{turn0} from 0, with format as in {turn:02d}; without an ending, all of png, jpg, jpeg, webp are tried. "
        "None: whichever of EdiVal's layout and {session}/{turn} is there",
    )
    columns: Columns = Columns()
    split: str = Field(default="train", description="of a table")
    first_turn: Literal[0, 1] = Field(default=1, description="number of the first turn in a table")
    fit: Literal["scale", "stretch", "exact"] = Field(
        default="scale",
        description="an image of another size than the input is: scaled if its aspect ratio is the same, else "
        "failed; stretched whatever its ratio (what EdiVal's own evaluation does); or failed",
    )
    max_pixels: int = Field(default=50_000_000, ge=1)

    @field_validator("pattern")
    @classmethod
    def _only_known_fields(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        used = {name for _, name, _, _ in Formatter().parse(pattern) if name is not None}
        if unknown := used - _FIELDS:
            raise ValueError(f"unknown field {sorted(unknown)[0]!r}; known: {', '.join(sorted(_FIELDS))}")
        if not used & {"turn", "turn0"} or not used & {"session", "name"}:
            raise ValueError("it must tell sessions and turns apart: use {session} or {name}, and {turn} or {turn0}")
        return pattern


class Replay:
    """Gives back what lies at the place of each session and turn; what is not there, or unreadable, has failed."""

    def __init__(self, card: EditorCard) -> None:
        self.options = check_fields(card.options, ReplayOptions, where=f"model {card.id!r}, options")
        if card.weights is None and card.repo is None:
            raise CardError(f"model {card.id!r} replays images: say which, as in --model replay:FOLDER")
        self.images: _Folder | _Table
        if card.weights is None:
            self.images = _Table(self.options, repo=card.repo, revision=card.revision)
        else:
            folder = card.weights_folder()
            files = sorted(str(path) for path in folder.rglob("*.parquet"))
            self.images = _Table(self.options, files=files) if files else _Folder(folder, self.options)

    def edit(self, requests: Sequence[EditRequest]) -> list[Edited]:
        return [self._edit(request) for request in requests]

    def _edit(self, request: EditRequest) -> Edited:
        try:
            data, where = self.images.find(request.session_id, request.turn)
        except EditorError as error:
            return Edited(None, failed=str(error))
        try:
            return Edited(self._fitted(decode(data, self.options.max_pixels), request.image.size))
        except EditorError as error:
            return Edited(None, failed=f"{where}: {error}")

    def _fitted(self, image: "Image", size: tuple[int, int]) -> "Image":
        from PIL.Image import Resampling

        if image.size == size:
            return image
        ratio = image.width * size[1] / (image.height * size[0])
        same = 1 / _SAME_SHAPE <= ratio <= _SAME_SHAPE
        if self.options.fit == "exact" or (self.options.fit == "scale" and not same):
            raise EditorError(
                f"{image.width} x {image.height} pixels, but the input has {size[0]} x {size[1]}"
                + ("" if same else "; fit: stretch would squash it")
            )
        return image.resize(size, Resampling.LANCZOS)


def replay_card(folder: Path, domain: Literal["mini", "photo", "any"]) -> EditorCard:
    """The card for ``--model replay:FOLDER``; the folder itself is not in it, so that it may be moved.

    Raises:
        CardError: there is no such folder, or it holds both of EdiVal's protocols.
    """
    if not os.path.isdir(folder):
        raise CardError(f"--model replay:{folder}: no such folder")
    if inner := [name for name in _PROTOCOLS if (folder / name).is_dir()]:
        raise CardError(f"{folder} holds {' and '.join(inner)}: give --model replay:{folder / inner[0]}")
    folder = folder.resolve()
    named = [folder.parent.name, folder.name] if folder.name in _PROTOCOLS else [folder.name]
    slug = re.sub(r"[^a-z0-9._-]+", "-", "-".join(named).lower()).strip("-._") or "images"
    return EditorCard(
        id=f"replay-{slug}",
        description="images made elsewhere",
        domain=domain,
        editor="replay",
        context="composed" if folder.name == "singlepass" else "last",
        batch=64,
    )


class _Folder:
    """One file per image."""

    def __init__(self, folder: Path, options: ReplayOptions) -> None:
        self.folder = folder
        self.patterns = (options.pattern,) if options.pattern else (EDIVAL, "{session}/{turn}")

    def find(self, session: str, turn: int) -> tuple[bytes, Path]:
        """The bytes, and where they lie. Raises EditorError: none, several, unreadable, or an id that is no path."""
        fields = {"session": session, "name": session.rpartition("/")[2], "turn": turn, "turn0": turn - 1}
        for text in (fields["session"], fields["name"]):
            _check_inside(str(text))
        names = [_filled(pattern, fields) for pattern in self.patterns]
        found = [path for name in names for path in self._candidates(name) if os.path.isfile(path)]
        if not found:
            raise EditorError(f"no image {' or '.join(names)} in {self.folder}")
        if len(found) > 1:
            both = " and ".join(str(path.relative_to(self.folder)) for path in found)
            raise EditorError(f"{both} in {self.folder} are all images of this turn")
        try:
            return found[0].read_bytes(), found[0]
        except OSError as error:
            raise EditorError(f"{found[0]}: {error.strerror or error}") from error

    def _candidates(self, name: str) -> list[Path]:
        endings = ("",) if name.lower().endswith(_SUFFIXES) else _SUFFIXES
        return [self.folder / f"{name}{ending}" for ending in endings]


class _Table:
    """One row per image: parquet files, or a pinned repository of the hub."""

    def __init__(
        self,
        options: ReplayOptions,
        *,
        files: Sequence[str] = (),
        repo: str | None = None,
        revision: str | None = None,
    ) -> None:
        import datasets
        from datasets.exceptions import DatasetsError

        columns = options.columns
        try:
            if repo is not None:
                table = datasets.load_dataset(repo, revision=revision, split=options.split)
            else:
                table = datasets.load_dataset("parquet", data_files={"images": list(files)}, split="images")
        except (OSError, ValueError, DatasetsError) as error:
            raise CardError(f"the table of images cannot be read: {one_line(error, 300)}") from error
        missing = {columns.session, columns.turn, columns.image} - set(table.column_names)
        if missing:
            raise CardError(
                f"the table of images has no column {sorted(missing)[0]!r}; it has {', '.join(table.column_names)}; "
                "name them in the card's options, columns"
            )
        self.where = repo or (files[0] if len(files) == 1 else f"{len(files)} parquet files")
        self._table: Any = table
        self._options = options

    def find(self, session: str, turn: int) -> tuple[bytes, str]:
        """The bytes, and words for where. Raises EditorError: no such row, several, or one without an image."""
        rows = self._rows.get((session, turn), [])
        where = f"session {session!r} turn {turn} of {self.where}"
        if len(rows) != 1:
            raise EditorError(f"no image for {where}" if not rows else f"{len(rows)} images for {where}")
        cell = self._images[rows[0]][self._options.columns.image]
        data = cell.get("bytes") if isinstance(cell, Mapping) else cell
        if not isinstance(data, bytes):
            raise EditorError(f"no image for {where}: its cell holds no bytes")
        return data, where

    @cached_property
    def _images(self) -> Any:
        """The table with images as they were stored."""
        import datasets

        name = self._options.columns.image
        if isinstance(self._table.features[name], datasets.Image):
            return self._table.cast_column(name, datasets.Image(decode=False))
        return self._table

    @cached_property
    def _rows(self) -> dict[tuple[str, int], list[int]]:
        """(session, turn) -> rows."""
        columns, rows = self._options.columns, {}
        keys = self._table.select_columns([columns.session, columns.turn])
        for place, row in enumerate(keys):
            turn = int(row[columns.turn]) + 1 - self._options.first_turn
            rows.setdefault((str(row[columns.session]), turn), []).append(place)
        return rows


def _filled(pattern: str, fields: Mapping[str, Any]) -> str:
    try:
        return pattern.format(**fields)
    except (ValueError, TypeError) as error:
        raise EditorError(f"pattern {pattern!r} does not fit session {fields['session']!r} ({error})") from error


def _check_inside(session: str) -> None:
    """A session id becomes part of a path: no step of it may lead out of the folder."""
    steps = session.split("/")
    if any(step in {"", ".", ".."} or "\\" in step or "\0" in step or PureWindowsPath(step).drive for step in steps):
        raise EditorError(f"session id {session!r} cannot be part of a path; replay from a table instead")
