"""What cannot be trained is said in one line before gigabytes are loaded, with what to do instead."""

import json

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("accelerate")

from micebench.cards import EditorCard, load_card
from micebench.registry.model_files import NO_FILES, ModelFiles
from micebench.errors import CardError, RunError
from micebench.training.rl.distributed import join_processes
from micebench.training.rl.recipe import load_rl_recipe
from micebench.training.rl.preflight import (
    check_splits,
    check_validation,
    claim_model,
    starting_model,
    training_sessions,
)
from micebench.tasks.load import load_task_card
from micebench.training.common.work_dir import claim
from tests.training.rl.photographs import write_judge, write_recipe, write_sessions


def start(recipe, card=None, files=NO_FILES):
    return starting_model(recipe, load_task_card(recipe.task), card, files)


def test_a_recipe_of_the_miniature_names_the_one_for_full_size():
    recipe = load_rl_recipe("mt-editflow-grpo", {"model": "flux.1-kontext-dev", "judge": "mice"})
    with pytest.raises(CardError, match=r"take a recipe for such editors, e\.g\. mt-editflow-grpo-lora"):
        start(recipe)


def test_all_weights_of_a_full_size_model_are_too_many():
    recipe = load_rl_recipe("mt-editflow-nft", {"model": "flux.1-kontext-dev", "task": "mice-cm-train"})
    with pytest.raises(CardError, match=r"options\.dtype: .* mt-editflow-nft-lora"):
        start(recipe)


def test_an_editor_that_is_no_pipeline():
    recipe = load_rl_recipe("mt-editflow-nft-lora", {"model": "gpt-image-1", "options": {}})
    with pytest.raises(CardError, match="only diffusers pipelines can"):
        start(recipe)


def test_weights_at_no_commit():
    recipe = load_rl_recipe("mt-editflow-nft-lora")
    with pytest.raises(CardError, match="give a local copy with --weights DIR"):
        start(recipe)


@pytest.mark.parametrize("name", ["mt-editflow-nft-lora", "mt-editflow-grpo-lora"])
def test_the_recipes_for_full_size_editors_start(name, tmp_path):
    """Given weights, they pass every check before loading; options of the card stay but for those named."""
    recipe = load_rl_recipe(name)
    card, identity = start(recipe, files=ModelFiles(weights=tmp_path))
    shipped = load_card(EditorCard, "flux.1-kontext-dev")
    assert card.options == {**shipped.options, "resolution": {"area": 512 * 512}, "max_batch": 8}
    assert card.weights_folder() == tmp_path
    check_validation(recipe, card)
    check_splits(recipe)
    claim_model(tmp_path, identity)
    claim_model(tmp_path, identity)
    (tmp_path / "more.safetensors").write_bytes(b"x")
    with pytest.raises(RunError, match="other weights"):
        claim_model(tmp_path, start(recipe, files=ModelFiles(weights=tmp_path))[1])


def test_arguments_of_the_call_are_changed_one_by_one(tmp_path):
    options = {"negative_prompt": None, "call": {"true_cfg_scale": 1.0}}
    recipe = load_rl_recipe("mt-editflow-nft-lora", {"model": "qwen-image-edit-2511", "options": options})
    card, _ = start(recipe, files=ModelFiles(weights=tmp_path))
    assert card.options["call"] == {"true_cfg_scale": 1.0}
    assert card.options["negative_prompt"] is None
    assert card.options["resolution"] == {"area": 1048576}
    kontext = load_rl_recipe("mt-editflow-nft-lora", {"options": {"call": {"true_cfg_scale": 1.0}}})
    card, _ = start(kontext, files=ModelFiles(weights=tmp_path))
    assert card.options["call"] == {"guidance_scale": 2.5, "true_cfg_scale": 1.0}


@pytest.fixture
def photographs(tmp_path):
    """A recipe and the folder of its sessions: five, of which the last shows what the first does."""
    write_sessions(tmp_path, turns=(1, 1, 1, 1, 1))
    lines = (tmp_path / "data" / "sessions.jsonl").read_text(encoding="utf-8")
    (tmp_path / "data" / "sessions.jsonl").write_text(lines.replace("4.png", "0.png"), encoding="utf-8")
    write_judge(tmp_path)

    def recipe(**validation):
        said = {"task": str(tmp_path / "tasks" / "photographs" / "task.yaml"), **validation}
        return load_rl_recipe(write_recipe(tmp_path, "tiny", "nft", validation=said))

    return recipe, tmp_path / "data"


def test_sessions_of_validation_and_their_images_are_not_trained_on(photographs):
    recipe, data = photographs
    held_out = recipe(limit=2)
    sessions = training_sessions(held_out, load_task_card(held_out.task), data)
    assert sessions["id"][:] == ["s2", "s3"]


@pytest.mark.parametrize("limit", [None, 5])
def test_something_must_be_left_to_train_on(photographs, limit):
    recipe, data = photographs
    all_held_out = recipe(limit=limit)
    with pytest.raises(CardError, match=r"validation\.limit"):
        training_sessions(all_held_out, load_task_card(all_held_out.task), data)


@pytest.mark.parametrize("task", ["mice-mini", "mice-mini-long", "mice", "magicbrush", "edival"])
def test_what_is_there_to_test_by_is_not_trained_on(task):
    recipe = load_rl_recipe("mt-editflow-nft", {"task": task})
    with pytest.raises(CardError, match=f"task: '{task}' is a test split.* allow_test: true"):
        check_splits(recipe)
    check_splits(load_rl_recipe("mt-editflow-nft", {"task": task, "allow_test": True}))


def test_nor_are_checkpoints_chosen_by_it():
    validation = {"task": "mice-mini"}
    with pytest.raises(CardError, match=r"validation\.task: 'mice-mini' is a test split"):
        check_splits(load_rl_recipe("mt-editflow-nft", {"validation": validation}))


@pytest.mark.parametrize(
    "task",
    [
        "mice-mini-train",
        "mice-mini-train-hard",
        "mice-mini-train-hard-single",
        "mice-mini-validation",
        "mice-cm-train",
    ],
)
def test_other_splits_are(task):
    check_splits(load_rl_recipe("mt-editflow-nft", {"task": task}))


def test_an_unknown_device_is_refused(photographs, tmp_path):
    recipe, _ = photographs
    with pytest.raises(RunError, match="device is 'gpu'; give cpu, or leave it out"):
        join_processes(recipe(limit=2), tmp_path, "gpu")


@pytest.mark.parametrize(("judge", "named"), [(None, "none"), ("perceptual", "'perceptual'")])
def test_validation_needs_a_judge_of_the_overall_score(photographs, tiny_card, judge, named):
    recipe, _ = photographs
    with pytest.raises(CardError, match=f"of IF and CC; {named}"):
        check_validation(recipe(limit=2, judge=judge), tiny_card())


def test_a_training_from_before_a_field_was_there_goes_on(photographs, tmp_path):
    recipe, _ = photographs
    begun = recipe(limit=2)
    claim(tmp_path, begun)
    noted = json.loads((tmp_path / "recipe.json").read_text(encoding="utf-8"))
    del noted["options"]
    (tmp_path / "recipe.json").write_text(json.dumps(noted), encoding="utf-8")
    claim(tmp_path, begun)
    with pytest.raises(RunError, match="another recipe"):
        claim(tmp_path, begun.model_copy(update={"options": {"max_batch": 1}}))


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"ACCELERATE_USE_FSDP": "true"}, "FSDP shards the denoiser .* lora and checkpointing: true"),
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "DeepSpeed shards"),
        ({"WORLD_SIZE": "2"}, "2 processes were launched, .* give --device cpu"),
    ],
)
def test_a_launch_that_would_not_do(monkeypatch, photographs, tmp_path, variables, said):
    recipe, _ = photographs
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RunError, match=said):
        join_processes(recipe(limit=2), tmp_path, None)
