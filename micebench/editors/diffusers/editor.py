"""The editor: requests of equal working size go through the pipeline together, as many as memory allows."""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from micebench.cards import EditorCard, check_fields
from micebench.editors.base import Edited, EditRequest, one_prompt
from micebench.editors.diffusers.checks import check_options
from micebench.editors.diffusers.embeddings import remember_prompts
from micebench.editors.diffusers.finite import NOT_FINITE, call_pipeline
from micebench.editors.diffusers.loading import load_pipeline
from micebench.editors.diffusers.options import PipelineOptions
from micebench.editors.diffusers.pipeline_specs import Call
from micebench.editors.diffusers.sizes import Size, working_size
from micebench.errors import described, one_line
from micebench.utils.quiet_logging import hush_repeats

if TYPE_CHECKING:
    from PIL.Image import Image

    from micebench.editors.base import EditResult

    Result = EditResult | Edited


@dataclass(frozen=True, slots=True)
class _Failure:
    """What is kept of an exception: not its traceback, whose frames hold the tensors that did not fit."""

    reason: str
    out_of_memory: bool


class DiffusersEditor:
    """A saved diffusers pipeline, as its card describes it.

    The prompt is the instructions of the request, as one: the current one under context `last`, all of them under
    `history`. Each request has its own generator, seeded by the request, so that batching changes nothing beyond
    float noise. An item that fails is an `Edited(failed=...)` and leaves the others alone; out of memory halves the
    batch for all that follow.
    """

    def __init__(self, card: EditorCard) -> None:
        self.options = check_fields(card.options, PipelineOptions, where=f"model {card.id!r}, options")
        self.habit = check_options(card, self.options)
        self.pipeline = load_pipeline(card, self.options)
        if self.habit.embeddings and self.options.text_cache_mib:
            remember_prompts(self.pipeline, self.habit.embeddings, self.options.text_cache_mib)
        self._fits: dict[Size, int] = {}  # size -> largest batch, known after memory ran out once
        self._said: set[str] = set()  # warnings of the pipeline

    def edit(self, requests: Sequence[EditRequest]) -> "list[Result]":
        by_size: dict[Size, list[int]] = {}
        for number, request in enumerate(requests):
            by_size.setdefault(self._working_size(request.image), []).append(number)
        edited: dict[int, Result] = {}
        for size, numbers in by_size.items():
            edited.update(zip(numbers, self._edit_alike([requests[i] for i in numbers], size), strict=True))
        return [edited[number] for number in range(len(requests))]

    def _working_size(self, image: "Image") -> Size:
        multiple = self.habit.multiple or self.pipeline.image_processor.config.vae_scale_factor
        return working_size(image.size, self.options.resolution, multiple, self.habit.preferred)

    def _edit_alike(self, requests: Sequence[EditRequest], size: Size) -> "list[Result]":
        """Requests of one working size, in as few calls as fit."""
        results: list[Result] = []
        while len(results) < len(requests):
            part = requests[len(results) :][: self._batch(size)]
            made = self._try(part, size)
            if not isinstance(made, _Failure):
                results += made
            elif len(part) == 1:
                results.append(Edited(None, failed=made.reason))
            elif made.out_of_memory:
                self._fits[size] = len(part) // 2
            else:  # each by itself, so that only the guilty one pays
                results += [result for request in part for result in self._edit_alike([request], size)]
        return results

    def _batch(self, size: Size) -> int:
        most = (self.options.max_batch or 1_000_000) if self.habit.batches else 1
        return min(most, self._fits.get(size, most))

    def _try(self, requests: Sequence[EditRequest], size: Size) -> "list[Result] | _Failure":
        try:
            return self._call(requests, size)
        except Exception as error:  # noqa: BLE001 (whatever a pipeline raises is a record, not ours)
            failure = _failure(error, size)
        _free_memory()  # only here, outside the handler, are the failed call's tensors garbage
        return failure

    def _call(self, requests: Sequence[EditRequest], size: Size) -> "list[Result]":
        import torch

        call = Call([self._shown(request, size) for request in requests], [self._prompt(r) for r in requests], size)
        further: dict[str, Any] = {}
        if self.options.steps is not None:
            further["num_inference_steps"] = self.options.steps
        if self.options.negative_prompt is not None:
            said = self.options.negative_prompt
            further["negative_prompt"] = [said] * len(requests) if self.habit.batches else said
        with self._noise(requests[0].seed), hush_repeats(self._said):
            images, output = call_pipeline(
                self.pipeline,
                **self.habit.arguments(call),
                **further,
                generator=[torch.Generator("cpu").manual_seed(request.seed) for request in requests],
                **self.options.call,
            )
        if len(images) != len(requests):
            raise RuntimeError(f"the pipeline returned {len(images)} images for {len(requests)} prompts")
        blanked = getattr(output, "nsfw_content_detected", None) or [False] * len(requests)
        return [
            self._result(image, blank, request.image.size, self._notes(size))
            for image, request, blank in zip(images, requests, blanked, strict=True)
        ]

    def _result(self, image: "Image | None", blanked: bool, size: Size, notes: Mapping[str, Any] | None) -> "Result":
        if image is None:
            remedy = "" if self.options.dtype == "float32" else f"; try another dtype than {self.options.dtype}"
            return Edited(None, failed=NOT_FINITE + remedy, usage=notes)
        if blanked:
            return Edited(None, refused="the pipeline's safety checker blanked the image", usage=notes)
        return self._finish(image, size, notes)

    def _shown(self, request: EditRequest, size: Size) -> "list[Image]":
        """The images of a request, the one to edit last, at the size the pipeline is to see them."""
        images = [request.image]
        if self.options.references == "source_and_last" and len(request.images) > 1:
            images.insert(0, request.images[0])
        if self.habit.scales:
            return images
        return [_scaled(image, self._working_size(image)) for image in images[:-1]] + [_scaled(images[-1], size)]

    def _prompt(self, request: EditRequest) -> str:
        return self.options.prompt.replace("{instruction}", one_prompt(request.instructions))

    def _finish(self, image: "Image", size: Size, notes: Mapping[str, Any] | None) -> "Result":
        if self.options.output == "input":
            image = _scaled(image, size)
        return image if notes is None else Edited(image, usage=notes)

    def _notes(self, size: Size) -> Mapping[str, Any] | None:
        """Kept with an edit whose batch had to be halved; nothing otherwise, so that runs repeat byte for byte."""
        return {"batch_halved_to": self._fits[size]} if size in self._fits else None

    @contextmanager
    def _noise(self, seed: int) -> Iterator[None]:
        """Seeds torch's global generators for pipelines that draw from them, and puts them back."""
        if not self.habit.global_noise:
            yield
            return
        import torch

        devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            yield


def _scaled(image: "Image", size: Size) -> "Image":
    from PIL.Image import Resampling

    return image if image.size == size else image.resize(size, Resampling.LANCZOS)


def _failure(error: Exception, size: Size) -> _Failure:
    """Out of memory is an error of its own on a GPU, and a plain RuntimeError of the CPU's allocator."""
    import torch

    words = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
    if isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(word in one_line(error) for word in words)
    ):
        return _Failure(f"out of memory at {size[0]} x {size[1]} pixels: {one_line(error)}"[:500], True)
    return _Failure(described(error), False)


def _free_memory() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
