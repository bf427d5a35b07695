"""A saved diffusers pipeline as an editor."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from micebench.cards import EditorCard, check_fields
from micebench.editors.base import EditRequest
from micebench.errors import CardError, needs_extra

if TYPE_CHECKING:
    from PIL.Image import Image


class PipelineOptions(BaseModel):
    """How a card's pipeline is loaded and called."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pipeline: str = Field(description="diffusers pipeline class, e.g. FluxKontextPipeline")
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str | None = Field(default=None, description="cpu | cuda | ...; None: a GPU if there is one")
    steps: int = Field(ge=1, description="num_inference_steps")
    call: dict[str, Any] = Field(default_factory=dict, description="further arguments of the call, as they are")


class DiffusersEditor:
    """Runs ``pipeline(image, prompt)`` at the input's own size, with one seeded CPU generator per request.

    The prompt is the instructions of the request, joined by a blank: the current one under context `last`, all
    of them under `history`. Requests of equal size are edited in one call.
    """

    def __init__(self, card: EditorCard) -> None:
        self.options = check_fields(card.options, PipelineOptions, where=f"model {card.id!r}, options")
        self.pipeline = _load(card, self.options)

    def edit(self, requests: Sequence[EditRequest]) -> "list[Image]":
        by_size: dict[tuple[int, int], list[int]] = {}
        for number, request in enumerate(requests):
            by_size.setdefault(request.image.size, []).append(number)
        edited: dict[int, Image] = {}
        for size, numbers in by_size.items():
            results = self._call([requests[number] for number in numbers], size)
            edited.update(zip(numbers, results, strict=True))
        return [edited[number] for number in range(len(requests))]

    def _call(self, requests: Sequence[EditRequest], size: tuple[int, int]) -> "list[Image]":
        import torch

        width, height = size
        result = self.pipeline(
            image=[request.image for request in requests],
            prompt=[" ".join(request.instructions) for request in requests],
            width=width,
            height=height,
            max_area=width * height,
            _auto_resize=False,
            num_inference_steps=self.options.steps,
            generator=[torch.Generator("cpu").manual_seed(request.seed) for request in requests],
            output_type="pil",
            **self.options.call,
        )
        return result.images


def _load(card: EditorCard, options: PipelineOptions) -> Any:
    folder = card.weights_folder()
    with _quiet():
        try:
            import diffusers
            import torch
        except ImportError as error:
            raise needs_extra("neural", error) from error
        if not hasattr(diffusers, options.pipeline):
            raise CardError(f"model {card.id!r}: diffusers {diffusers.__version__} has no {options.pipeline!r}")
        try:
            pipeline = getattr(diffusers, options.pipeline).from_pretrained(
                folder, dtype=getattr(torch, options.dtype), use_safetensors=True, local_files_only=True
            )
        except (OSError, ValueError) as error:
            said = " ".join(str(error).split())[:300]
            raise CardError(f"model {card.id!r}: {folder} is not a saved {options.pipeline} ({said})") from error
        pipeline.set_progress_bar_config(disable=True)
        return pipeline.to(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))


@contextmanager
def _quiet() -> Iterator[None]:
    """Loading says much that is no news to a user, e.g. which image processor stands in for which."""
    loggers = [logging.getLogger(name) for name in ("transformers", "diffusers")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
