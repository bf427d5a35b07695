"""``micebench submit``: a finished run as one bundle for the leaderboard."""

from pathlib import Path
from typing import Annotated

import typer

from micebench.cli import options


def submit(
    run: Annotated[Path, typer.Argument(help="Finished run directory.", metavar="RUN")],
    name: Annotated[str, typer.Option("--name", help="How the model is to be listed.")],
    contact: Annotated[str, typer.Option("--contact", help="Where you can be reached; published.")],
    url: Annotated[str | None, typer.Option("--url", help="Model or paper, https://...")] = None,
    note: Annotated[str, typer.Option("--note", help="Anything else to be published.")] = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Bundle to write.", show_default="TASK--NAME.zip")
    ] = None,
    images: Annotated[str, typer.Option("--images", help="all, or sample: those of some sessions.")] = "all",
    sessions: Annotated[int, typer.Option("--sessions", min=1, help="How many sessions a sample keeps.")] = 60,
    cards: options.Cards = None,
) -> None:
    """Write a run as a bundle: manifest, sessions, edits, verdicts, numbers and images.

    Refused are runs with --limit, below 99 % coverage, without verdicts, or made with other
    task or judge cards than those that ship. The sessions of a sample follow from a hash of
    all edits and verdicts: nobody chooses them. Equal runs give equal bytes.

    Examples:

      micebench submit runs/mice-mini--kontext --name kontext --contact you@example.org

      micebench submit runs/mine --name "My model" --contact me@example.org --url https://example.org --images sample
    """
    from micebench.cards import command
    from micebench.engine.run_reader import open_run
    from micebench.submission import submit as write

    written = write(
        run,
        name=name,
        contact=contact,
        url=url,
        note=note,
        out=out,
        images=images,
        sessions=sessions,
        cards=cards or (),
    )
    source = open_run(run).manifest.task_card.get("data") or {}
    needed = ["--data", "DIR"] if source.get("files") and not source.get("repo") else []
    typer.echo(written.path)
    typer.echo(
        f"{written.bytes / 2**20:.2f} MiB, images of {written.sessions:,} of {written.of:,} sessions "
        f"({written.detection_probability:.1%} chance to hold an altered one, if 5% were); "
        f"check it with: {command('verify', written.path, *needed, cards=cards or ())}",
        err=True,
    )
