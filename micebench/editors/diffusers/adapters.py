"""LoRAs on a pipeline: one safetensors file, in the format of diffusers, of peft, or one that diffusers converts.

diffusers loads what it can of a file and logs the rest. Here a file loads whole or is refused, by name and key.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from micebench.cards import EditorCard
from micebench.editors.diffusers.adapter_files import adapter_file, read_tensors
from micebench.editors.diffusers.peft_config import peft_config
from micebench.errors import CardError, needs_extra, one_line

if TYPE_CHECKING:
    import torch

_NAME = "adapter"
_PEFT_PREFIX = "base_model.model."
_OTHER_MODEL = "was it trained on another model?"


def load_adapter(card: EditorCard, pipeline: Any) -> None:
    """Put the card's adapter on a loaded pipeline.

    Raises:
        CardError: no file, several files, or one that does not fit every layer it has weights for.
    """
    assert card.adapter is not None
    kind = type(pipeline).__name__
    if not hasattr(pipeline, "load_lora_weights"):
        raise CardError(f"model {card.id!r}: {kind} takes no adapter")
    if find_spec("peft") is None:
        raise needs_extra("adapters", ImportError("peft"))
    file = adapter_file(card, kind)
    where = f"model {card.id!r}: {file}"
    tensors = read_tensors(file, where)
    denoiser = _Denoiser(kind, "transformer" if hasattr(pipeline, "transformer") else "unet", pipeline)
    own = denoiser.by_its_names(tensors)
    try:
        with _overheard("diffusers") as warnings:
            if own is None:
                _check_converted(where, denoiser, pipeline, tensors)
                place = {"weight_name": file.name, "local_files_only": True, "use_safetensors": True}
                pipeline.load_lora_weights(str(file.parent), adapter_name=_NAME, **place)
            else:
                _check_fit(where, denoiser, own, dict(zip(own, tensors, strict=True)))
                prefixed = any(key.startswith(_PEFT_PREFIX) for key in tensors)
                config = peft_config(file, own, where, required=prefixed)
                denoiser.module.load_lora_adapter(own, prefix=None, adapter_name=_NAME, metadata=config)
        loaded = _NAME in {name for names in pipeline.get_list_adapters().values() for name in names}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, ImportError) as error:
        said = f"key {error} is missing" if isinstance(error, KeyError) else one_line(error, 300)
        raise CardError(f"{where} is no adapter for {kind} ({said or type(error).__name__})") from error
    if not loaded:
        raise CardError(f"{where} has no weights for any part of {kind}")
    if any("unexpected keys" in warning or "missing keys" in warning for warning in warnings):
        raise CardError(f"{where} fits only parts of {kind}; {_OTHER_MODEL}")
    pipeline.set_adapters([_NAME], [card.adapter.scale])


@dataclass(frozen=True, slots=True)
class _Denoiser:
    """The part of a pipeline that adapters are for. `kind`: the pipeline's class, for messages."""

    kind: str
    name: str
    pipeline: Any

    @property
    def module(self) -> Any:
        return getattr(self.pipeline, self.name)

    def by_its_names(self, tensors: "Mapping[str, torch.Tensor]") -> "dict[str, torch.Tensor] | None":
        """The tensors under the denoiser's own names, as peft saves them; None for files of other formats."""
        modules = {name for name, _ in self.module.named_modules() if name}
        own = {key.removeprefix(_PEFT_PREFIX).replace(".default.", "."): tensor for key, tensor in tensors.items()}
        known = [name for name in own if ".lora_" in name and name.partition(".lora_")[0] in modules]
        return own if known and len(own) == len(tensors) else None


def _check_converted(where: str, denoiser: _Denoiser, pipeline: Any, tensors: "Mapping[str, torch.Tensor]") -> None:
    """A file that diffusers reads: as its converters name the keys, where they give peft's factors."""
    if any("dora_scale" in key for key in tensors):
        raise CardError(f"{where} is a DoRA, whose dora_scale keys diffusers ignores; train a plain LoRA")
    try:
        converted = pipeline.lora_state_dict(dict(tensors))
    except (KeyError, ValueError, RuntimeError, AttributeError) as error:
        raise CardError(
            f"{where} matches no layer of {denoiser.kind} (first key {next(iter(tensors))!r}); {_OTHER_MODEL}"
        ) from error
    state: Mapping[str, torch.Tensor] = converted[0] if isinstance(converted, tuple) else converted
    prefixes = tuple(f"{name}." for name in pipeline._lora_loadable_modules)
    lost = next((key for key in state if not key.startswith(prefixes) and not key.endswith(".alpha")), None)
    if lost is not None:
        part = "fits only parts" if any(key.startswith(prefixes) for key in state) else "matches no layer"
        raise CardError(f"{where} {part} of {denoiser.kind}: no layer for key {lost!r}; {_OTHER_MODEL}")
    prefix = f"{denoiser.name}."
    own = {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
    if any(".lora_A." in key for key in own):
        norms = getattr(pipeline, "_control_lora_supported_norm_keys", ())  # replaced as a whole
        own = {key: tensor for key, tensor in own.items() if not any(norm in key for norm in norms)}
        _check_fit(where, denoiser, own, {name: f"{prefix}{name}" for name in own})


def _check_fit(where: str, denoiser: _Denoiser, own: "Mapping[str, torch.Tensor]", said: Mapping[str, str]) -> None:
    """Every key belongs to a layer, whose weight it fits, and has its counterpart. `said`: keys as in the file."""
    modules = dict(denoiser.module.named_modules())
    known = [key for key in own if key.partition(".lora_")[0] in modules]
    for key, tensor in own.items():
        layer, marker, factor = key.partition(".lora_")
        if key.endswith(".alpha"):
            continue
        if not marker:
            raise CardError(f"{where} holds {said[key]!r}, which is no LoRA weight; save the LoRA weights alone")
        if layer not in modules:
            part = "fits only parts" if known else "matches no layer"
            raise CardError(f"{where} {part} of {denoiser.kind}: no layer for key {said[key]!r}; {_OTHER_MODEL}")
        if not bool(tensor.isfinite().all()):
            raise CardError(f"{where}: {said[key]!r} has NaN or infinite values; take an earlier checkpoint")
        if factor not in ("A.weight", "B.weight"):
            continue
        other = own.get(f"{layer}.lora_{'B' if factor == 'A.weight' else 'A'}.weight")
        if other is None:
            raise CardError(f"{where}: {said[key]!r} has no counterpart for the same layer; the file is damaged")
        shape, weight = list(tensor.shape), _weight_shape(modules[layer])
        fits = shape[1:] == weight[1:] if factor == "A.weight" else shape[0] == weight[0]
        if not fits or _rank(tensor, factor) != _rank(other, "B.weight" if factor == "A.weight" else "A.weight"):
            raise CardError(
                f"{where}: {said[key]!r} has shape {shape}, which does not fit the layer's weight of shape {weight} "
                f"in {denoiser.kind}; {_OTHER_MODEL}"
            )


def _rank(tensor: "torch.Tensor", factor: str) -> int:
    return tensor.shape[0 if factor == "A.weight" or tensor.ndim < 2 else 1]


def _weight_shape(layer: Any) -> list[int]:
    """Of a layer as it was trained: a quantized weight is packed, but the layer knows its features."""
    if hasattr(layer, "in_features"):
        return [layer.out_features, layer.in_features]
    return list(layer.weight.shape) if hasattr(layer, "weight") else []


class _Ear(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())


@contextmanager
def _overheard(name: str) -> Iterator[list[str]]:
    """The warnings a library logs meanwhile, which nobody else gets to see."""
    logger, ear = logging.getLogger(name), _Ear()
    level, handlers, propagate = logger.level, logger.handlers, logger.propagate
    logger.setLevel(logging.WARNING)
    logger.handlers, logger.propagate = [ear], False
    try:
        yield ear.heard
    finally:
        logger.setLevel(level)
        logger.handlers, logger.propagate = handlers, propagate
