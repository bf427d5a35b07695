"""``micebench publish``: a model's finished runs as its model card in the repository."""

from pathlib import Path
from typing import Annotated

import typer

from micebench.cli import options


def publish(
    model: Annotated[str, typer.Argument(help="Model card that the runs are of.", metavar="MODEL")],
    runs: Annotated[list[Path], typer.Argument(help="Finished runs, one per task.", metavar="RUN...")],
    reference: Annotated[
        Path | None,
        typer.Option("--reference", metavar="RUN", help="Run on mice-mini-reference: adds the exposure gap."),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option("--against", metavar="RUN", help="Run of another model on one of the tasks: adds differences."),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder with results/ and baselines/.", show_default="here")
    ] = Path(),
    cards: options.Cards = None,
) -> None:
    """Write the model card of a model, from its runs alone.

    baselines/MODEL/: README.md, turns.png, sessions.png (and curve.png, if curve.jsonl
    lies beside the model's card).
    results/TASK/MODEL/: exposure_gap.json, against-OTHER.json, where there are any. The
    numbers of single runs come there by `micebench submit` and `micebench verify --accept`.

    Refused are runs that are limited, unfinished, of another model or judge than exact,
    or made with other cards or weights than today's.

    Examples:

      micebench publish clumsy runs/mice-mini--clumsy

      micebench publish clumsy runs/short runs/long --reference runs/alone

      micebench publish kontext-rl runs/mice-mini--kontext-rl --against runs/mice-mini--kontext
    """
    from micebench.publish.publish import publish as write

    for path in write(model, runs, reference=reference, against=against or (), out=out, cards=cards or ()):
        typer.echo(path)
