"""Options that several verbs take, said once."""

from pathlib import Path
from typing import Annotated

import typer

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
