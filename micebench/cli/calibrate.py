"""``micebench calibrate``: can this judge be trusted?"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from micebench.cli import options

if TYPE_CHECKING:
    from rich.table import Table


def calibrate(
    run: Annotated[Path, typer.Argument(help="Run directory that the judge has judged.", metavar="RUN")],
    judge: Annotated[str, typer.Option("--judge", "-j", help="Judge card to be checked.")],
    against: Annotated[
        str,
        typer.Option("--against", "-a", help="Reference: a judge card, labels (.csv, .jsonl), or human:NAME."),
    ],
    metric: Annotated[str, typer.Option("--metric", "-m", help="What both were asked.")] = "IF",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the intervals.")] = 0,
    cards: options.Cards = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Hold a judge's verdicts against another judge's, or against people's labels.

    Yes means a value above 0.5. Intervals are 95 % and come from resampling sessions. Sensitivity and specificity:
    of what the reference passes, fails, the share the judge passes, fails too.

    Examples:

      micebench calibrate runs/mice-mini--oracle --judge my-judge --against exact --cards my-cards

      micebench calibrate runs/mice--kontext --judge mice --against labels.csv --json

      micebench calibrate runs/mice--kontext --judge mice --against human:anna
    """
    from micebench.annotation.calibration import calibrate as calibrate_run

    options.import_from_here()
    found = calibrate_run(run, judge, against, metric=metric, seed=seed, cards=cards or ())
    if as_json:
        import json

        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    _print(found)


def _print(found: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()

    def line(text: str, style: str = "") -> None:
        console.print(Text(text, style), soft_wrap=True)

    line(
        f"{found['judge']} against {found['against']}: {found['metric']} of {found['task']}, {found['model']}", "bold"
    )
    line(f"  {found['n']} of {found['edits']} edits scored by both, in {found['sessions']} sessions")
    for side, name in (("unscored_judge", "judge"), ("unscored_against", "against")):
        if found[side]:
            line(f"  {found[side]} edits without a value of {found[name]}", "yellow")
    for name in ("agreement", "kappa", "sensitivity", "specificity", "auc"):
        cell = found[name]
        if cell is not None:
            interval = "" if cell["low"] is None else f"  [{cell['low']:.3f}, {cell['high']:.3f}]"
            value = "undefined" if cell["value"] is None else f"{cell['value']:.3f}"
            line(f"  {name:12} {value}{interval}")
    if found["votes"] is not None:
        votes = found["votes"]
        kappa = "undefined" if votes["kappa"] is None else f"{votes['kappa']:.3f}"
        line(f"  {'votes':12} {kappa}  Fleiss' kappa of {votes['votes']} votes on {votes['items']} edits")
    console.print(confusion_table(found))


def confusion_table(found: Mapping[str, Any]) -> "Table":
    """Who said yes and who said no, by edit type; `found` as `engine.calibrate.calibrate` returns it."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("edit type", no_wrap=True)
    for name in ("both yes", "only judge", "only reference", "both no", "agreement", "kappa"):
        table.add_column(name, justify="right")
    rows = [("all", {**found["confusion"], **{name: found[name]["value"] for name in ("agreement", "kappa")}})]
    for kind, cells in (*rows, *found["edit_types"].items()):
        counts = [str(cells[name]) for name in ("both", "only_a", "only_b", "neither")]
        shares = ["–" if cells[name] is None else f"{cells[name]:.3f}" for name in ("agreement", "kappa")]
        table.add_row(*(Text(cell) for cell in (kind, *counts, *shares)))
    return table
