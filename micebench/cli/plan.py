"""``micebench plan``: what a run would do. Writes nothing."""

from micebench.cli import options


def plan(
    model: options.Model,
    task: options.Task = "mice-mini",
    judge: options.Judge = None,
    out: options.Out = None,
    data: options.Data = None,
    limit: options.Limit = None,
    seed: options.Seed = 0,
    context: options.Context = None,
    repeats: options.Repeats = 1,
    weights: options.Weights = None,
    adapter: options.Adapter = None,
    no_golden: options.NoGolden = False,
    cards: options.Cards = None,
) -> None:
    """Show what `micebench run` with the same options would do, and what is already done.

    Examples:

      micebench plan --model oracle

      micebench plan --model oracle --task mice-mini-long --repeats 3
    """

    from rich.console import Console
    from rich.table import Table

    from micebench.engine.job import Options, make_job
    from micebench.engine.plan import make_plan
    from micebench.registry.model_files import ModelFiles

    options.import_from_here()
    files = ModelFiles(weights, adapter)
    asked = Options(context, seed, repeats, limit, tuple(cards or ()), data, files=files, golden=not no_golden)
    job = make_job(task, model, judge, asked, out)
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
    if planned.golden:
        console.print(
            f"{planned.golden} golden items are scored besides, against drift of the judge", highlight=False
        )
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
