"""A LoRA is loaded onto its base, changes what it makes, and is part of the model's name and identity."""

import shutil

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
peft = pytest.importorskip("peft")

from micebench.cards import AdapterSource  # noqa: E402
from micebench.editors.diffusers import DiffusersEditor  # noqa: E402
from micebench.errors import CardError  # noqa: E402
from micebench.registry.model_files import ModelFiles  # noqa: E402
from micebench.registry.sources import editor_source  # noqa: E402
from micebench.tasks.load import load_task_card  # noqa: E402
from tests.editors.conftest import difference, request  # noqa: E402


def save_lora(base, folder, seed: int = 0):
    """As a training run would: random LoRA weights of the denoiser's attention."""
    pipeline = diffusers.FluxKontextPipeline.from_pretrained(base)
    torch.manual_seed(seed)
    pipeline.transformer.add_adapter(
        peft.LoraConfig(r=2, target_modules=["to_q", "to_k", "to_v"], init_lora_weights=False)
    )
    state = peft.get_peft_model_state_dict(pipeline.transformer)
    diffusers.FluxKontextPipeline.save_lora_weights(folder, transformer_lora_layers=state)
    return folder


@pytest.fixture(scope="module")
def lora(saved, tmp_path_factory):
    return save_lora(saved("FluxKontextPipeline"), tmp_path_factory.mktemp("adapters") / "My LoRA")


@pytest.fixture
def task():
    return load_task_card("mice")


def test_it_changes_the_edits_by_its_scale(tiny_card, tiny_editor, lora):
    base = tiny_editor().edit([request()])[0]
    file = lora / "pytorch_lora_weights.safetensors"
    full = DiffusersEditor(tiny_card(adapter=AdapterSource(weights=str(lora)))).edit([request()])[0]
    by_file = DiffusersEditor(tiny_card(adapter=AdapterSource(weights=str(file)))).edit([request()])[0]
    off = DiffusersEditor(tiny_card(adapter=AdapterSource(weights=str(lora), scale=0.0))).edit([request()])[0]
    assert difference(base, full) > 2
    assert difference(full, by_file) == 0
    assert difference(base, off) <= 1


def test_name_and_identity_follow_the_files_not_their_place(saved, tiny_card, lora, task, tmp_path):
    card = tiny_card()
    base = editor_source(card, task)
    ours = editor_source(card, task, files=ModelFiles(adapter=lora))
    assert ours.id == "tiny+my-lora"
    assert ours.identity != base.identity
    moved = shutil.copytree(lora, tmp_path / "My LoRA")
    assert editor_source(card, task, files=ModelFiles(adapter=moved)).identity == ours.identity
    save_lora(saved("FluxKontextPipeline"), moved, seed=1)
    assert editor_source(card, task, files=ModelFiles(adapter=moved)).identity != ours.identity
    copied = ModelFiles(weights=shutil.copytree(saved("FluxKontextPipeline"), tmp_path / "copy"))
    assert editor_source(card, task, files=copied).identity == base.identity


def test_the_source_builds_the_adapted_editor(tiny_card, tiny_editor, lora, task):
    editor = editor_source(tiny_card(), task, files=ModelFiles(adapter=lora)).build()
    assert difference(editor.edit([request()])[0], tiny_editor().edit([request()])[0]) > 2


def test_what_cannot_be_an_adapter_is_named(tiny_card, lora, task, tmp_path):
    with pytest.raises(CardError, match="no such file"):
        editor_source(tiny_card(), task, files=ModelFiles(adapter=tmp_path / "nowhere"))
    with pytest.raises(CardError, match="Python editor loads its own"):
        editor_source("micebench.editors.scripted:Identity", task, files=ModelFiles(adapter=lora))
    with pytest.raises(CardError, match="is no adapter for FluxKontextPipeline"):
        DiffusersEditor(tiny_card(adapter=AdapterSource(weights=str(tmp_path))))
    with pytest.raises(CardError, match="LongCatImageEditPipeline takes no adapter"):
        DiffusersEditor(tiny_card("LongCatImageEditPipeline", adapter=AdapterSource(weights=str(lora))))
    with pytest.raises(CardError, match="fits only parts of Flux2KleinPipeline"):
        DiffusersEditor(tiny_card("Flux2KleinPipeline", adapter=AdapterSource(weights=str(lora))))
    with pytest.raises(CardError, match="no pinned revision of the adapter"):
        editor_source(tiny_card(adapter=AdapterSource(repo="a/b")), task)
