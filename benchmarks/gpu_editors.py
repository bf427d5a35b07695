"""What a photo editor costs on the GPU at hand: images per second, peak memory, and how busy the GPU is.

    python benchmarks/gpu_editors.py --model flux.1-kontext-dev --weights DIR [--batch 1 2 4] [--images 8]
    python benchmarks/gpu_editors.py --random          # FLUX.1 Kontext's sizes, random weights: no download

Edits go through the editor as in a run: scaling, prompts, batches, and scaling back. The first batch warms up and
is not counted; one more is profiled. `gpu_share` is the part of the wall time of that batch during which a kernel
ran (goal: >= 0.95). Prints one JSON line per batch size; without a GPU, one line that says so.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from itertools import count as count_from
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from micebench.cards import EditorCard, load_card
from micebench.editors.base import Edited, EditRequest
from micebench.editors.diffusers import DiffusersEditor
from micebench.registry.model_files import ModelFiles, is_saved_pipeline, place, saved_pipeline_card

_SAID = count_from()  # numbers of the prompts so far


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", help="model card, or folder of a saved pipeline")
    what.add_argument("--random", action="store_true", help="random weights of FLUX.1 Kontext's sizes")
    parser.add_argument("--weights", type=Path, help="the model's weights, if not where its card says")
    parser.add_argument("--adapter", type=Path, help="LoRA on top")
    parser.add_argument("--batch", type=int, nargs="+", default=[1], help="images per call")
    parser.add_argument("--images", type=int, default=8, help="images timed per batch size, at least one batch")
    parser.add_argument("--size", type=int, nargs=2, default=(1024, 768), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--steps", type=int, help="instead of the card's")
    parser.add_argument("--device", default="cuda", help="cpu: only to see whether this script works")
    options = parser.parse_args()

    import torch

    if options.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("no GPU that torch can use: nothing to measure (torch.cuda.is_available() is false)")
    with tempfile.TemporaryDirectory(prefix="micebench-gpu-") as folder:
        card = random_kontext(Path(folder)) if options.random else the_card(options)
        changes = {"device": options.device} | ({"steps": options.steps} if options.steps else {})
        card = card.model_copy(update={"options": card.options | changes})
        start = time.perf_counter()
        editor = DiffusersEditor(card)
        load_s = time.perf_counter() - start
        for batch in options.batch:
            print(json.dumps({**describe(card, options, load_s), **measure(editor, batch, options)}), flush=True)


def the_card(options: argparse.Namespace) -> EditorCard:
    """The card named on the command line, with the files given there."""
    if is_saved_pipeline(options.model):
        card = saved_pipeline_card(Path(options.model), "photo")
    else:
        card = load_card(EditorCard, options.model)
    return place(card, ModelFiles(options.weights, options.adapter))[1]


def describe(card: EditorCard, options: argparse.Namespace, load_s: float) -> dict[str, Any]:
    import torch

    on_gpu = options.device.startswith("cuda")
    return {
        "benchmark": "gpu_editors",
        "device": torch.cuda.get_device_name(options.device) if on_gpu else "cpu",
        "model": card.id,
        "dtype": card.options.get("dtype", "float32"),
        "steps": card.options.get("steps"),
        "size": list(options.size),
        "torch": torch.__version__,
        "load_s": round(load_s, 1),
    }


def measure(editor: DiffusersEditor, batch: int, options: argparse.Namespace) -> dict[str, Any]:
    """Warm up, time whole batches, profile one more."""
    import torch

    on_gpu = options.device.startswith("cuda")
    edit(editor, requests(batch, options.size, first=0))
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    rounds = -(-options.images // batch)
    start = time.perf_counter()
    for number in range(rounds):
        edit(editor, requests(batch, options.size, first=(number + 1) * batch))
    seconds = time.perf_counter() - start
    return {
        "batch": batch,
        "images": rounds * batch,
        "images_per_s": round(rounds * batch / seconds, 4),
        "peak_memory_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2) if on_gpu else None,
        "gpu_share": gpu_share(editor, requests(batch, options.size, first=0)) if on_gpu else None,
    }


def requests(count: int, size: Sequence[int], first: int) -> list[EditRequest]:
    """Smooth pictures of the size, another one for each number; no prompt comes twice, so that each is encoded."""
    made: list[EditRequest] = []
    for number in range(first, first + count):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(pixels).resize((size[0], size[1]))
        made.append(EditRequest(f"s{number}", 1, (f"Make object {next(_SAID)} red",), (picture,), seed=number))
    return made


def edit(editor: DiffusersEditor, asked: Sequence[EditRequest]) -> None:
    """One call; exits if an edit fails, or if memory did not hold the batch."""
    for result in editor.edit(asked):
        if isinstance(result, Edited):
            sys.exit(f"not measured: {result.failed or result.refused or f'{result.usage}; give a smaller --batch'}")


def gpu_share(editor: DiffusersEditor, asked: Sequence[EditRequest]) -> float:
    """Part of a batch's wall time during which at least one kernel ran."""
    import torch
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        start = time.perf_counter()
        edit(editor, asked)
        torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    spans = [
        (event.time_range.start, event.time_range.end)
        for event in profiler.events() or ()
        if event.device_type == DeviceType.CUDA
    ]
    return round(covered(spans) / 1e6 / seconds, 4)


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of intervals."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def random_kontext(folder: Path, device: str | None = None) -> EditorCard:
    """FLUX.1 Kontext's architecture at full size (12B + T5-XXL + CLIP-L), random bf16 weights, saved in `folder`.

    Edits are noise, but cost what edits cost. Needs 34 GB of disk.
    """
    import torch
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxKontextPipeline, FluxTransformer2DModel
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")):
        pipeline = FluxKontextPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0),
            vae=AutoencoderKL(
                block_out_channels=(128, 256, 512, 512),
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                layers_per_block=2,
                latent_channels=16,
                use_quant_conv=False,
                use_post_quant_conv=False,
                scaling_factor=0.3611,
                shift_factor=0.1159,
            ),
            text_encoder=CLIPTextModel(
                CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
            ),
            tokenizer=byte_tokenizer(77),
            text_encoder_2=T5EncoderModel(
                T5Config(
                    d_model=4096,
                    d_ff=10240,
                    d_kv=64,
                    num_heads=64,
                    num_layers=24,
                    feed_forward_proj="gated-gelu",
                )
            ),
            tokenizer_2=byte_tokenizer(512),
            transformer=FluxTransformer2DModel(guidance_embeds=True),
        )
    torch.set_default_dtype(torch.float32)
    if device != "meta":
        pipeline.save_pretrained(folder)
    card = load_card(EditorCard, "flux.1-kontext-dev")
    return card.model_copy(update={"id": "flux.1-kontext-random", "weights": str(folder), "repo": None})


def byte_tokenizer(length: int) -> Any:
    """One token per byte: what is measured does not depend on the words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(["<pad>", "</s>", *alphabet])}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", model_max_length=length
    )


if __name__ == "__main__":
    main()
