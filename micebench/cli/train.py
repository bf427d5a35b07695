"""``micebench train``: train a bundled editor from its recipe, or post-train any editor with judges as rewards."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from micebench.cli import options

if TYPE_CHECKING:
    from micebench.training.common.work_dir import Log


def train(
    recipe: Annotated[str, typer.Argument(help="Id of a recipe (kontext, mt-editflow-nft ...), or a YAML file.")],
    model: Annotated[str | None, typer.Option(help="Editor to post-train.", show_default="the recipe's")] = None,
    task: Annotated[str | None, typer.Option(help="Training sessions.", show_default="the recipe's")] = None,
    judge: Annotated[str | None, typer.Option(help="Judge that rewards.", show_default="the task's")] = None,
    weights: options.Weights = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the training task's release.")] = None,
    iterations: Annotated[int | None, typer.Option(help="Iterations.", show_default="the recipe's")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Work folder.", show_default="training/ID")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed than the recipe's.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu keeps a GPU out of it.")] = None,
) -> None:
    """Train an editor from a recipe.

    The same command again resumes from the last checkpoint. Curves go to
    OUT/curve.jsonl and OUT/tensorboard. A recipe from scratch (kontext)
    writes its pipeline to OUT/weights; post-training (mt-editflow-...)
    keeps the best checkpoint of validation in OUT/best: a pipeline for
    `micebench run --model OUT/best`, or a LoRA for `--adapter OUT/best`.

    Exit code 3: finished, but nothing was learnt (not one optimizer step), or
    the judge answered nothing.

    Examples:

      micebench train kontext

      micebench train mt-editflow-nft --model kontext --out training/rl

      micebench train mt-editflow-nft-lora --weights flux.1-kontext-dev/ --data mice/

      accelerate launch -m micebench train mt-editflow-grpo-lora --data mice/
    """
    from importlib.util import find_spec

    from rich.console import Console

    from micebench.cards import recipe_fields, recipe_path
    from micebench.errors import CardError, needs_extra

    options.import_from_here()
    path = recipe_path(recipe)
    if find_spec("tensorboard") is None:
        raise needs_extra("train", ImportError("tensorboard"))
    console = Console()

    def show(step: int, numbers: dict[str, float]) -> None:
        said = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
        console.print(f"{step:6d}  {said}", highlight=False, soft_wrap=True)

    def show_rewards(step: int, numbers: dict[str, float]) -> None:
        from micebench.training.rl.report import one_line

        console.print(f"{step:6d}  {one_line(numbers)}", highlight=False, soft_wrap=True)

    rewarded = {"model": model, "task": task, "judge": judge, "iterations": iterations}
    files = {"weights": weights, "data": data}
    if "rollout" in recipe_fields(path):
        kept = _post_train(path, {**rewarded, "seed": seed}, out, files, device, show_rewards)
    else:
        given = [f"--{name}" for name, value in {**rewarded, **files}.items() if value is not None]
        if given:
            raise CardError(f"{', '.join(given)}: for post-training; recipe {recipe!r} trains from its own data")
        kept = _train(path, seed, out, device, show)
    console.print(f"weights  {kept}", highlight=False, soft_wrap=True)


def _train(path: Path, seed: int | None, out: Path | None, device: str | None, show: "Log") -> Path:
    from micebench.cards import check_fields
    from micebench.training.supervised.kontext import train_kontext
    from micebench.training.supervised.recipe import load_recipe

    chosen = load_recipe(path)
    if seed is not None:
        chosen = check_fields({**chosen.model_dump(), "seed": seed}, type(chosen), where="--seed")
    return train_kontext(chosen, out or _work(chosen.id, seed=seed), show, device)


def _post_train(
    path: Path,
    changes: dict[str, str | int | None],
    out: Path | None,
    files: dict[str, Path | None],
    device: str | None,
    show: "Log",
) -> Path:
    from micebench.registry.model_files import ModelFiles
    from micebench.training.rl.recipe import load_rl_recipe
    from micebench.training.rl.trainer import train_rl

    chosen = load_rl_recipe(path, changes)
    named = {name: changes[name] for name in ("model", "task", "judge", "seed")}
    work, given = out or _work(chosen.id, **named), ModelFiles(files["weights"])
    return train_rl(chosen, work, files=given, data=files["data"], show=show, device=device)


def _work(recipe: str, **options: str | int | None) -> Path:
    """The same command finds its folder again."""
    given = "".join(f"--{name}-{value}" for name, value in options.items() if value is not None)
    return Path("training") / (recipe + given).replace("/", "-")
