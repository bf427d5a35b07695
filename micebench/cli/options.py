"""Options that several verbs take, in one place."""

import math
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from micebench.errors import CardError

Model = Annotated[
    str, typer.Option("--model", "-m", help="Model card, folder of a saved pipeline, or my_module:MyEditor.")
]
Task = Annotated[str, typer.Option("--task", "-t", help="Task card.")]
Judge = Annotated[str | None, typer.Option("--judge", "-j", help="Judge card.", show_default="the task's own")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Run directory.", show_default="runs/TASK--MODEL")]
Weights = Annotated[Path | None, typer.Option("--weights", help="The model's weights, if not where its card says.")]
Adapter = Annotated[Path | None, typer.Option("--adapter", help="LoRA (folder or file) on top of the model.")]
Data = Annotated[Path | None, typer.Option("--data", "-d", help="Folder of the task's release, if it needs one.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first N sessions.")]
Seed = Annotated[int, typer.Option(help="Base seed; every edit has its own, derived from it.")]
Context = Annotated[
    str | None,
    typer.Option(help="What the model is shown: last, history or composed.", show_default="as its card says"),
]
Repeats = Annotated[int, typer.Option(min=1, help="Runs of each session, with different seeds.")]
NoGolden = Annotated[
    bool, typer.Option("--no-golden", help="Do not score the judge's golden items before and after.")
]
Cards = Annotated[list[Path] | None, typer.Option("--cards", help="Folder with more cards (repeatable).")]


def import_from_here() -> None:
    """Let references such as my_module:MyEditor, on the command line and in cards, name modules of this folder."""
    try:
        here = os.getcwd()
    except OSError as error:
        raise CardError(f"the current folder cannot be read ({error.strerror}); change to another") from error
    if here not in sys.path:
        sys.path.insert(0, here)


def finite(value: float | None) -> float | None:
    """Callback of options that take a number."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value
