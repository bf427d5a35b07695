"""``micebench golden``: make golden items for a judge of a run it has judged."""

from pathlib import Path
from typing import Annotated

import typer

from micebench.cli.options import finite


def golden(
    runs: Annotated[list[Path], typer.Argument(help="Runs that the judge has judged.", metavar="RUN...")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")] = Path("golden.jsonl"),
    sessions: Annotated[int, typer.Option(min=1, help="How many sessions of each run.")] = 6,
    limit: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, callback=finite, help="Largest change of a metric's mean that is no drift."),
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="Another choice of sessions.")] = 0,
) -> None:
    """Keep some verdicts of runs, with their images, as the golden items of its judge.

    Put the file beside the judge's card, under the name golden.jsonl: every run then scores these items before its
    first verdict and after its last one, and says how far the answers have moved.

    Examples:

      micebench golden runs/mice--kontext --out my-cards/judges/my-judge/golden.jsonl

      micebench golden runs/mice-mini--clumsy runs/mice-mini--drifting --sessions 3 --limit 0.001
    """
    from micebench.engine.golden import freeze
    from micebench.engine.run_reader import open_run
    from micebench.store.manifest import write_atomically

    opened = [open_run(run) for run in runs]
    data, items = freeze(opened, sessions=sessions, limit=limit, seed=seed)
    write_atomically(out, data)
    typer.echo(f"{items} items of judge {opened[0].manifest.judge}, {len(data) / 1e3:.0f} kB: {out}")
