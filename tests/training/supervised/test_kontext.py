"""`micebench train` ends with a plain diffusers directory; interrupted, it goes on as if nothing had happened."""

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("accelerate")

import yaml  # noqa: E402
from diffusers import FluxKontextPipeline  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

import micebench  # noqa: E402
from micebench.cards import EditorCard, recipe_path  # noqa: E402
from micebench.cli import build_app  # noqa: E402
from micebench.errors import CardError, RunError  # noqa: E402
from micebench.training.supervised.kontext import train_kontext  # noqa: E402
from micebench.training.supervised.recipe import load_recipe  # noqa: E402
from tests.training.supervised.tiny import tiny_recipe  # noqa: E402


def tiny_card(weights, context="last", tokens=24):
    return EditorCard(
        id="tiny",
        description="x",
        domain="mini",
        editor="diffusers",
        context=context,
        batch=8,
        weights=str(weights),
        options={"pipeline": "FluxKontextPipeline", "steps": 2, "call": {"max_sequence_length": tokens}},
    )


PARTS = {
    "transformer": "FluxTransformer2DModel",
    "vae": "AutoencoderKL",
    "text_encoder": "CLIPTextModel",
    "text_encoder_2": "T5EncoderModel",
    "scheduler": "FlowMatchEulerDiscreteScheduler",
}


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A 20-step training run through the command line."""
    folder = tmp_path_factory.mktemp("train")
    recipe = json.loads(tiny_recipe().model_dump_json())
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    said = CliRunner().invoke(
        build_app(), ["train", str(folder / "recipe.yaml"), "--out", str(folder / "work"), "--device", "cpu"]
    )
    assert said.exit_code == 0, said.output
    assert "validation/IF" in said.output
    return folder / "work"


def test_the_result_is_a_plain_pipeline(straight):
    index = json.loads((straight / "weights" / "model_index.json").read_text())
    assert index["_class_name"] == "FluxKontextPipeline"
    assert {name: index[name][1] for name in PARTS} == PARTS
    assert {index[name][0] for name in PARTS} == {"diffusers", "transformers"}
    pipeline = FluxKontextPipeline.from_pretrained(straight / "weights", dtype=torch.float32)
    assert pipeline.tokenizer_2("Remove it").input_ids[-1] == 1
    tensors = load_file(straight / "weights" / "transformer" / "diffusion_pytorch_model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}


def test_nothing_says_where_it_was_trained(straight):
    for path in (straight / "weights").glob("*/config.json"):
        assert str(straight.parent) not in path.read_text(), path


def test_it_runs_through_the_suite(straight, tmp_path):
    run = micebench.evaluate("mice-mini", tiny_card(straight / "weights"), limit=4, out=tmp_path / "run")
    assert run.failures() == []
    assert run.summary()["metrics"]["marginal_success"]["1"]["n"] == 4


def test_training_wrote_its_curve(straight):
    lines = [json.loads(line) for line in (straight / "curve.jsonl").read_text().splitlines()]
    names = {name for line in lines for name in line}
    assert {"autoencoder/psnr_db", "flow/loss", "validation/IF", "validation/CC.object"} <= names
    assert [line["step"] for line in lines if "validation/IF" in line] == [10, 20]


class Stopped(Exception):
    pass


def test_an_interrupted_run_goes_on_bit_for_bit(straight, tmp_path):
    def stop(step, numbers):
        if "validation/IF" in numbers and step == 10:
            raise Stopped

    with pytest.raises(Stopped):
        train_kontext(tiny_recipe(), tmp_path / "work", stop, device="cpu")
    weights = train_kontext(tiny_recipe(), tmp_path / "work", device="cpu")
    for part in ("transformer", "text_encoder_2", "vae"):
        name = "model.safetensors" if part == "text_encoder_2" else "diffusion_pytorch_model.safetensors"
        ours, theirs = load_file(weights / part / name), load_file(straight / "weights" / part / name)
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs), part


def test_training_goes_on_from_another_model_with_history(straight, tmp_path):
    text = tiny_recipe().text.model_copy(update={"tokens": 40})
    recipe = tiny_recipe(
        4, autoencoder=None, start=str(straight / "weights"), context="history", text=text, id="tiny-history"
    )
    numbers = {}
    weights = train_kontext(recipe, tmp_path / "work", lambda _, said: numbers.update(said), device="cpu")
    assert {"validation/GA", "validation/IF"} <= set(numbers)
    pipeline = FluxKontextPipeline.from_pretrained(weights, dtype=torch.float32)
    assert (pipeline.tokenizer.model_max_length, pipeline.tokenizer_2.model_max_length) == (24, 40)
    assert pipeline.tokenizer_2.truncation_side == "left"
    kept = load_file(weights / "vae" / "diffusion_pytorch_model.safetensors")
    given = load_file(straight / "weights" / "vae" / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(kept[key], given[key]) for key in given)
    card = tiny_card(weights, context="history", tokens=40)
    run = micebench.evaluate("mice-mini", card, limit=4, out=tmp_path / "run")
    assert run.failures() == []


def test_another_recipe_in_the_same_folder_is_refused(straight):
    with pytest.raises(RunError, match="another recipe"):
        train_kontext(tiny_recipe(seed=5), straight, device="cpu")


def test_a_recipe_on_a_base_says_what_differs(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("id: x\nbase: kontext\nflow: {steps: 3}\n", encoding="utf-8")
    base = load_recipe(recipe_path("kontext"))
    assert load_recipe(path).flow == base.flow.model_copy(update={"steps": 3})
    assert load_recipe(path).refine == base.refine


def test_a_wrong_recipe_is_named(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("id: x\nautoencoder: {steps: 0}\nflow: {stepz: 3}\n", encoding="utf-8")
    with pytest.raises(CardError, match=r"recipe.yaml: autoencoder.steps.*flow.stepz"):
        load_recipe(path)
    result = CliRunner().invoke(build_app(), ["train", "kontxt"])
    assert isinstance(result.exception, CardError)
    assert "did you mean 'kontext'" in str(result.exception)
