"""``micebench plan``: what a run would do. Writes nothing."""

from pathlib import Path
from typing import Annotated

import typer


def plan(
    model: Annotated[str, typer.Option("--model", "-m", help="Model card, or my_module:MyEditor.")],
    task: Annotated[str, typer.Option("--task", "-t", help="Task card.")] = "mice-mini",
    judge: Annotated[
        str | None, typer.Option("--judge", "-j", help="Judge card.", show_default="the task's own")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run directory.", show_default="runs/TASK--MODEL")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", "-d", help="Folder of the task's release, if it needs one.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N sessions.")] = None,
    seed: Annotated[int, typer.Option(help="Base seed.")] = 0,
    context: Annotated[
        str | None,
        typer.Option(help="What the model is shown: last, history or composed.", show_default="as its card says"),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each session.")] = 1,
    cards: Annotated[list[Path] | None, typer.Option("--cards", help="Folder with more cards (repeatable).")] = None,
) -> None:
    """Show what `micebench run` with the same options would do, and what is already done.

    Examples:

      micebench plan --model oracle

      micebench plan --model oracle --task mice-mini-long --repeats 3
    """
    import os
    import sys

    from rich.console import Console
    from rich.table import Table

    from micebench.engine.job import Options, make_job
    from micebench.engine.plan import make_plan

    sys.path.insert(0, os.getcwd())  # my_module:MyEditor lives beside the user
    options = Options(context, seed, repeats, limit, tuple(cards or ()), data)
    job = make_job(task, model, judge, options, out)
    planned = make_plan(job)

    console = Console()
    verb = "resumes" if planned.exists else "starts"
    shown = f"{job.editor.id} on {job.task.id}, judge {job.judge.id if job.judge else 'none'}"
    console.print(
        f"{shown}, context {job.editor.context}: {verb} {job.out}", markup=False, highlight=False, soft_wrap=True
    )
    table = Table(box=None, pad_edge=False)
    for name in ("", "all", "done", "to do"):
        table.add_column(name, justify="left" if not name else "right")
    table.add_row("sessions", f"{planned.sessions * repeats}", "", "")
    for name, total, done in (
        ("edits", planned.edits, planned.edits_done),
        ("verdicts", planned.verdicts, planned.verdicts_done),
    ):
        table.add_row(name, str(total), str(done), str(total - done))
    console.print(table)
    if planned.edits_failed:
        console.print(f"{planned.edits_failed} failed edits are tried again", highlight=False)
    if planned.absent:
        console.print(
            f"{planned.absent} source images are missing (first: {planned.first_absent}); "
            "give the release's folder with --data DIR",
            markup=False,
            highlight=False,
        )
    console.print(f"about {planned.disk_bytes / 1e6:.1f} MB to be written", highlight=False)
