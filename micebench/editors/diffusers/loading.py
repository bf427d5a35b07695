"""From a card to a pipeline that is ready to be called."""

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from micebench.cards import EditorCard
from micebench.editors.diffusers.adapters import load_adapter
from micebench.editors.diffusers.checks import check_call
from micebench.editors.diffusers.hub import hub_errors, unreachable
from micebench.editors.diffusers.options import PipelineOptions
from micebench.errors import CardError, nearest, one_line
from micebench.utils.quiet_logging import hush

if TYPE_CHECKING:
    from types import ModuleType


def load_pipeline(card: EditorCard, options: PipelineOptions) -> Any:
    """The card's pipeline with its adapter, on its device. The options must have passed `check_options`.

    Raises:
        CardError: unknown class or argument, options that do not fit the pipeline, weights that are not there,
            not pinned, gated or of another kind; each with the remedy.
    """
    with hush():
        import diffusers
        import torch

        kind = getattr(diffusers, options.pipeline)
        check_call(card, options, inspect.signature(kind.__call__).parameters)
        how: dict[str, Any] = {
            "dtype": getattr(torch, options.dtype),
            "use_safetensors": True,
            "trust_remote_code": False,
            **_left_out(card, options, kind),
        }
        if options.quantization is not None:
            how["quantization_config"] = _quantization(card, options, diffusers)
        pipeline = _from_pretrained(card, kind, how)
        if options.scheduler is not None:
            pipeline.scheduler = _scheduler(card, options.scheduler, diffusers).from_config(pipeline.scheduler.config)
        if card.adapter is not None:
            load_adapter(card, pipeline)
        _place(card, options, pipeline)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline


def _left_out(card: EditorCard, options: PipelineOptions, kind: Any) -> dict[str, None]:
    for name in options.without:
        if name not in kind._optional_components:
            raise CardError(
                f"model {card.id!r}, options.without: {name!r} is not optional in {options.pipeline}; "
                f"{nearest(name, kind._optional_components)}"
            )
    return dict.fromkeys(options.without)


def _quantization(card: EditorCard, options: PipelineOptions, diffusers: "ModuleType") -> Any:
    assert options.quantization is not None
    try:
        return diffusers.PipelineQuantizationConfig(
            quant_backend=options.quantization.backend,
            quant_kwargs=dict(options.quantization.options),
            components_to_quantize=list(options.quantization.components),
        )
    except (ValueError, TypeError, ImportError) as error:
        raise CardError(f"model {card.id!r}, options.quantization: {_line(error)}") from error


def _scheduler(card: EditorCard, name: str, diffusers: "ModuleType") -> Any:
    kind = getattr(diffusers, name, None)
    if not (inspect.isclass(kind) and issubclass(kind, diffusers.SchedulerMixin)):
        raise CardError(f"model {card.id!r}, options.scheduler: diffusers has no scheduler {name!r}")
    return kind


def _from_pretrained(card: EditorCard, kind: Any, how: Mapping[str, Any]) -> Any:
    card.check_pinned()
    if card.weights is not None or card.repo is None:
        source, place = card.weights_folder(), {"local_files_only": True}
    else:
        source, place = card.repo, {"revision": card.revision}
    try:
        return kind.from_pretrained(source, **place, **how)
    except ImportError as error:  # bitsandbytes, torchvision ...
        raise CardError(f"model {card.id!r}: {_line(error)}") from error
    except (*hub_errors(), OSError, ValueError, TypeError, RuntimeError) as error:
        if isinstance(source, str):
            raise CardError(f"model {card.id!r}: {unreachable(source, card.revision, error)}") from error
        raise CardError(f"model {card.id!r}: {source} is not a saved {kind.__name__} ({_line(error)})") from error


def _place(card: EditorCard, options: PipelineOptions, pipeline: Any) -> None:
    """Onto the device, or into main memory with visits to it; then what speed and memory options ask for."""
    import torch

    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    denoiser = pipeline.transformer if hasattr(pipeline, "transformer") else pipeline.unet
    try:
        if options.offload is not None and device != "cpu":  # on a CPU all weights are in main memory anyway
            getattr(pipeline, f"enable_{options.offload}_cpu_offload")(device=device)
        else:
            pipeline.to(device)
        if options.vae_tiling:
            pipeline.vae.enable_tiling()
        if options.vae_slicing:
            pipeline.vae.enable_slicing()
        if options.attention is not None:
            denoiser.set_attention_backend(options.attention)
        if options.compile:
            denoiser.compile_repeated_blocks(fullgraph=True)
    except (AttributeError, ValueError, RuntimeError, ImportError, NotImplementedError) as error:
        raise CardError(f"model {card.id!r}: {_line(error)}") from error


def _line(error: Exception) -> str:
    return one_line(error, 300) or type(error).__name__
