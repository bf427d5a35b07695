"""What a recipe asks of sampler, judge, sessions and folder is checked before any weights are loaded."""

from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("accelerate")

from micebench.cards import EditorCard, load_card
from micebench.registry.sources import JudgeSource
from micebench.errors import CardError, DataError, MicebenchError, RunError
from micebench.training.rl import sampling_checks
from micebench.training.rl import trainer
from micebench.training.rl.recipe import RlRecipe, load_rl_recipe
from micebench.training.rl.sampling_checks import check_sampling
from micebench.training.rl.preflight import check_validation_sessions, claim_model, rewarding_judge, training_sessions
from micebench.tasks.load import load_task_card
from micebench.training.common.work_dir import accelerator_for, claim


@pytest.fixture
def kontext() -> EditorCard:
    return load_card(EditorCard, "kontext")


def recipe(**changes) -> RlRecipe:
    return load_rl_recipe("mt-editflow-nft", changes)


@pytest.mark.parametrize("within", [[0.9, 1.0], [0.0, 0.1], [0.51, 0.66]])
def test_a_range_without_a_noise_level_is_refused_with_the_levels_there_are(kontext, within) -> None:
    with pytest.raises(
        CardError, match=r"nft.sigma_range .* none of the sampler's noise levels 1, 0.833, 0.667, 0.5"
    ):
        check_sampling(recipe(nft={"sigma_range": within}), kontext)


@pytest.mark.parametrize("within", [[0.6, 1.0], [0.0, 1.0], [0.5, 0.51], [0.1, 0.17]])
def test_a_range_with_a_noise_level_passes(kontext, within) -> None:
    check_sampling(recipe(nft={"sigma_range": within}), kontext)


def test_levels_that_move_with_the_image_are_refused_only_where_none_can_fit(tmp_path: Path, kontext) -> None:
    folder = tmp_path / "scheduler"
    folder.mkdir()
    (folder / "scheduler_config.json").write_text(
        '{"_class_name": "FlowMatchEulerDiscreteScheduler", "use_dynamic_shifting": true, "shift": 3.0}'
    )
    card = kontext.model_copy(update={"weights": str(tmp_path)})
    check_sampling(recipe(nft={"sigma_range": [0.9, 1.0]}), card)
    with pytest.raises(CardError, match="and larger ones, for larger images"):
        check_sampling(recipe(nft={"sigma_range": [0.0, 0.1]}), card)


@pytest.mark.parametrize("config", ["", "[]", '{"_class_name": "DDIMScheduler"}', "{", '{"_class_name": 3}'])
def test_a_scheduler_that_cannot_be_read_alone_is_left_to_loading(tmp_path: Path, kontext, config: str) -> None:
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler/scheduler_config.json").write_text(config)
    card = kontext.model_copy(update={"weights": str(tmp_path)})
    check_sampling(recipe(nft={"sigma_range": [0.9, 1.0]}), card)


def test_a_window_that_reaches_the_last_step_is_refused(kontext) -> None:
    card = kontext.model_copy(update={"options": {**kontext.options, "steps": 2}})
    found = load_rl_recipe("mt-editflow-grpo", {})
    sampling = found.rollout.sampling.model_copy(update={"steps": None, "window": 2, "window_range": None})
    found = found.model_copy(update={"rollout": found.rollout.model_copy(update={"sampling": sampling})})
    with pytest.raises(CardError, match=r"rollout.sampling: window 2 reaches the last of 2 steps"):
        check_sampling(found, card)


def test_a_lora_without_its_library_is_refused_first(monkeypatch: pytest.MonkeyPatch, kontext) -> None:
    monkeypatch.setattr(sampling_checks, "find_spec", lambda name: None)
    with pytest.raises(MicebenchError, match=r"peft is not installed; run: pip install 'micebench\[adapters\]'"):
        check_sampling(recipe(lora={"rank": 4}), kontext)


@pytest.mark.parametrize("weights", [{"FI": 1.0}, {"IF": 1.0, "overall": 0.1}, {"PSNR.target": 1.0}])
def test_a_reward_that_the_judge_does_not_give_is_refused_before_the_judge_is_made(weights) -> None:
    found = recipe(advantages={"weights": weights})
    with pytest.raises(
        CardError, match=r"'mt-editflow-nft', advantages.weights: no reward '(FI|overall|PSNR.target)'"
    ):
        rewarding_judge(found, load_task_card(found.task))


def test_a_task_without_a_judge_names_the_option() -> None:
    task = load_task_card("imgedit-mt")
    with pytest.raises(CardError, match="no judge of its own; name one with --judge"):
        rewarding_judge(recipe(), task)


def test_more_sessions_than_there_are_is_refused_before_the_model_is_loaded() -> None:
    task = load_task_card("mice-mini-validation")
    task = task.model_copy(
        update={"options": {**task.options, "counts": {"plain": 3}}, "sessions": None, "fingerprint": None}
    )
    with pytest.raises(CardError, match=r"rollout.sessions is 24, but task .* has 3 sessions to train on"):
        training_sessions(recipe(validation=None), task, None)


def test_validation_sessions_that_are_not_there_are_noticed_before_the_model_is_loaded() -> None:
    with pytest.raises(DataError, match="--data DIR"):
        check_validation_sessions(recipe(validation={"task": "mice-cm-train"}), None)


@pytest.fixture
def nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was loaded")

    monkeypatch.setattr(JudgeSource, "build", refuse)
    monkeypatch.setattr(trainer, "Policy", refuse)


@pytest.mark.usefixtures("nothing_is_loaded")
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"nft": {"sigma_range": [0.9, 1.0]}}, "none of the sampler's noise levels"),
        ({"advantages": {"weights": {"FI": 1.0}}}, "no reward 'FI'"),
        ({"judge": "nobody"}, "unknown judge 'nobody'"),
        ({"validation": {"task": "nowhere"}}, "unknown task 'nowhere'"),
        ({"validation": {"task": "mice-mini-validation", "judge": "nobody"}}, "unknown judge 'nobody'"),
    ],
)
def test_a_training_that_cannot_be_is_refused_before_judge_and_model(tmp_path: Path, changes, said: str) -> None:
    with pytest.raises(MicebenchError, match=said):
        trainer.train_rl(recipe(precision="no", **changes), tmp_path / "work", device="cpu")
    assert not (tmp_path / "work" / "recipe.json").exists()


@pytest.mark.usefixtures("nothing_is_loaded")
def test_an_output_folder_that_cannot_be_written_is_refused_first(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for work in (tmp_path / "file", tmp_path / "file/work", Path("/proc/nowhere/work"), tmp_path / ("x" * 300)):
        with pytest.raises(RunError, match="--out"):
            trainer.train_rl(recipe(precision="no"), work, device="cpu")


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1, "a": 2}', "\x00", '{"id": ' + "[" * 3000])
def test_a_damaged_note_in_the_work_folder_is_one_line(tmp_path: Path, text: str) -> None:
    for name in ("recipe.json", "model.json"):
        (tmp_path / name).write_text(text)
    with pytest.raises(RunError, match=r"recipe\.json: damaged"):
        claim(tmp_path, recipe(), grows="iterations")
    with pytest.raises(RunError, match=r"model\.json: damaged"):
        claim_model(tmp_path, "0" * 64)


def test_a_precision_that_the_machine_lacks_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def accelerator(**_: object) -> SimpleNamespace:
        raise ValueError("fp16 mixed precision requires a GPU\n(not 'cpu').")

    monkeypatch.setattr("micebench.training.common.work_dir.Accelerator", accelerator)
    with pytest.raises(RunError, match=r"precision fp16 cannot be trained in here .* requires a GPU"):
        accelerator_for(tmp_path, "fp16", "cpu")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"id": "../x"}, "id"),
        ({"id": "x" * 200}, "id"),
        ({"seed": 2**70}, "seed"),
        ({"learn": {"lr": float("inf")}}, "learn.lr"),
        ({"learn": {"lr": 1e-4, "clip_norm": -1}}, "learn.clip_norm"),
        ({"learn": {"lr": 1e-4, "weight_decay": float("nan")}}, "learn.weight_decay"),
        ({"rollout": {"sessions": 2, "group": 1}}, "rollout.group"),
        ({"advantages": {"aggregation": "return_to_go", "broadcast": True}}, "broadcast"),
        ({"advantages": {"aggregation": "mean", "broadcast": False}}, "broadcast"),
    ],
)
def test_a_recipe_that_cannot_work_names_its_field(changes, named: str) -> None:
    with pytest.raises(CardError, match=named) as caught:
        recipe(**changes)
    assert "\n" not in str(caught.value)


def test_no_limit_of_the_gradient_can_still_be_written() -> None:
    assert recipe(learn={"lr": 1e-4, "clip_norm": float("inf")}).learn.clip_norm == float("inf")
