"""Tiny pipelines of the real classes, saved once, and requests with photograph-like images for them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from micebench.cards import EditorCard
from micebench.editors.base import EditRequest


def photograph(width: int = 100, height: int = 72, seed: int = 0) -> Image.Image:
    """Smooth shapes with some texture; every seed another one."""
    rng = np.random.default_rng(seed)
    rough = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((width, height))
    texture = rng.normal(0, 6, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(rough) + texture, 0, 255).astype(np.uint8))


def request(instruction: str = "Remove the red cup", *, number: int = 0, turn: int = 1, **size) -> EditRequest:
    """A request of its own image and seed for every number."""
    return EditRequest(f"s{number}", turn, (instruction,), (photograph(seed=number, **size),), seed=number)


def difference(a: Image.Image, b: Image.Image) -> int:
    """Largest difference of a pixel, of 255."""
    return int(np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16)).max())


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """``saved(class name)``: the folder of a tiny pipeline."""
    pytest.importorskip("torch")
    pytest.importorskip("diffusers")
    from tests.editors import tiny_pipelines

    folder = tmp_path_factory.mktemp("pipelines")
    with pytest.MonkeyPatch.context() as monkeypatch:
        tiny_pipelines.without_torchvision(monkeypatch)
        tiny_pipelines.with_small_megapixels(monkeypatch)

        def save(name: str) -> Path:
            path = folder / name.lower()
            return path if path.exists() else tiny_pipelines.save_tiny(name, path)

        yield save


@pytest.fixture(scope="session")
def tiny_card(saved):
    """``tiny_card(class name, **options)``: a card of a tiny pipeline, as card fields where they are some."""
    from tests.editors.tiny_pipelines import OPTIONS

    def make(name: str = "FluxKontextPipeline", **changes) -> EditorCard:
        fields = {key: changes.pop(key) for key in list(changes) if key in EditorCard.model_fields}
        options = {"pipeline": name, "steps": 2, "device": "cpu", **OPTIONS[name], **changes}
        return EditorCard(
            **{
                "id": "tiny",
                "description": "x",
                "domain": "photo",
                "editor": "diffusers",
                "weights": str(saved(name)),
                "options": options,
                **fields,
            }
        )

    return make


@pytest.fixture(scope="session")
def tiny_editor(tiny_card):
    """``tiny_editor(class name)``: the loaded editor, shared by tests that do not change it."""
    from micebench.editors.diffusers import DiffusersEditor

    made = {}

    def make(name: str = "FluxKontextPipeline") -> DiffusersEditor:
        if name not in made:
            made[name] = DiffusersEditor(tiny_card(name))
        return made[name]

    return make
