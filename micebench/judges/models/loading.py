"""Where a local model's weights come from, and what to do when they are not there."""

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from micebench.errors import CardError, UnavailableError, one_line
from micebench.utils.quiet_logging import hush

if TYPE_CHECKING:
    import torch


class Weights(BaseModel):
    """Names a saved transformers model: a hub repository at a pinned commit, or a folder on disk."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repo: str = Field(description="hub repository (owner/name) or the folder that save_pretrained wrote")
    revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$", description="commit of the hub repository")
    device: str | None = Field(default=None, description="cpu | cuda | ...; None: a GPU if there is one")

    @property
    def folder(self) -> Path | None:
        """The folder on disk, if `repo` is one."""
        path = Path(self.repo).expanduser()
        return path if path.is_dir() else None

    @model_validator(mode="after")
    def _is_pinned(self) -> "Weights":
        if self.revision is None and self.folder is None:
            raise ValueError(f"{self.repo!r} is no folder here; a hub repository needs its revision (40 hex digits)")
        return self


def load_pretrained(loader: Any, weights: Weights, **arguments: Any) -> Any:
    """``loader.from_pretrained`` of the named weights; what the hub cache holds is not downloaded again.

    Raises:
        UnavailableError: one line with the remedy: not downloaded and no network, gated, not a saved model of this
            kind. CardError where the disk is full.
    """
    place = weights.folder
    if place is None:
        arguments = {"revision": weights.revision, **arguments}
    with hush():
        try:
            return loader.from_pretrained(str(place or weights.repo), **arguments)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            kind = CardError if _disk_full(error) else UnavailableError
            raise kind(_explain(weights, loader.__name__, error)) from error


def load_model(loader: Any, weights: Weights) -> Any:
    """A model in float32 for inference, on its device; safetensors only. Raises CardError as `load_pretrained`."""
    model = load_pretrained(loader, weights, use_safetensors=True)
    try:
        return model.eval().requires_grad_(False).float().to(device_of(weights))
    except (RuntimeError, AssertionError) as error:
        raise UnavailableError(
            f"{weights.repo}: device {weights.device!r} cannot be used ({one_line(error, 200)})"
        ) from error


def device_of(weights: Weights) -> "torch.device":
    """The device the card names, else a GPU if there is one."""
    import torch

    return torch.device(weights.device or ("cuda" if torch.cuda.is_available() else "cpu"))


def import_transformers() -> Any:
    """The transformers module, untyped: its annotations are partial. Loaded when a model is."""
    import transformers

    return transformers


def _explain(weights: Weights, loader: str, error: Exception) -> str:
    if weights.folder is not None:
        return f"{weights.repo}: not a folder {loader} can load ({one_line(error, 200)}); save_pretrained writes one"
    from huggingface_hub.errors import GatedRepoError

    name = f"{weights.repo} at {weights.revision}"
    if any(isinstance(cause, GatedRepoError) for cause in _chain(error)):
        return (
            f"{name}: gated; accept its licence at https://huggingface.co/{weights.repo} and run `hf auth login`, "
            "or name a folder in `repo`"
        )
    return (
        f"{name}: cannot be loaded ({one_line(error, 200)}); where there is a network, run "
        f"`hf download {weights.repo} --revision {weights.revision}`, or name a folder in `repo`"
    )


def _disk_full(error: Exception) -> bool:
    return any(isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT) for cause in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
