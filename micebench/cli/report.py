"""``micebench report``: a run as people read it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from micebench.engine.run_reader import Run


def report(
    run: Annotated[Path, typer.Argument(help="Run directory.", metavar="RUN")],
    as_json: Annotated[bool, typer.Option("--json", help="Print summary.json and nothing else.")] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print every table as CSV, unrounded, and nothing else.")
    ] = False,
    html: Annotated[
        bool | None,
        typer.Option(
            "--html/--no-html", help="Write RUN/report/index.html.", show_default="not with --json and --csv"
        ),
    ] = None,
) -> None:
    """Print the tables of a run and write its HTML report.

    Examples:

      micebench report runs/oracle

      micebench report runs/oracle --csv > oracle.csv
    """
    if as_csv and as_json:
        raise typer.BadParameter("give one of --json and --csv")
    from micebench.engine.run_reader import open_run
    from micebench.errors import RunError

    opened = open_run(run)
    fault: RunError | None = None
    if html or (html is None and not (as_csv or as_json)):
        from micebench.report.html import write_report

        try:
            write_report(opened)
        except RunError as error:  # a run in a folder that cannot be written is readable all the same
            fault = error
    _print(opened, as_csv=as_csv, as_json=as_json)
    if fault is not None:
        raise fault


def _print(run: "Run", *, as_csv: bool, as_json: bool) -> None:
    if as_csv:
        import sys

        from micebench.report.csv_export import write_csv

        write_csv(run, sys.stdout)
    elif as_json:
        import json

        typer.echo(json.dumps(run.summary(), indent=2, ensure_ascii=False))
    else:
        from rich.console import Console

        from micebench.report.terminal import print_run

        print_run(run, Console())
