"""What a card may say. Unknown keys are errors; a card's hash covers everything it says beyond the defaults."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from micebench.cards.kinds import kind_of
from micebench.errors import CardError
from micebench.verdicts import MeasureName, MetricName

Domain = Literal["mini", "photo", "any"]
"""mini: rendered scenes of micebench.mini; photo: photographs; any (judges): both."""


class Card(BaseModel):
    """Fields every card has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=100, description="name used on the command line")
    version: int = Field(default=1, ge=1, description="raised with every change that moves scores")
    description: str = Field(description="one line shown by `micebench list`")
    domain: Domain
    _folder: Path | None = PrivateAttr(default=None)

    @property
    def folder(self) -> Path | None:
        """Where the card's file lies; None for a card made in Python. Not part of what the card says."""
        return self._folder

    def found_in(self, folder: Path) -> None:
        """Remember where the card was read from."""
        self._folder = folder


class DataSource(BaseModel):
    """Where a task's sessions come from: built in, a local folder (--data DIR), or the hub."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repo: str | None = Field(default=None, description="HF dataset repository, e.g. leigangqu/MSE-Bench")
    revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$", description="pinned commit")
    files: list[str] = Field(default_factory=list, description="annotation files, relative to the folder")


class TaskCard(Card):
    """A set of sessions plus the protocol for running and scoring them."""

    loader: str = Field(description="kind of the loader that yields the sessions, or module:function")
    options: dict[str, Any] = Field(default_factory=dict, description="arguments of the loader")
    data: DataSource | None = Field(default=None, description="None: the loader makes its own data")
    split: Literal["train", "validation", "test"] = Field(
        default="test", description="what the sessions are for; a loader's option of this name overrides it"
    )
    judge: str | None = Field(description="default judge card; None: only human judgement is published")
    sessions: int | None = Field(default=None, ge=1, description="expected number of sessions")
    turns: int = Field(ge=1, description="largest number of turns of a session")
    fingerprint: str | None = Field(default=None, description="sha256 over all sessions, checked on loading")
    content_consistency: Literal["edival", "mice"] = Field(
        default="edival",
        description="edival: (mean object + mean background)/2 over their own valid sets; "
        "mice: mean over items of the mean of the available parts",
    )
    same_size: bool = Field(default=True, description="an edit must have its input's width and height")
    citation: str = ""

    @model_validator(mode="before")
    @classmethod
    def _from_0_1(cls, fields: Any) -> Any:
        """`adapter`, with an import path, is what `loader` was called in micebench 0.1."""
        if isinstance(fields, dict) and "adapter" in fields and "loader" not in fields:
            fields = {name: value for name, value in fields.items() if name != "adapter"} | {
                "loader": fields["adapter"]
            }
        return fields

    _kind = field_validator("loader")(kind_of)


class JudgeCard(Card):
    """Who scores, what, and how."""

    judge: str = Field(description="kind of judge, or module:class; called with the card")
    metrics: list[MetricName | MeasureName] = Field(min_length=1)
    concurrent: bool = Field(
        default=False,
        description="may judge while the editor is still at work: needs no accelerator the editor might use",
    )
    each_instruction: bool = Field(
        default=False,
        description="in context composed, IF is also asked of every earlier instruction, in the same image",
    )
    options: dict[str, Any] = Field(default_factory=dict)

    _kind = field_validator("judge")(kind_of)

    def files(self) -> list[Path]:
        """The files beside the card that are part of the judge: its prompts."""
        return (
            [] if self.folder is None else sorted(path for path in self.folder.glob("prompt*.j2") if path.is_file())
        )

    def golden(self) -> Path | None:
        """The golden items beside the card, if it has any. They move no score, and so are no part of the judge."""
        path = None if self.folder is None else self.folder / "golden.jsonl"
        return path if path is not None and path.is_file() else None

    def local_weights(self, repo: str) -> Path | None:
        """The folder a component's `repo` names, seen from the card's or from here; None: a repository of the hub.

        Raises CardError for what is written as a path (``./x``, ``../x``, ``~/x``, ``/x``) and is no folder.
        """
        path = Path(repo).expanduser()
        for place in ((self.folder or Path()) / path, path):
            if place.is_dir():
                return place
        if repo.startswith(("./", "../", "~", "/")):
            raise CardError(f"judge {self.id!r}: no weights at {(self.folder or Path()) / path}")
        return None


class AdapterSource(BaseModel):
    """A LoRA on top of an editor's weights: a local folder or file, or a pinned repository."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: str | None = Field(default=None, description="folder or .safetensors file, relative to the card")
    repo: str | None = Field(default=None, description="HF model repository, instead of weights")
    revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$", description="pinned commit of repo")
    weight_name: str | None = Field(default=None, description="file in the folder or repository")
    scale: float = Field(default=1.0, description="strength; 0: as if it were not there")

    @model_validator(mode="after")
    def _one_source(self) -> "AdapterSource":
        if (self.weights is None) == (self.repo is None):
            raise ValueError("give either weights (a folder or file) or repo")
        return self


class EditorCard(Card):
    """An editor: how it is built and what it is allowed to see."""

    editor: str = Field(description="kind of editor, or module:class; called with the card")
    options: dict[str, Any] = Field(default_factory=dict)
    context: Literal["last", "history", "composed"] = Field(
        default="last",
        description="last: current instruction and image; history: all of them; "
        "composed: the source image and all instructions joined",
    )
    batch: int = Field(default=16, ge=1, description="requests per call")
    weights: str | None = Field(default=None, description="folder of weights, relative to the card")
    repo: str | None = Field(default=None, description="HF model repository, where no local weights are given")
    revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$", description="pinned commit of repo")
    adapter: AdapterSource | None = None
    licence: str = ""

    _kind = field_validator("editor")(kind_of)

    def weights_folder(self) -> Path:
        """The folder of weights. Raises CardError if the card names none, or it is not there."""
        if self.weights is None:
            raise CardError(f"model {self.id!r}: the card names no weights")
        path = (self.folder or Path()) / self.weights
        if not path.is_dir():
            raise CardError(f"model {self.id!r}: no weights at {path}; train them, or put them there")
        return path

    def adapter_path(self) -> Path:
        """The adapter's local folder or file. Raises CardError if there is none, or it is not there."""
        if self.adapter is None or self.adapter.weights is None:
            raise CardError(f"model {self.id!r}: the card names no local adapter")
        path = (self.folder or Path()) / self.adapter.weights
        if not path.exists():
            raise CardError(f"model {self.id!r}: no adapter at {path}; train it, or put it there")
        return path

    def check_pinned(self) -> None:
        """Raises CardError (with the remedy) if weights or adapter would come from a repository at any commit."""
        if self.weights is None and self.repo is not None and self.revision is None:
            raise CardError(
                f"model {self.id!r}: no pinned revision in the card; give a local copy with --weights DIR, or set "
                f"revision (the 40-character commit of https://huggingface.co/{self.repo})"
            )
        if self.adapter is not None and self.adapter.repo is not None and self.adapter.revision is None:
            raise CardError(
                f"model {self.id!r}: no pinned revision of the adapter; set adapter.revision (the 40-character "
                f"commit of https://huggingface.co/{self.adapter.repo}), or give a local copy with --adapter"
            )
