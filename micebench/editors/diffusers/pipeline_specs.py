"""What each pipeline expects of a call: read in the sources of diffusers 0.42, tested on tiny instances of each.

The same argument means different things: a list of images is a batch to FLUX.1 Kontext and InstructPix2Pix, and
several references for one result to FLUX.2 and Qwen-Image-Edit-Plus.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from micebench.editors.diffusers.sizes import Size

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a pipeline.

    Attributes:
        images: per request the images shown, the one to edit last.
        prompts: one per request.
        size: (width, height) of the results.
    """

    images: "Sequence[Sequence[Image]]"
    prompts: Sequence[str]
    size: Size


@dataclass(frozen=True, slots=True)
class Habit:
    """How a pipeline class is called.

    Attributes:
        arguments: image, prompt and size arguments of a call.
        batches: takes several requests per call; the others are called one by one.
        references: takes several images for one request.
        scales: scales the image itself, to `own_area`, and must be given the original.
        own_area: pixels at which it sees the image whatever it is told.
        sized: the size of the result can be chosen.
        multiple: sides are multiples of this; None: of what its image processor says.
        preferred: sizes (width, height) it was trained on.
        global_noise: draws some of its noise from torch's global generator.
        embeddings: what its ``encode_prompt`` makes of the prompt alone, in that order, each also an argument of it;
            none where the text encoder sees the image too.
    """

    arguments: Callable[[Call], dict[str, Any]]
    batches: bool = False
    references: bool = False
    scales: bool = False
    own_area: int | None = None
    sized: bool = True
    multiple: int | None = None
    preferred: Sequence[Size] = ()
    global_noise: bool = False
    embeddings: Sequence[str] = ()


def _kontext(call: Call) -> dict[str, Any]:
    """Without width and height the result is a square; max_area would rescale them, _auto_resize the input."""
    width, height = call.size
    return {
        "image": [images[-1] for images in call.images],
        "prompt": list(call.prompts),
        "width": width,
        "height": height,
        "max_area": width * height,
        "_auto_resize": False,
    }


def _pix2pix(call: Call) -> dict[str, Any]:
    return {"image": [images[-1] for images in call.images], "prompt": list(call.prompts)}


def _one(call: Call) -> dict[str, Any]:
    """A bare image: in a list it would go to the language model at another size."""
    return {"image": call.images[0][-1], "prompt": call.prompts[0]}


def _one_sized(call: Call) -> dict[str, Any]:
    return {**_one(call), "width": call.size[0], "height": call.size[1]}


def _references(call: Call) -> dict[str, Any]:
    return {**_one_sized(call), "image": list(call.images[0])}


def _omnigen(call: Call) -> dict[str, Any]:
    """Images are named in the prompt; a larger limit than theirs keeps them from being scaled and cropped."""
    images = list(call.images[0])
    named = " ".join(f"<img><|image_{number}|></img>" for number in range(1, len(images) + 1))
    return {
        "input_images": images,
        "prompt": f"{named} {call.prompts[0]}",
        "width": call.size[0],
        "height": call.size[1],
        "max_input_image_size": max(max(image.size) for image in images),
    }


_MEGAPIXEL = 1024 * 1024
# The sizes of FLUX.1 Kontext's training: PREFERRED_KONTEXT_RESOLUTIONS of diffusers.
_KONTEXT_TALL = (
    (672, 1568),
    (688, 1504),
    (720, 1456),
    (752, 1392),
    (800, 1328),
    (832, 1248),
    (880, 1184),
    (944, 1104),
)
_KONTEXT_SIZES = (*_KONTEXT_TALL, (1024, 1024), *((height, width) for width, height in _KONTEXT_TALL))
_FLUX2 = Habit(_references, references=True, embeddings=("prompt_embeds",))

HABITS: dict[str, Habit] = {
    "FluxKontextPipeline": Habit(
        _kontext, batches=True, preferred=_KONTEXT_SIZES, embeddings=("prompt_embeds", "pooled_prompt_embeds")
    ),
    "Flux2Pipeline": _FLUX2,
    "Flux2KleinPipeline": _FLUX2,
    "QwenImageEditPipeline": Habit(_one_sized, scales=True, own_area=_MEGAPIXEL, multiple=32),
    "QwenImageEditPlusPipeline": Habit(_references, references=True, scales=True, own_area=_MEGAPIXEL, multiple=32),
    "LongCatImageEditPipeline": Habit(_one, scales=True, own_area=_MEGAPIXEL, sized=False, multiple=16),
    "OmniGenPipeline": Habit(_omnigen, references=True, global_noise=True),
    "StableDiffusionInstructPix2PixPipeline": Habit(_pix2pix, batches=True),
}
"""Pipeline class -> how it is called."""
