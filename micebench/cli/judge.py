"""``micebench judge``: score the edits of a run, again or by another judge."""

from pathlib import Path
from typing import Annotated

import typer

from micebench.cli import options


def judge(
    run: Annotated[Path, typer.Argument(help="Run directory made by `micebench run`.")],
    judge: Annotated[
        str | None, typer.Option("--judge", "-j", help="Judge card.", show_default="the run's own")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask again where the judge gave no value.")
    ] = False,
    no_golden: options.NoGolden = False,
    cards: options.Cards = None,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no HTML report.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no table.")] = False,
) -> None:
    """Judge finished edits. No edit is made again, and verdicts already given are kept.

    Exit code 3: the judging yielded nothing: no value at all, or none for one
    of the metrics.

    Examples:

      micebench judge runs/mice-mini--oracle

      micebench judge runs/mice-mini--oracle --judge exact --retry-failed
    """
    from rich.console import Console

    from micebench.cli.outcome import tell_unanswered
    from micebench.cli.progress import ProgressDisplay, resumable
    from micebench.engine.evaluate import judge as judge_run

    options.import_from_here()
    with resumable(), ProgressDisplay(Console(stderr=True, quiet=quiet)) as progress:
        judged = judge_run(
            run,
            judge,
            retry_failed=retry_failed,
            golden=not no_golden,
            cards=cards or (),
            progress=None if quiet else progress,
        )
    if not no_report:
        from micebench.report.html import write_report

        write_report(judged)
    if not quiet:
        from micebench.report.terminal import print_run

        print_run(judged, Console())
    if tell_unanswered(judged, cards):
        raise typer.Exit(3)
