"""NaN and infinity in a pipeline's result are failures. diffusers itself clamps and casts them into valid pixels."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

NOT_FINITE = "the pipeline's result has NaN or infinite values"


def call_pipeline(pipeline: Any, **arguments: Any) -> "tuple[list[Image | None], Any]":
    """Call a pipeline.

    Returns:
        Its images, as with ``output_type="pil"`` to the bit, None in place of one whose latents or decoded values are
        not all finite; and its output, whose images are float arrays in [0, 1].
    """
    import numpy as np

    with _broken_items(pipeline) as broken:
        output = pipeline(**arguments, output_type="np")
    images = [
        None if number in broken or not np.isfinite(image).all() else pipeline.image_processor.numpy_to_pil(image)[0]
        for number, image in enumerate(output.images)
    ]
    return images, output


@contextmanager
def _broken_items(pipeline: Any) -> Iterator[set[int]]:
    """Numbers of the items whose latents or decoded values are not all finite, filled in by the decoder.

    The output alone does not show it: infinity is clamped to white or black before it is returned.
    """
    broken: set[int] = set()
    decoder = getattr(pipeline, "vae", None)
    if decoder is None:
        yield broken
        return
    own = vars(decoder).get("decode")
    decoder.decode = _watched(decoder.decode, broken)
    try:
        yield broken
    finally:
        if own is None:
            del decoder.decode
        else:
            decoder.decode = own


def _watched(decode: Callable[..., Any], broken: set[int]) -> Callable[..., Any]:
    seen = 0

    def watched(latents: "torch.Tensor", *arguments: Any, **options: Any) -> Any:
        nonlocal seen
        decoded = decode(latents, *arguments, **options)
        for values in (latents, decoded[0]):
            finite = values.isfinite().flatten(1).all(1).tolist()
            broken.update(seen + item for item, fine in enumerate(finite) if not fine)
        seen += len(latents)
        return decoded

    return watched
