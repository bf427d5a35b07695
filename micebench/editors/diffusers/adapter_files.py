"""Which file an adapter is: the one a card names, or the only LoRA of a folder or repository."""

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micebench.cards import EditorCard
from micebench.editors.diffusers.hub import hub_errors, unreachable
from micebench.errors import CardError, one_line

if TYPE_CHECKING:
    import torch

CONFIG = "adapter_config.json"
"""What peft writes next to the weights: rank, alpha, target modules."""

_SHOWN = 8


def adapter_file(card: EditorCard, kind: str) -> Path:
    """The safetensors file of the card's adapter, downloaded if need be.

    Args:
        kind: class of the pipeline, for messages.

    Raises:
        CardError: there is none, or there are several; nothing is chosen by chance.
    """
    adapter = card.adapter
    assert adapter is not None
    if adapter.weights is None:
        card.check_pinned()
        return _downloaded(card)
    path = card.adapter_path()
    if path.is_dir() and adapter.weight_name is not None:
        path = path / adapter.weight_name
    if path.is_dir():
        return _only_lora(card, path, kind)
    if path.suffix != ".safetensors" or not path.is_file():
        missing = "no such file" if not path.exists() else "not a .safetensors file; pickled weights are never loaded"
        raise CardError(f"model {card.id!r}: {path} is no adapter for {kind} ({missing})")
    return path


def read_tensors(file: Path, where: str) -> "dict[str, torch.Tensor]":
    """All tensors of a file. Raises CardError where it is damaged or empty."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(file)
    except (OSError, SafetensorError, ValueError) as error:
        raise CardError(f"{where} is not a readable safetensors file ({one_line(error, 200)})") from error
    if not tensors:
        raise CardError(f"{where} holds no weights")
    return tensors


def header(file: Path) -> dict[str, str]:
    """The texts that a safetensors file carries with its tensors."""
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        return opened.metadata() or {}


def read_object(file: Path, where: str) -> dict[str, Any]:
    """A JSON object. Raises CardError naming the file."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CardError(f"{where}: {file.name} is not readable as JSON ({one_line(error, 200)})") from error
    if not isinstance(found, dict):
        raise CardError(f"{where}: {file.name} does not hold an object")
    return found


def _only_lora(card: EditorCard, folder: Path, kind: str) -> Path:
    files = [file for file in sorted(folder.glob("*.safetensors")) if _holds_lora(file)]
    if len(files) == 1:
        return files[0]
    where = f"model {card.id!r}: {folder}"
    if files:
        raise CardError(f"{where} holds several LoRA files: {_named(files)}; give one of them, as in {files[0]}")
    pickled = sorted(folder.glob("*.bin"))
    hint = f"; {pickled[0].name} is a pickle, which is never loaded: save it as safetensors" if pickled else ""
    raise CardError(f"{where} is no adapter for {kind} (no .safetensors file with LoRA weights in it{hint})")


def _holds_lora(file: Path) -> bool:
    """Whether a file may be meant: not an optimizer's state or a whole model next to the LoRA. Reads its header."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            return any("lora" in key or ".lokr_" in key for key in opened.keys())  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError):
        return True  # a damaged file is not passed over in silence


def _named(files: list[Path]) -> str:
    names = ", ".join(file.name for file in files[:_SHOWN])
    return names + (f", ... ({len(files)} in all)" if len(files) > _SHOWN else "")


def _downloaded(card: EditorCard) -> Path:
    from huggingface_hub import hf_hub_download, list_repo_files
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    adapter = card.adapter
    assert adapter is not None
    repo, revision, name = str(adapter.repo), adapter.revision, adapter.weight_name
    try:
        if name is None:
            files = [Path(file) for file in list_repo_files(repo, revision=revision)]
            files = [file for file in files if file.suffix == ".safetensors" and len(file.parts) == 1]
            if len(files) != 1:
                found = f"holds several: {_named(files)}" if files else "holds none at its top"
                raise CardError(
                    f"model {card.id!r}: {repo} {found}; set adapter.weight_name to the LoRA's .safetensors file"
                )
            name = files[0].name
        if not name.endswith(".safetensors"):
            raise CardError(f"model {card.id!r}: adapter.weight_name {name!r}: only .safetensors files are loaded")
        file = Path(hf_hub_download(repo, name, revision=revision))
        with suppress(EntryNotFoundError, LocalEntryNotFoundError):  # only peft writes one, and its files need it
            hf_hub_download(repo, str(Path(name).with_name(CONFIG)), revision=revision)
        return file
    except (*hub_errors(), OSError, ValueError) as error:
        raise CardError(f"model {card.id!r}: {unreachable(repo, revision, error, '--adapter')}") from error
