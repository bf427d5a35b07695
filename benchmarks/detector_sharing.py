"""What it saves that Grounding DINO's backbone sees each image once, however many captions are read with it.

    python benchmarks/detector_sharing.py [--images 4] [--captions 11] [--published 19]

Random weights of the published model's sizes (Swin-T, BERT base, 900 queries), 512 x 512 images seen at 800 x 800,
the first session of docs/protocols.md, "Model work". Prints one JSON line: `backbone_share` is the backbone's part of
the operations of one pass (matrix products and convolutions, counted by torch), `work` the operations of `--captions`
captions on `--images` images over those of `--published` whole passes. With a GPU also `seconds` of both, the latter
one by one.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertTokenizerFast, GroundingDinoConfig, GroundingDinoForObjectDetection

from micebench.judges.models.base import Detect
from micebench.judges.models.grounding_dino import GroundingDino, GroundingDinoOptions

NAMES = ("cat", "hat", "chair", "dog")
SPECIAL = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: "."}


class Noise:
    """A LazyImage of its own for each seed."""

    def __init__(self, seed: int) -> None:
        self.sha256 = str(seed)
        self._pixels = np.random.default_rng(seed).integers(0, 256, (512, 512, 3), dtype=np.uint8)

    def load(self) -> Image.Image:
        return Image.fromarray(self._pixels)


def save_model(folder: Path) -> None:
    """transformers' defaults are those of IDEA-Research/grounding-dino-tiny."""
    words = [f"[unused{number}]" for number in range(1100)]
    for place, word in {**SPECIAL, **dict(enumerate(NAMES, start=1030))}.items():
        words[place] = word
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    GroundingDinoForObjectDetection(GroundingDinoConfig()).save_pretrained(folder)


def operations(detector: GroundingDino, request: Detect) -> int:
    with FlopCounterMode(display=False) as counter:
        (found,) = detector.detect([request])
    assert isinstance(found, tuple), found
    return counter.get_total_flops()


def seconds(detector: GroundingDino, batches: list[list[Detect]]) -> float:
    """Nothing is shared from batch to batch."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    for batch in batches:
        detector._kept.clear()
        assert all(isinstance(found, tuple) for found in detector.detect(batch))
    torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--captions", type=int, default=11)
    parser.add_argument("--published", type=int, default=19)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        save_model(Path(place))
        detector = GroundingDino(GroundingDinoOptions(repo=place, floor=0.99))
    image = Noise(0)
    whole = operations(detector, Detect(image, NAMES))
    rest = operations(detector, Detect(image, NAMES))
    shared = asked.images * (whole - rest) + asked.captions * rest
    told: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "backbone_share": round((whole - rest) / whole, 3),
        "work": round(shared / (asked.published * whole), 3),
    }
    if torch.cuda.is_available():
        images = [Noise(number) for number in range(asked.images)]
        ours = [
            Detect(images[number % asked.images], NAMES[: 1 + number // asked.images])
            for number in range(asked.captions)
        ]
        theirs = [[Detect(images[number % asked.images], NAMES)] for number in range(asked.published)]
        seconds(detector, [ours, *theirs[:3]])  # warm
        told["seconds"] = {
            "ours": round(seconds(detector, [ours]), 3),
            "one_by_one": round(seconds(detector, theirs), 3),
        }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
