"""From a card to a pipeline that is ready to be called."""

import inspect
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from micebench.cards import EditorCard
from micebench.editors.diffusers.checks import check_call
from micebench.editors.diffusers.options import PipelineOptions
from micebench.errors import CardError, nearest, needs_extra, one_line
from micebench.hush import hush

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
            _load_adapter(card, pipeline)
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
    except (*_hub_errors(), OSError, ValueError, TypeError, RuntimeError) as error:
        if isinstance(source, str):
            raise CardError(f"model {card.id!r}: {_unreachable(source, card.revision, error)}") from error
        raise CardError(f"model {card.id!r}: {source} is not a saved {kind.__name__} ({_line(error)})") from error


def _load_adapter(card: EditorCard, pipeline: Any) -> None:
    adapter = card.adapter
    assert adapter is not None
    kind = type(pipeline).__name__
    if not hasattr(pipeline, "load_lora_weights"):
        raise CardError(f"model {card.id!r}: {kind} takes no adapter")
    place: dict[str, Any] = {"weight_name": adapter.weight_name}
    if adapter.weights is not None:
        path = card.adapter_path()
        source = str(path if path.is_dir() else path.parent)
        place["local_files_only"] = True
        if path.is_file():
            place["weight_name"] = path.name
    else:
        card.check_pinned()
        source = str(adapter.repo)
        place["revision"] = adapter.revision
    if place["weight_name"] is None:
        del place["weight_name"]
    if find_spec("peft") is None:
        raise needs_extra("adapters", ImportError("peft"))
    try:
        with _overheard("diffusers") as warnings:
            pipeline.load_lora_weights(source, adapter_name="adapter", use_safetensors=True, **place)
        loaded = "adapter" in {name for names in pipeline.get_list_adapters().values() for name in names}
    except (*_hub_errors(), OSError, ValueError, TypeError, KeyError, RuntimeError, ImportError) as error:
        raise CardError(f"model {card.id!r}: {source} is no adapter for {kind} ({_line(error)})") from error
    if not loaded:
        raise CardError(f"model {card.id!r}: {source} has no weights for any part of {kind}")
    if any("unexpected keys" in warning for warning in warnings):  # of another model; diffusers loads what it can
        raise CardError(f"model {card.id!r}: {source} fits only parts of {kind}; was it trained on another model?")
    pipeline.set_adapters(["adapter"], [adapter.scale])


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


def _hub_errors() -> tuple[type[Exception], ...]:
    """What a failing download raises; the bases are the errors of the hub client's HTTP library."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    return (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, *HfHubHTTPError.__bases__)  # type: ignore[return-value]


def _unreachable(repo: str, revision: str | None, error: Exception) -> str:
    from huggingface_hub.errors import GatedRepoError

    place = f"{repo}@{(revision or '')[:8]}"
    if isinstance(error, GatedRepoError) or "gated" in str(error).lower():
        return (
            f"{place} is gated: accept its terms at https://huggingface.co/{repo}, run `hf auth login`, "
            "or give a local copy with --weights DIR"
        )
    return f"{place} cannot be loaded ({_line(error)}); go online once, or give a local copy with --weights DIR"


def _line(error: Exception) -> str:
    return one_line(error, 300) or type(error).__name__


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
