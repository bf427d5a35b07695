"""Any saved diffusers pipeline is an editor through its card; batching and number format change next to nothing."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from PIL import Image  # noqa: E402

from micebench.cards import EditorCard  # noqa: E402
from micebench.editors.base import EditRequest  # noqa: E402
from micebench.editors.diffusers import DiffusersEditor  # noqa: E402
from micebench.engine.setup import editor_source  # noqa: E402
from micebench.errors import CardError  # noqa: E402
from micebench.tasks.load import load_task_card  # noqa: E402
from micebench.train.components import Editor, build_autoencoder, build_pipeline, save_pipeline  # noqa: E402
from micebench.train.words import build_tokenizer  # noqa: E402
from tests.train.tiny import tiny_recipe  # noqa: E402


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A tiny, randomly initialised pipeline of the real classes, saved."""
    torch.manual_seed(0)
    recipe = tiny_recipe()
    folder = tmp_path_factory.mktemp("pipeline") / "weights"
    pipeline = build_pipeline(build_autoencoder(recipe), Editor(recipe), build_tokenizer(recipe.text.tokens))
    save_pipeline(pipeline, folder)
    return folder


def card(weights, **options) -> EditorCard:
    return EditorCard(
        id="tiny",
        description="x",
        domain="mini",
        editor="micebench.editors.diffusers:DiffusersEditor",
        weights=str(weights),
        options={
            "pipeline": "FluxKontextPipeline",
            "steps": 2,
            "device": "cpu",
            "call": {"max_sequence_length": 24},
            **options,
        },
    )


def requests(count: int, side: int = 48) -> list[EditRequest]:
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)) for _ in range(count)]
    return [EditRequest(f"s{i}", 1, ("Remove the red circle",), (p,), seed=i) for i, p in enumerate(pictures)]


def difference(a: Image.Image, b: Image.Image) -> int:
    return int(np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16)).max())


def test_batching_changes_next_to_nothing(weights):
    editor = DiffusersEditor(card(weights))
    together = editor.edit(requests(4))
    alone = [editor.edit([request])[0] for request in requests(4)]
    assert max(difference(a, b) for a, b in zip(together, alone, strict=True)) <= 1  # of 255
    assert difference(together[0], together[1]) > 1


def test_the_seed_is_the_requests(weights):
    editor = DiffusersEditor(card(weights))
    first, again = editor.edit(requests(1)), editor.edit(requests(1))
    assert difference(first[0], again[0]) == 0
    request = requests(1)[0]
    other = editor.edit([EditRequest("s0", 1, request.instructions, request.images, seed=99)])
    assert difference(first[0], other[0]) > 1


def test_sizes_may_mix(weights):
    mixed = [*requests(2), *requests(1, side=64)]
    assert [image.size for image in DiffusersEditor(card(weights)).edit(mixed)] == [(48, 48), (48, 48), (64, 64)]


def test_retrained_weights_are_another_editor(weights, tmp_path):
    import shutil

    copy = tmp_path / "weights"
    shutil.copytree(weights, copy)
    task = load_task_card("mice-mini")
    before = editor_source(card(copy), task).identity
    assert before == editor_source(card(copy), task).identity
    part = copy / "scheduler" / "scheduler_config.json"
    part.write_text(part.read_text().replace('"shift": 1.0', '"shift": 3.0'))
    assert before != editor_source(card(copy), task).identity


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"pipeline": "FluxContextPipeline"}, "no 'FluxContextPipeline'"),
        ({"steps": 0}, "steps"),
        ({"x": 1}, "unknown key 'x'"),
    ],
)
def test_wrong_options_are_named(weights, options, named):
    with pytest.raises(CardError, match=named):
        DiffusersEditor(card(weights, **options))


def test_missing_and_broken_weights_are_named(tmp_path):
    with pytest.raises(CardError, match="no weights at"):
        DiffusersEditor(card(tmp_path / "nowhere"))
    with pytest.raises(CardError, match="is not a saved FluxKontextPipeline"):
        DiffusersEditor(card(tmp_path))
