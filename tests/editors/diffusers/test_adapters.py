"""A LoRA file loads whole, as its trainer wrote it, or is refused with file, key, shapes and remedy."""

import json
import shutil

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
peft = pytest.importorskip("peft")

from safetensors.torch import load_file, save_file  # noqa: E402

from micebench.cards import AdapterSource  # noqa: E402
from micebench.editors.diffusers import DiffusersEditor  # noqa: E402
from micebench.errors import CardError  # noqa: E402
from tests.editors.conftest import difference, request  # noqa: E402
from tests.editors.diffusers.test_loading_adapters import save_lora  # noqa: E402

ATTENTION = ["to_q", "to_k", "to_v"]
WEIGHTS, CONFIG, LORA = "adapter_model.safetensors", "adapter_config.json", "pytorch_lora_weights.safetensors"
KEY = "base_model.model.transformer_blocks.0.attn.to_q.lora_A.weight"


def trained(folder, saved, name="FluxKontextPipeline", **config):
    """What peft's `save_pretrained` writes, and the same model with the LoRA merged into its weights."""
    pipeline = getattr(diffusers, name).from_pretrained(saved(name))
    torch.manual_seed(0)
    config = {"r": 2, "target_modules": ATTENTION, "init_lora_weights": False, **config}
    denoiser = "transformer" if hasattr(pipeline, "transformer") else "unet"
    model = peft.get_peft_model(getattr(pipeline, denoiser), peft.LoraConfig(**config))
    model.save_pretrained(folder)
    return model.merge_and_unload()


@pytest.fixture(scope="module")
def ours(saved, tmp_path_factory):
    folder = tmp_path_factory.mktemp("peft") / "lora"
    trained(folder, saved, lora_alpha=8)
    return folder


@pytest.fixture
def copy(ours, tmp_path):
    return shutil.copytree(ours, tmp_path / "copy")


@pytest.fixture
def edited(tiny_card):
    """``edited(path)``: an edit of the tiny model with this adapter."""

    def edit(path, **card):
        return DiffusersEditor(tiny_card(adapter=AdapterSource(weights=str(path)), **card)).edit([request()])[0]

    return edit


def refused(edited, path, *said: str):
    with pytest.raises(CardError) as error:
        edited(path)
    text = str(error.value)
    assert "\n" not in text
    for words in said:
        assert words in text, text


def rewrite(file, change) -> None:
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


@pytest.mark.parametrize(
    "config",
    [
        {"lora_alpha": 8},
        {"lora_alpha": 1},
        {"lora_alpha": 8, "use_rslora": True},
        {"lora_alpha": 8, "rank_pattern": {"to_k": 3}, "alpha_pattern": {"to_q": 1}},
        {"lora_alpha": 4, "use_dora": True},
        {"lora_alpha": 8, "target_modules": r"transformer_blocks\.0\.attn\.to_[qk]"},
    ],
    ids=["alpha 8", "alpha 1", "rslora", "patterns", "dora", "expression"],
)
def test_what_peft_saves_is_the_model_that_was_trained(saved, tiny_card, edited, tmp_path, config):
    merged = DiffusersEditor(tiny_card())
    merged.pipeline.transformer = trained(tmp_path / "lora", saved, **config)
    expected = merged.edit([request()])[0]
    assert difference(edited(tmp_path / "lora"), expected) <= 2
    assert difference(DiffusersEditor(tiny_card()).edit([request()])[0], expected) > 4


@pytest.mark.parametrize(
    "name", ["QwenImageEditPipeline", "Flux2KleinPipeline", "StableDiffusionInstructPix2PixPipeline"]
)
def test_other_pipelines_take_what_peft_saves(saved, tiny_card, tmp_path, name):
    expected = DiffusersEditor(tiny_card(name))
    part = "unet" if "Pix2Pix" in name else "transformer"
    setattr(expected.pipeline, part, trained(tmp_path / "lora", saved, name, lora_alpha=8))
    with_lora = DiffusersEditor(tiny_card(name, adapter=AdapterSource(weights=str(tmp_path / "lora"))))
    assert difference(with_lora.edit([request()])[0], expected.edit([request()])[0]) <= 2


def test_the_file_alone_is_as_good_as_its_folder(edited, ours):
    assert difference(edited(ours / WEIGHTS), edited(ours)) == 0


def test_what_a_denoiser_saves_by_itself_keeps_its_alpha(saved, edited, ours, tmp_path):
    pipeline = diffusers.FluxKontextPipeline.from_pretrained(saved("FluxKontextPipeline"))
    torch.manual_seed(0)
    pipeline.transformer.add_adapter(
        peft.LoraConfig(r=2, lora_alpha=8, target_modules=ATTENTION, init_lora_weights=False)
    )
    pipeline.transformer.save_lora_adapter(tmp_path / "own")
    assert difference(edited(tmp_path / "own"), edited(ours)) == 0


def test_several_lora_files_are_listed_and_none_is_chosen(saved, edited, tmp_path):
    folder = save_lora(saved("FluxKontextPipeline"), tmp_path / "loras")
    shutil.copy(folder / LORA, folder / "step-800.safetensors")
    refused(edited, folder, "several LoRA files", LORA, "step-800.safetensors", f"as in {folder}/")
    assert difference(edited(folder / LORA), edited(folder / "step-800.safetensors")) == 0


def test_other_files_next_to_the_lora_are_passed_over(edited, copy, ours):
    save_file({"exp_avg": torch.zeros(2)}, copy / "optimizer.safetensors")
    (copy / "training_args.bin").write_bytes(b"pickle")
    assert difference(edited(copy), edited(ours)) == 0


def test_a_pickle_is_never_loaded(edited, tmp_path):
    torch.save({KEY: torch.zeros(2, 2)}, tmp_path / "adapter_model.bin")
    refused(edited, tmp_path, "adapter_model.bin is a pickle, which is never loaded: save it as safetensors")
    refused(edited, tmp_path / "adapter_model.bin", "pickled weights are never loaded")


def test_a_damaged_file_is_refused(edited, copy):
    whole = (copy / WEIGHTS).read_bytes()
    (copy / WEIGHTS).write_bytes(whole[: len(whole) // 2])
    refused(edited, copy, WEIGHTS, "not a readable safetensors file")


def test_shapes_that_do_not_fit_are_named(edited, copy):
    rewrite(copy / WEIGHTS, lambda tensors: tensors.update({KEY: torch.zeros(2, 7)}))
    refused(edited, copy, f"{copy / WEIGHTS}: {KEY!r} has shape [2, 7]", "weight of shape [32, 32]", "another model?")


def test_shapes_that_do_not_fit_are_named_in_files_of_diffusers(saved, edited, tmp_path):
    folder = save_lora(saved("FluxKontextPipeline"), tmp_path / "lora")
    key = "transformer.transformer_blocks.0.attn.to_v.lora_B.weight"
    rewrite(folder / LORA, lambda tensors: tensors.update({key: torch.zeros(5, 2)}))
    refused(edited, folder, f"{key!r} has shape [5, 2]", "weight of shape [32, 32]")


@pytest.mark.parametrize("prefix", ["base_model.model.", "transformer.", ""])
def test_a_layer_that_the_model_lacks_is_named(edited, copy, prefix):
    def change(tensors):
        own = {prefix + key.removeprefix("base_model.model."): value for key, value in tensors.items()}
        tensors.clear()
        tensors.update(own)
        for factor in ("A", "B"):
            tensors[f"{prefix}transformer_blocks.9.attn.to_q.lora_{factor}.weight"] = torch.zeros(2, 2)

    rewrite(copy / WEIGHTS, change)
    refused(edited, copy, "fits only parts of FluxKontextPipeline", f"{prefix}transformer_blocks.9.attn.to_q.lora_")


@pytest.mark.parametrize("prefix", ["base_model.model.", "transformer.", "", "other."])
def test_an_adapter_of_another_model_is_refused(edited, tmp_path, prefix):
    keys = [f"{prefix}blocks.0.self.q_proj.lora_{factor}.weight" for factor in "AB"]
    save_file({key: torch.ones(2, 2) for key in keys}, tmp_path / "x.safetensors")
    refused(edited, tmp_path, "matches no layer of FluxKontextPipeline", f"{prefix}blocks.0.self.q_proj.lora_")


def test_a_factor_without_its_counterpart_is_refused(edited, copy):
    rewrite(copy / WEIGHTS, lambda tensors: tensors.pop(KEY))
    refused(edited, copy, f"{KEY.replace('lora_A', 'lora_B')!r} has no counterpart")


def test_weights_that_are_nan_are_refused(edited, copy):
    rewrite(copy / WEIGHTS, lambda tensors: tensors[KEY].fill_(float("nan")))
    refused(edited, copy, f"{KEY!r} has NaN or infinite values")


def test_weights_that_are_no_lora_are_refused(edited, copy):
    extra = "base_model.model.proj_out.weight"
    rewrite(copy / WEIGHTS, lambda tensors: tensors.update({extra: torch.zeros(4, 4)}))
    refused(edited, copy, f"holds {extra!r}, which is no LoRA weight")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"peft_type": "LOHA"}, "peft_type 'LOHA'; only LORA is loaded"),
        ({"r": "2"}, "r '2' and lora_alpha 8; expected numbers"),
        ({"lora_alpha": None}, "lora_alpha None; expected numbers"),
        ({"r": 4}, "transformer_blocks.0.attn.to_k.lora_A.weight' has rank 2"),
        ({"bias": "all"}, "bias 'all', which is not supported"),
        ({"modules_to_save": ["proj_out"]}, "modules_to_save ['proj_out'], which is not supported"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights 'pissa', which alters the base model"),
    ],
)
def test_a_config_that_cannot_be_honoured_is_refused(edited, copy, changes, said):
    config = json.loads((copy / CONFIG).read_text())
    (copy / CONFIG).write_text(json.dumps(config | changes))
    refused(edited, copy, CONFIG, said)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"r": '])
def test_a_config_that_is_damaged_is_refused(edited, copy, text):
    (copy / CONFIG).write_text(text)
    refused(edited, copy, CONFIG)


def test_without_a_config_alpha_is_not_guessed(edited, copy):
    (copy / CONFIG).unlink()
    refused(edited, copy, f"no {CONFIG} next to it, which says lora_alpha; copy it there")
