"""``micebench report``: a run as people read it."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="Run directory.", metavar="RUN")],
    as_json: Annotated[bool, typer.Option("--json", help="Print summary.json and nothing else.")] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print every table as CSV, unrounded, and nothing else.")
    ] = False,
    html: Annotated[bool, typer.Option("--html/--no-html", help="Write RUN/report/index.html.")] = True,
) -> None:
    """Print the tables of a run and write its HTML report.

    Examples:

      micebench report runs/oracle

      micebench report runs/oracle --csv --no-html > oracle.csv
    """
    if as_csv and as_json:
        raise typer.BadParameter("give one of --json and --csv")
    from micebench.engine.run import open_run

    opened = open_run(run)
    if html:
        from micebench.report.html import write_report

        write_report(opened)
    if as_csv:
        import sys

        from micebench.report.as_csv import write_csv

        write_csv(opened, sys.stdout)
        return
    if as_json:
        import json

        typer.echo(json.dumps(opened.summary(), indent=2, ensure_ascii=False))
        return
    from rich.console import Console

    from micebench.report.terminal import print_run

    print_run(opened, Console())
