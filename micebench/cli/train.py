"""``micebench train``: train a bundled editor from its recipe."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[str, typer.Argument(help="A model with a recipe (kontext), or the path of a recipe.yaml.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Work folder.", show_default="training/ID")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed than the recipe's.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu keeps a GPU out of it.")] = None,
) -> None:
    """Train an editor from scratch: autoencoder, flow matching, a diffusers directory.

    The same command again resumes from the last checkpoint. The pipeline is
    written to OUT/weights, the curve to OUT/curve.jsonl and OUT/tensorboard.

    Examples:

      micebench train kontext

      micebench train baselines/kontext/recipe.yaml --seed 1 --out training/kontext-1
    """
    from importlib.util import find_spec

    from rich.console import Console

    from micebench.cards import find_recipes
    from micebench.errors import CardError, nearest, needs_extra
    from micebench.train.recipe import load_recipe

    path = Path(recipe)
    if path.suffix not in {".yaml", ".yml"}:
        recipes = find_recipes()
        if recipe not in recipes:
            raise CardError(f"no recipe for {recipe!r}; {nearest(recipe, recipes)}")
        path = recipes[recipe]
    chosen = load_recipe(path)
    if seed is not None:
        chosen = chosen.model_copy(update={"seed": seed})
    work = out or Path("training") / (chosen.id if seed is None else f"{chosen.id}--seed-{seed}")

    if find_spec("tensorboard") is None:
        raise needs_extra("train", ImportError("tensorboard"))
    from micebench.train.kontext import train_kontext

    console = Console()

    def show(step: int, numbers: dict[str, float]) -> None:
        said = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
        console.print(f"{step:6d}  {said}", highlight=False)

    weights = train_kontext(chosen, work, show, device)
    console.print(f"pipeline  {weights}", highlight=False)
