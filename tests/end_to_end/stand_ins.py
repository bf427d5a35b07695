"""What stands in for photographs and weights that cannot be shipped: sample photographs, tiny models, their cards.

Everything else is real: the annotations, the classes of the models, the prompts of the `mice` judge and all of its
constants but the sizes at which images are looked at.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from tests.editors.tiny_pipelines import OPTIONS, save_tiny
from tests.judges.models import tiny_models
from tests.judges.photographs import photographs

JUDGES = Path(__file__).resolve().parents[2] / "judges"
SIZES = ((64, 64), (64, 48), (48, 64))
MODEL, JUDGE = "tiny-kontext", "tiny-mice"
SPREAD, DOUBT = 0.5, 7.0


def rows(data: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(track, annotation row) of every session of a MICE-Bench test set."""
    for track in ("cm", "cu"):
        for line in (data / track / "test_metadata.jsonl").read_text(encoding="utf-8").splitlines():
            yield track, json.loads(line)


def with_photographs(annotations: Path, folder: Path) -> Path:
    """A copy of the annotations in which every image they name is there: a piece of a sample photograph."""
    pictures = list(photographs(128).values())
    for track in ("cm", "cu"):
        (folder / track).mkdir(parents=True)
        shutil.copy(annotations / track / "test_metadata.jsonl", folder / track)
    for track, row in rows(annotations):
        place = folder / track / row["image"]
        place.parent.mkdir(exist_ok=True)
        seed = int.from_bytes(hashlib.sha256(row["image"].encode()).digest()[:4], "big")
        piece(pictures, np.random.default_rng(seed)).save(place, "JPEG", quality=90)
    return folder


def piece(pictures: list[Image.Image], dice: np.random.Generator) -> Image.Image:
    """Somewhere in one of the pictures, in one of a few sizes."""
    picture, size = pictures[dice.integers(len(pictures))], SIZES[dice.integers(len(SIZES))]
    scale = dice.uniform(0.5, 1.0) * min(picture.width / size[0], picture.height / size[1])
    width, height = (scale * side for side in size)
    left, top = dice.uniform(0, picture.width - width), dice.uniform(0, picture.height - height)
    return picture.resize(size, Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))


def with_models(
    folder: Path, data: Path, url: str, *, batch: int = 16, concurrency: int = 16, steps: int = 2
) -> Path:
    """Cards of a tiny FLUX.1 Kontext and of the `mice` judge on tiny models and the server at `url`."""
    words = {word for _, row in rows(data) for names in row["all_objects"] for word in _words(*names)}
    words |= {word for _, row in rows(data) for word in _words(*row["formatted_instruction"])}
    detector = tiny_models.grounding_dino(folder / "grounding-dino", sorted(words))
    _doubtful(detector / "model.safetensors")
    features = tiny_models.dinov3(folder / "dino")
    pipeline = save_tiny("FluxKontextPipeline", folder / "kontext")
    _card(
        folder / "baselines" / MODEL / "editor.yaml",
        id=MODEL,
        description="a random pipeline of FLUX.1 Kontext's classes",
        domain="photo",
        editor="diffusers",
        batch=batch,
        weights=str(pipeline),
        options={
            "pipeline": "FluxKontextPipeline",
            "steps": steps,
            "device": "cpu",
            **OPTIONS["FluxKontextPipeline"],
        },
    )
    published = yaml.safe_load((JUDGES / "mice" / "judge.yaml").read_text())
    options = published["options"]
    seen = {"revision": None, "device": "cpu"}
    options["following"]["squash"] = options["consistency"]["squash_px"] = 64
    options["detector"] |= seen | {"repo": str(detector), "short_px": 96, "long_px": 128}  # below, a level is 1 x 1
    options["features"] |= seen | {"repo": str(features), "size_px": 64}
    options["vlm"] |= {"model": "tiny", "url": url, "concurrency": concurrency, "patience": {"first_wait_s": 0.05}}
    _card(folder / "judges" / JUDGE / "judge.yaml", **published | {"id": JUDGE, "options": options})
    for prompt in (JUDGES / "mice").glob("prompt_*"):
        shutil.copy(prompt, folder / "judges" / JUDGE)
    return folder


def _words(*texts: str) -> list[str]:
    return [word for text in texts for word in re.findall(r"\w+", text.lower())]


def _card(path: Path, **fields: Any) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(fields, sort_keys=False))


def _doubtful(weights: Path) -> None:
    """Scores that miss some objects and find others: the tiny model as it is finds everything everywhere.

    A score is the product of a box's features and a word's; their first channel becomes a constant one.
    """
    from safetensors.numpy import load_file, save_file

    tensors = load_file(weights)
    box, word = "model.decoder.layer_norm", "model.encoder.layers.0.text_enhancer_layer.layer_norm_after"
    tensors[f"{box}.weight"] *= SPREAD
    for name, constant in ((box, -DOUBT), (word, 1.0)):
        tensors[f"{name}.weight"][0], tensors[f"{name}.bias"][0] = 0.0, constant
    save_file(tensors, weights, {"format": "pt"})
