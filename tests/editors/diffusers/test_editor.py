"""Any pipeline of a known class is an editor through its card; batching and number format change next to nothing."""

import shutil

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from micebench.editors.base import EditRequest  # noqa: E402
from micebench.editors.diffusers import DiffusersEditor  # noqa: E402
from micebench.errors import CardError  # noqa: E402
from micebench.registry.sources import editor_source  # noqa: E402
from micebench.tasks.load import load_task_card  # noqa: E402
from tests.editors.conftest import difference, request  # noqa: E402

BATCHING = ["FluxKontextPipeline", "StableDiffusionInstructPix2PixPipeline"]


@pytest.mark.parametrize("name", BATCHING)
def test_batching_changes_next_to_nothing(tiny_editor, name):
    editor = tiny_editor(name)
    requests = [request(f"Remove the {thing}", number=i) for i, thing in enumerate(("cup", "dog", "tree"))]
    together = editor.edit(requests)
    alone = [editor.edit([one])[0] for one in requests]
    assert max(difference(a, b) for a, b in zip(together, alone, strict=True)) <= 2  # of 255
    assert difference(together[0], together[1]) > 8


def test_the_seed_is_the_requests(tiny_editor):
    editor = tiny_editor()
    one = request()
    first, again = editor.edit([one])[0], editor.edit([one])[0]
    assert difference(first, again) == 0
    other = editor.edit([EditRequest("s0", 1, one.instructions, one.images, seed=99)])[0]
    assert difference(first, other) > 8


def test_sizes_may_mix(tiny_editor):
    mixed = [request(number=0), request(number=1, width=64, height=64), request(number=2)]
    assert [image.size for image in tiny_editor().edit(mixed)] == [(100, 72), (64, 64), (100, 72)]


def test_retrained_weights_are_another_editor(saved, tiny_card, tmp_path):
    copy, elsewhere = tmp_path / "a" / "mine", tmp_path / "b" / "mine"
    shutil.copytree(saved("FluxKontextPipeline"), copy)
    task = load_task_card("mice")

    def identity() -> str:
        return editor_source(tiny_card(weights=str(copy)), task).identity

    before = identity()
    assert before == identity()
    part = copy / "scheduler" / "scheduler_config.json"
    part.write_text(part.read_text().replace('"shift": 1.0', '"shift": 3.0'))
    assert before != identity()
    shutil.copytree(copy, elsewhere)
    assert editor_source(str(copy), task).identity == editor_source(str(elsewhere), task).identity


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"pipeline": "FluxContextPipeline"}, "no 'FluxContextPipeline'.*did you mean 'FluxKontextPipeline'"),
        ({"pipeline": "DiffusionPipeline"}, "no 'DiffusionPipeline'"),
        ({"steps": 0}, "steps"),
        ({"x": 1}, "unknown key 'x'"),
        ({"call": {"guidance": 1}}, "takes no 'guidance'.*did you mean 'guidance_scale'"),
        ({"call": {"width": 64}}, "'width' is set by micebench"),
        ({"call": {"callback_on_step_end": "os.system"}}, "'callback_on_step_end' is set by micebench"),
        ({"call": {"true_cfg_scale": 4.0}}, "does nothing without a negative prompt"),
        ({"references": "source_and_last"}, "takes a single image"),
        ({"resolution": "wide"}, "resolution"),
        ({"attention": "flash_hub"}, "attention"),
        ({"scheduler": "FluxKontextPipeline"}, "no scheduler"),
        ({"without": ["transformer"]}, "not optional"),
        ({"prompt": "edit this"}, "must contain {instruction}"),
        (
            {"quantization": {"backend": "no_such", "components": ["transformer"], "options": {"bits": 4}}},
            "quantization.backend",
        ),
        ({"trust_remote_code": True}, "unknown key 'trust_remote_code'"),
    ],
)
def test_wrong_options_are_named(tiny_card, changes, named):
    with pytest.raises(CardError, match=named):
        DiffusersEditor(tiny_card(**changes))


@pytest.mark.parametrize(
    ("name", "changes", "named"),
    [
        ("QwenImageEditPlusPipeline", {"max_batch": 2}, "one image per call"),
        ("QwenImageEditPlusPipeline", {"references": "source_and_last"}, "context history"),
        ("QwenImageEditPlusPipeline", {"negative_prompt": None}, "does nothing without a negative prompt"),
        ("QwenImageEditPlusPipeline", {"resolution": "preferred"}, "no preferred sizes"),
        ("LongCatImageEditPipeline", {"resolution": "native"}, "always works at"),
        ("Flux2KleinPipeline", {"negative_prompt": "blurry"}, "takes none"),
    ],
)
def test_options_that_do_not_go_with_the_pipeline_are_named(tiny_card, name, changes, named):
    with pytest.raises(CardError, match=named):
        DiffusersEditor(tiny_card(name, **changes))


def test_missing_and_broken_weights_are_named(tiny_card, tmp_path):
    with pytest.raises(CardError, match="no weights at"):
        DiffusersEditor(tiny_card(weights=str(tmp_path / "nowhere")))
    with pytest.raises(CardError, match="is not a saved FluxKontextPipeline"):
        DiffusersEditor(tiny_card(weights=str(tmp_path)))


def test_code_in_a_weights_folder_is_not_run(saved, tiny_card, tmp_path):
    copy = tmp_path / "weights"
    shutil.copytree(saved("FluxKontextPipeline"), copy)
    index = copy / "model_index.json"
    index.write_text(index.read_text().replace('"diffusers",\n    "AutoencoderKL"', '"evil",\n    "Evil"'))
    (copy / "vae" / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass Evil: ...\n")
    assert '"evil"' in index.read_text()
    with pytest.raises(CardError, match="is not a saved FluxKontextPipeline"):
        DiffusersEditor(tiny_card(weights=str(copy)))
    assert not (tmp_path / "ran").exists()


def test_what_quantization_needs_is_named(tiny_card):
    """bitsandbytes, and a GPU: neither is needed for the other tests."""
    if torch.cuda.is_available():
        pytest.skip("a GPU is here")
    options = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    wanted = {"backend": "bitsandbytes_4bit", "components": ["transformer"], "options": options}
    with pytest.raises(CardError, match=r"model 'tiny': .*(bitsandbytes|GPU)"):
        DiffusersEditor(tiny_card(quantization=wanted))


def test_speed_and_memory_options_change_next_to_nothing(tiny_card, tiny_editor):
    """On a CPU: sliced decoding, another attention kernel, offloading (nothing to do)."""
    one = request()
    plain = tiny_editor().edit([one])[0]
    options = {"vae_slicing": True, "attention": "_native_math", "offload": "model"}
    assert difference(plain, DiffusersEditor(tiny_card(**options)).edit([one])[0]) <= 2
    tiled = DiffusersEditor(tiny_card(vae_tiling=True))  # seams show: its tiles are smaller than the image
    assert tiled.pipeline.vae.use_tiling
    assert tiled.edit([one])[0].size == one.image.size
