"""What a training starts from: a model, sessions, and held-out ones; checked before anything large is loaded."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micebench.cards import EditorCard, TaskCard, load_card
from micebench.registry.sources import JudgeSource, check_domain, judge_source
from micebench.registry.model_files import ModelFiles, card_identity, is_saved_pipeline, place, saved_pipeline_card
from micebench.errors import CardError, RunError
from micebench.training.rl.policies.checks import check_card
from micebench.training.rl.recipe import RlRecipe
from micebench.training.rl.rewards import check_metrics
from micebench.tasks.load import load_task, load_task_card
from micebench.training.common.work_dir import noted_fields

if TYPE_CHECKING:
    from datasets import Dataset


def starting_model(
    recipe: RlRecipe, task: TaskCard, card: EditorCard | None, files: ModelFiles
) -> tuple[EditorCard, str]:
    """The model's card with the recipe's options and with files given by hand, and the hash of what it stands for.

    Args:
        card: in place of the recipe's model: a card's id or file, or the folder of a saved pipeline.

    Raises:
        CardError: no such model, one that cannot be trained so, or not on these sessions; with the remedy.
    """
    if card is None and is_saved_pipeline(recipe.model):
        card = saved_pipeline_card(Path(recipe.model), task.domain)
    card = card or load_card(EditorCard, recipe.model)
    card = card.model_copy(update={"options": _changed(card.options, recipe.options)})
    if card.domain == "photo" and task.domain == "mini":
        method = "nft" if recipe.nft else "grpo"
        raise CardError(
            f"recipe {recipe.id!r} trains on rendered scenes (task {task.id!r}), and {card.id!r} edits photographs: "
            f"take a recipe for such editors, e.g. mt-editflow-{method}-lora, or name sessions with --task"
        )
    if card.domain == "mini" and task.domain == "photo":
        raise CardError(
            f"{card.id!r} edits rendered scenes, and task {task.id!r} has photographs: leave --task out, or name an "
            "editor of photographs with --model"
        )
    check_domain(task, card)
    check_card(card, full=recipe.lora is None)
    _, placed = place(card, files)
    return placed, card_identity(card, placed)


def check_splits(recipe: RlRecipe) -> None:
    """Raises CardError if a test split is to be trained on, or checkpoints are to be chosen by it."""
    named = {"task": recipe.task} | ({"validation.task": recipe.validation.task} if recipe.validation else {})
    for field, name in named.items():
        task = load_task_card(name)
        if task.options.get("split", task.split) == "test" and not recipe.allow_test:
            raise CardError(
                f"recipe {recipe.id!r}, {field}: {task.id!r} is a test split, which says nothing about a model that "
                "has seen it; name other sessions (if these are not for testing, say `split: train` in their card), "
                "or set allow_test: true in the recipe"
            )


def claim_model(work: Path, identity: str) -> None:
    """Note the model in the work folder. Raises RunError if the training there started from another one."""
    path = work / "model.json"
    if path.exists() and noted_fields(path).get("identity") != identity:
        raise RunError(f"{work} holds a training of another model, or of other weights; give another --out")
    path.write_text(json.dumps({"identity": identity}) + "\n", encoding="utf-8")


def training_sessions(recipe: RlRecipe, task: TaskCard, data: Path | None) -> "Dataset":
    """The sessions to train on: those of the task, without those that validation holds out of it.

    Raises:
        CardError: validation leaves none of them, or fewer than an iteration takes.
        DataError: as `load_task`.
    """
    sessions = _without_held_out(recipe, load_task(task, data=data))
    if recipe.rollout.sessions > len(sessions):
        raise CardError(
            f"recipe {recipe.id!r}, rollout.sessions is {recipe.rollout.sessions}, but task {recipe.task!r} has "
            f"{len(sessions)} sessions to train on"
        )
    return sessions


def _without_held_out(recipe: RlRecipe, sessions: "Dataset") -> "Dataset":
    held_out = recipe.validation
    if held_out is None or held_out.task != recipe.task:
        return sessions
    if held_out.limit is None or held_out.limit >= len(sessions):
        raise CardError(
            f"recipe {recipe.id!r}, validation.limit: {held_out.task!r} is trained on too; say how many of its "
            f"{len(sessions)} sessions are held out"
        )
    images = sessions["image_path"]
    seen = set(images[: held_out.limit])
    return sessions.select([n for n in range(held_out.limit, len(sessions)) if images[n] not in seen])


def rewarding_judge(recipe: RlRecipe, task: TaskCard) -> JudgeSource:
    """The judge that gives the rewards. Raises CardError: there is none, or it lacks a metric of the weights."""
    source = judge_source(recipe.judge, task)
    if source is None:
        raise CardError(f"task {task.id!r} has no judge of its own; name one with --judge")
    try:
        check_metrics(list(recipe.advantages.weights), source.metrics)
    except CardError as error:
        raise CardError(f"recipe {recipe.id!r}, advantages.weights: {error}") from error
    return source


def check_validation_sessions(recipe: RlRecipe, data: Path | None) -> None:
    """Raises DataError if the held-out sessions are not there or cannot be read."""
    held_out = recipe.validation
    if held_out is None or held_out.task == recipe.task:
        return
    task = load_task_card(held_out.task)
    load_task(task, data=data if task.data is not None else None, limit=1)


def check_validation(recipe: RlRecipe, card: EditorCard) -> None:
    """Raises CardError if the held-out sessions or their judge cannot say which checkpoint is the best."""
    if recipe.validation is None:
        return
    task = load_task_card(recipe.validation.task)
    check_domain(task, card)
    judge = judge_source(recipe.validation.judge, task)
    if judge is None or "IF" not in judge.metrics or not {"CC.object", "CC.background"} & set(judge.metrics):
        said = "none" if judge is None else repr(judge.id)
        raise CardError(
            f"recipe {recipe.id!r}, validation.judge: checkpoints are chosen by the overall score, of IF and CC; "
            f"{said} does not measure both"
        )


def _changed(options: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A card's options with a recipe's in their places; arguments of the call one by one."""
    call = {**options.get("call", {}), **changes.get("call", {})}
    return {**options, **changes, **({"call": call} if call else {})}
