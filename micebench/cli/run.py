"""``micebench run``: edit, judge and report; the same command again resumes."""

from typing import Annotated

import typer

from micebench.cli import options


def run(
    model: options.Model,
    task: options.Task = "mice-mini",
    judge: options.Judge = None,
    out: options.Out = None,
    data: options.Data = None,
    limit: options.Limit = None,
    seed: options.Seed = 0,
    context: options.Context = None,
    repeats: options.Repeats = 1,
    workers: Annotated[int, typer.Option(min=1, help="Model processes.")] = 1,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Requests per model call.", show_default="as its card says")
    ] = None,
    retry_refused: Annotated[
        bool, typer.Option("--retry-refused", help="Ask again for edits the model has refused.")
    ] = False,
    weights: options.Weights = None,
    adapter: options.Adapter = None,
    no_golden: options.NoGolden = False,
    cards: options.Cards = None,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no HTML report.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no table.")] = False,
) -> None:
    """Run a model over a task, judge every edit, and report.

    The same command again resumes where it stopped, and retries what failed. What the model refused stays
    refused.
    Exit code 3: finished, but some sessions failed, or the judging yielded
    nothing: no value at all, or none for one of the metrics.
    With `--judge none` it only edits; `micebench judge` judges later, when a judge's server has the GPU, say.

    Examples:

      micebench run --model oracle

      micebench run --model my_module:MyEditor --limit 20 --out runs/try

      micebench run --model flux.1-kontext-dev --adapter my-lora/ --task mice --data mice-bench/
    """

    from rich.console import Console

    from micebench.cards import judge_command
    from micebench.cli.outcome import tell_unanswered
    from micebench.cli.progress import ProgressDisplay, resumable
    from micebench.engine.job import Options, make_job
    from micebench.errors import printable
    from micebench.registry.model_files import ModelFiles

    options.import_from_here()
    files = ModelFiles(weights, adapter)
    asked = Options(
        context, seed, repeats, limit, tuple(cards or ()), data, workers, batch, retry_refused, files, not no_golden
    )
    job = make_job(task, model, judge, asked, out)
    errors = Console(stderr=True, quiet=quiet)
    errors.print(f"{job.editor.id} on {job.task.id} -> {job.out}", markup=False, highlight=False, soft_wrap=True)

    from micebench.engine.evaluate import execute

    with resumable(), ProgressDisplay(errors) as progress:
        finished = execute(job, None if quiet else progress)
    if job.judge is None:
        why = f"task {job.task.id!r} has no judge of its own" if judge is None else "the edits are not judged"
        typer.echo(f"{why}; run: {judge_command(job.out, job.task.judge or 'NAME', cards=cards or ())}")
    elif not no_report:
        from micebench.report.html import write_report

        write_report(finished)
    if job.judge is not None and not quiet:
        from micebench.report.terminal import print_run

        print_run(finished, Console())
    nothing = job.judge is not None and tell_unanswered(finished, cards)
    refusals, failures = finished.refusals(), finished.failures()
    if refusals:
        first = refusals[0]
        typer.echo(
            f"the model refused {len(refusals)} edit{'s' if len(refusals) > 1 else ''} (first: {first.session} turn "
            f"{first.turn}: {printable(first.reason)}); that is its answer, --retry-refused asks again",
            err=True,
        )
    if failures:
        first = failures[0]
        number = f"{len(failures)} session{'s' if len(failures) > 1 else ''}"
        typer.echo(
            f"{number} failed (first: {first.session} turn {first.turn}: {printable(first.reason)}); "
            "run the same command again to retry",
            err=True,
        )
    if failures or nothing:
        raise typer.Exit(3)
