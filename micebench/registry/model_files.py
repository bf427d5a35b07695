"""The files behind a card: where they lie, and their part in a run's identity."""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from micebench.cards import AdapterSource, Card, EditorCard, JudgeCard, card_hash
from micebench.errors import CardError, one_line
from micebench.registry.file_hashes import remembered
from micebench.utils.json_lines import JsonFault, parse_json
from micebench.utils.text_files import check_name, read_text

_INDEX = "model_index.json"
_MOST_BYTES = 4 << 20  # of that file
_PLAIN_NAMES = {"weights", "pipeline", "adapter", "lora", "pytorch_lora_weights"}  # say nothing; the parent's does


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Files of a model given by hand.

    Attributes:
        weights: folder to load instead of what the card names.
        adapter: LoRA on top: a folder or a .safetensors file.
    """

    weights: Path | None = None
    adapter: Path | None = None


NO_FILES = ModelFiles()


def is_saved_pipeline(name: str) -> bool:
    """Whether this is a folder that a diffusers pipeline was saved to, without a card of its own."""
    return os.path.isfile(Path(name) / _INDEX) and not os.path.isfile(Path(name) / "editor.yaml")


def saved_pipeline_card(folder: Path, domain: Literal["mini", "photo", "any"]) -> EditorCard:
    """A card for a saved pipeline: class as in its index, numbers as in the pipeline's own defaults.

    Raises:
        CardError: the index cannot be read.
    """
    try:
        index = parse_json(read_text(folder / _INDEX, _MOST_BYTES, CardError))
    except JsonFault as error:
        raise CardError(f"{folder / _INDEX} names no pipeline class (not valid JSON: {error})") from error
    kind = index.get("_class_name") if isinstance(index, dict) else None
    if not isinstance(kind, str) or not kind.isidentifier():
        raise CardError(f"{folder / _INDEX} names no pipeline class (_class_name is {one_line(repr(kind), 60)})")
    card = EditorCard(
        id=_name(folder),
        description=f"saved {kind}",
        domain=domain,
        editor="diffusers",
        options={"pipeline": kind},
        weights=".",
    )
    card.found_in(folder)
    return card


def place(card: EditorCard, files: ModelFiles) -> tuple[str, EditorCard]:
    """The model's name and its card with the files given by hand in their places.

    A model with another adapter is another model, and called so: ``flux.1-kontext-dev+my-lora``.

    Raises:
        CardError: a file is not there, or is to come from a repository at no pinned commit.
    """
    name, changes = card.id, {}
    for path, option in ((files.weights, "--weights"), (files.adapter, "--adapter")):
        if path is not None:
            check_name(path, option, CardError)
    if files.weights is not None:
        if not os.path.isdir(files.weights):
            raise CardError(f"--weights {files.weights}: no such folder; give the folder that holds {_INDEX}")
        changes["weights"] = str(files.weights.resolve())
    if files.adapter is not None:
        if not os.path.exists(files.adapter):
            raise CardError(f"--adapter {files.adapter}: no such file or folder")
        changes["adapter"] = AdapterSource(weights=str(files.adapter.resolve()))
        name = f"{name}+{_name(files.adapter)}"
    placed = card.model_copy(update=changes)
    placed.check_pinned()
    return name, placed


def card_identity(card: EditorCard, placed: EditorCard) -> str:
    """Hash of what the card says and of every local file of the model: retrained is another editor.

    Args:
        card: as it was found.
        placed: the same with files given by hand; where they lie does not matter, what they hold does.
    """
    parts: list[tuple[str, Path]] = []
    if placed.weights is not None:
        parts.append(("weights", placed.weights_folder()))
    if placed.adapter is not None and placed.adapter.weights is not None:
        parts.append(("adapter", placed.adapter_path()))
    return _with_files(card, parts)


def judge_identity(card: JudgeCard) -> str:
    """Hash of what a judge's card says, of the prompts beside it, and of local weights.

    Weights from the hub are covered by the pinned revision in the card.
    """
    parts = [("file", path) for path in card.files()]
    for name, part in card.options.items():
        folder = card.local_weights(part["repo"]) if isinstance(part, dict) and "repo" in part else None
        if folder is not None:
            parts.append((name, folder))
    return _with_files(card, parts)


def _with_files(card: Card, parts: Sequence[tuple[str, Path]]) -> str:
    if not parts:
        return card_hash(card)
    digest = hashlib.sha256(card_hash(card).encode())
    with remembered() as sha256:
        for part, path in parts:
            digest.update(f"\n{part}\n".encode())
            for file in [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file()):
                digest.update(file.relative_to(path if path.is_dir() else path.parent).as_posix().encode() + b"\0")
                digest.update(sha256(file))
    return digest.hexdigest()


def _name(path: Path) -> str:
    """A model's name from the place of its files."""
    path = path.resolve()
    stem = path.stem if path.is_file() else path.name
    if stem.lower() in _PLAIN_NAMES:
        stem = path.parent.name
    return re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-._") or "model"
