"""``adapter_config.json`` of peft: what scales a LoRA's factors, and what cannot be honoured."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micebench.editors.diffusers.adapter_files import CONFIG, header, read_object
from micebench.errors import CardError

if TYPE_CHECKING:
    import torch

_HONOURED = (
    *("r", "lora_alpha", "target_modules", "rank_pattern", "alpha_pattern"),
    *("use_rslora", "use_dora", "lora_bias"),
)
_ALTER_THE_BASE = ("pissa", "olora", "corda", "loftq")
_HEADER = "lora_adapter_metadata"  # diffusers writes the same fields into the file


def peft_config(
    file: Path, own: "Mapping[str, torch.Tensor]", where: str, *, required: bool
) -> dict[str, Any] | None:
    """Arguments of `peft.LoraConfig` for a file whose keys are the denoiser's own names.

    Args:
        own: the tensors by these names.
        required: raise where nothing says rank and alpha; otherwise None, and alpha is the rank.

    Raises:
        CardError: no config, one that is damaged, of another method than LoRA, or that does not fit the tensors.
    """
    beside, stated = file.with_name(CONFIG), header(file).get(_HEADER)
    if beside.is_file():
        found = read_object(beside, where)
    elif stated is not None:
        try:
            found = json.loads(stated)
        except ValueError as error:
            raise CardError(f"{where}: its {_HEADER} is not JSON; save the adapter again") from error
    elif required:
        raise CardError(f"{where} has no {CONFIG} next to it, which says lora_alpha; copy it there")
    else:
        return None
    _check(found, own, where)
    return {name: found[name] for name in _HONOURED if name in found}


def _check(found: Mapping[str, Any], own: "Mapping[str, torch.Tensor]", where: str) -> None:
    said = f"{where}: {CONFIG} says"
    if found.get("peft_type", "LORA") != "LORA":
        raise CardError(f"{said} peft_type {found['peft_type']!r}; only LORA is loaded")
    rank, alpha = found.get("r"), found.get("lora_alpha")
    if not _is_number(rank) or not _is_number(alpha):
        raise CardError(f"{said} r {rank!r} and lora_alpha {alpha!r}; expected numbers")
    for name, plain in (("bias", "none"), ("modules_to_save", None), ("layer_replication", None)):
        if found.get(name, plain) not in (plain, None, [], {}):
            raise CardError(f"{said} {name} {found[name]!r}, which is not supported; train the LoRA without it")
    start = found.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_ALTER_THE_BASE):
        raise CardError(
            f"{said} init_lora_weights {start!r}, which alters the base model; convert it to a plain LoRA when saving"
        )
    if not found.get("rank_pattern"):
        odd = next((key for key, tensor in own.items() if ".lora_A." in key and tensor.shape[0] != rank), None)
        if odd is not None:
            raise CardError(f"{said} r {rank}, but {odd!r} has rank {own[odd].shape[0]}; is it another adapter's?")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
