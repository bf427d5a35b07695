"""``micebench verify``: check a bundle that somebody submitted, and accept it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from micebench.cli import options

if TYPE_CHECKING:
    from micebench.submission import Verification

_STYLES = {"passed": "green", "skipped": "yellow", "failed": "bold red"}


def verify(
    bundle: Annotated[Path, typer.Argument(help="Bundle made by `micebench submit`.", metavar="BUNDLE")],
    data: options.Data = None,
    sample: Annotated[
        int | None,
        typer.Option("--sample", min=1, help="Sessions to judge again.", show_default="all, or 20 with a model"),
    ] = None,
    seed: Annotated[
        str | None, typer.Option("--seed", help="Draws those sessions.", show_default="a fresh one")
    ] = None,
    results: Annotated[
        Path | None, typer.Option("--results", help="Accepted results among which to look for copies.")
    ] = None,
    accept: Annotated[
        Path | None, typer.Option("--accept", metavar="RESULTS", help="If it passes, write it there.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print verification.json and nothing else.")] = False,
    cards: options.Cards = None,
) -> None:
    """Check a bundle without believing anything in it.

    Its zip, JSON and hashes; its cards, sessions, seeds and keys against what ships here; its
    numbers against its verdicts; its verdicts by judging its images again. Nothing that it
    names is imported or fetched.
    Exit code 0: no check failed; 1: one did, or could not be finished. Only a judge that is not
    available here (server, weights, package) is passed over; the result is then self-reported.

    Examples:

      micebench verify mice-mini--kontext.zip

      micebench verify theirs.zip --data mice-bench/ --sample 40 --accept results/
    """
    import json

    from micebench.submission import accept as write
    from micebench.submission import to_json, verify_bundle

    found = verify_bundle(bundle, data=data, sample=sample, seed=seed, results=results or accept, cards=cards or ())
    if as_json:
        typer.echo(json.dumps(to_json(found), indent=1))
    else:
        _print(found)
    if not found.passed:
        raise typer.Exit(1)
    if accept is not None:
        folder = write(found, accept)
        typer.echo(folder, err=as_json)


def _print(found: "Verification") -> None:
    from rich.console import Console
    from rich.text import Text

    from micebench.report.formatting import visible
    from micebench.submission.verify import NO_JUDGE

    console = Console()
    if found.bundle is not None:
        said = found.bundle.submission
        title = f"{said.name}: {visible(said.manifest.model, 80)} on {said.manifest.task}"
        console.print(Text(title, "bold"), soft_wrap=True)
    for check in found.checks:
        line = Text(f"{check.outcome:8}", _STYLES[check.outcome]).append(f"{check.check:13}", "bold")
        console.print(line.append(check.detail, ""), soft_wrap=True)
    if found.passed:
        if found.standing is not None and found.standing.words:
            console.print(Text(found.standing.words, "yellow"), soft_wrap=True)
        judged = f"{found.verdicts_recomputed:,} of {found.of:,} verdicts judged again"
        mark = found.mark if found.mark == "verified" else f"{found.mark} ({NO_JUDGE})"
        console.print(Text(f"{mark}: {judged}", "bold"), soft_wrap=True)
    else:
        failed = ", ".join(check.check for check in found.checks if check.outcome == "failed")
        console.print(Text(f"refused: {failed}", "bold red"), soft_wrap=True)
