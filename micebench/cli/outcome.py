"""What a judging left without a value, told on stderr."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from micebench.engine.run_reader import Run


def tell_unanswered(run: "Run", cards: Sequence[Path] | None) -> bool:
    """Say how many verdicts have no value, and why; returns whether the judging yielded nothing."""
    import typer

    from micebench.cards import judge_command
    from micebench.report.formatting import visible

    found = run.unanswered()
    line = found.line()
    if line and found.missing:
        again = judge_command(run.path, "", "--retry-failed", cards=cards or ())
        line = f"{line}; see Coverage; `{again}` asks again"
    if line:
        typer.echo(visible(line), err=True)
    return found.nothing
