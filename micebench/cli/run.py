"""``micebench run``: edit, judge and report; the same command again resumes."""

from pathlib import Path
from typing import Annotated

import typer


def run(
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
    seed: Annotated[int, typer.Option(help="Base seed; every edit has its own, derived from it.")] = 0,
    context: Annotated[
        str | None,
        typer.Option(help="What the model is shown: last, history or composed.", show_default="as its card says"),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each session, with different seeds.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Model processes.")] = 1,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Requests per model call.", show_default="as its card says")
    ] = None,
    cards: Annotated[list[Path] | None, typer.Option("--cards", help="Folder with more cards (repeatable).")] = None,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no HTML report.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no table.")] = False,
) -> None:
    """Run a model over a task, judge every edit, and report.

    The same command again resumes where it stopped, and retries what failed.
    Exit code 3: finished, but some sessions failed.

    Examples:

      micebench run --model oracle

      micebench run --model my_module:MyEditor --limit 20 --out runs/try
    """
    import os
    import sys

    from rich.console import Console

    from micebench.cli.progress import ProgressDisplay, resumable
    from micebench.engine.job import Options, make_job

    sys.path.insert(0, os.getcwd())  # my_module:MyEditor lives beside the user
    options = Options(context, seed, repeats, limit, tuple(cards or ()), data, workers, batch)
    job = make_job(task, model, judge, options, out)
    errors = Console(stderr=True, quiet=quiet)
    errors.print(f"{job.editor.id} on {job.task.id} -> {job.out}", markup=False, highlight=False, soft_wrap=True)

    from micebench.engine.evaluate import execute

    with resumable(), ProgressDisplay(errors) as progress:
        finished = execute(job, None if quiet else progress)
    if job.judge is None:
        typer.echo(f"task {job.task.id!r} has no judge of its own; run: micebench judge {job.out} --judge NAME")
    elif not no_report:
        from micebench.report.html import write_report

        write_report(finished)
    if job.judge is not None and not quiet:
        from micebench.report.terminal import print_run

        print_run(finished, Console())
    failures = finished.failures()
    if failures:
        first = failures[0]
        number = f"{len(failures)} session{'s' if len(failures) > 1 else ''}"
        typer.echo(
            f"{number} failed (first: {first.session} turn {first.turn}: {first.reason}); "
            "run the same command again to retry",
            err=True,
        )
        raise typer.Exit(3)
