"""Can a card's editor be learnt from as it is? Asked of the card alone, then of the pipeline it loads."""

import inspect
from typing import Any

from micebench.cards import EditorCard, check_fields, resolve_kind
from micebench.editors.diffusers import DiffusersEditor, PipelineOptions
from micebench.errors import CardError

_DENOISERS = ("FluxTransformer2DModel", "Flux2Transformer2DModel", "QwenImageTransformer2DModel")
"""Transformers over a sequence of latent tokens, those to denoise first, whose arguments `traces` knows to keep."""


def check_card(card: EditorCard, *, full: bool) -> None:
    """Raises CardError, with the remedy, for what can be seen before gigabytes are loaded.

    Args:
        full: all weights of the denoiser are to learn.
    """
    where = f"model {card.id!r}"
    if resolve_kind("editor", card.editor, where=where) is not DiffusersEditor:
        raise CardError(f"{where} cannot be trained: only diffusers pipelines can, and it is made by {card.editor}")
    options = check_fields(card.options, PipelineOptions, where=f"{where}, options")
    if card.adapter is not None:
        raise CardError(f"{where}: training starts from weights without an adapter; leave `adapter` out")
    for name in ("offload", "compile"):
        if getattr(options, name):
            raise CardError(f"{where}, options.{name}: not while training; leave it out")
    if full and (options.quantization is not None or options.dtype != "float32"):
        raise CardError(
            f"{where}, options.dtype: small steps are lost in {options.dtype} or quantized weights; train a LoRA "
            "(recipes mt-editflow-nft-lora and mt-editflow-grpo-lora, or `lora: {rank: 32}` in your own), or set "
            "float32 (autocast makes it fast)"
        )


def check_pipeline(card: EditorCard, options: PipelineOptions, pipeline: Any) -> None:
    """Raises CardError, with the remedy, for what sampling does that learning could not repeat."""
    where = f"model {card.id!r}"
    denoiser = type(getattr(pipeline, "transformer", None)).__name__
    if denoiser not in _DENOISERS:
        raise CardError(f"{where}: {options.pipeline} cannot be trained; denoisers that can: {', '.join(_DENOISERS)}")
    if guided := _guidance(options, pipeline):
        raise CardError(
            f"{where}: {guided} calls the denoiser twice a step, and only one of the calls could be learnt from; "
            f"{_REMEDY[guided]}"
        )


_REMEDY = {
    "true_cfg_scale": "set true_cfg_scale: 1.0 in options.call and leave negative_prompt out (in a recipe: null)",
    "guidance_scale": "set guidance_scale: 1.0 in options.call",
}


def _guidance(options: PipelineOptions, pipeline: Any) -> str:
    """The argument that switches classifier-free guidance by a second prediction on; empty if it is off."""
    parameters = inspect.signature(type(pipeline).__call__).parameters
    scale = {
        name: options.call.get(name, parameters[name].default) if name in parameters else None for name in _REMEDY
    }
    if scale["true_cfg_scale"] is not None:
        return "true_cfg_scale" if options.negative_prompt is not None and scale["true_cfg_scale"] > 1 else ""
    if hasattr(type(pipeline), "do_classifier_free_guidance"):
        pipeline._guidance_scale = scale["guidance_scale"]
        return "guidance_scale" if pipeline.do_classifier_free_guidance else ""
    return ""
