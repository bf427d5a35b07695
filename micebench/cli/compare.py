"""``micebench compare``: did it get better or worse, and could we tell?"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from micebench.cli.options import finite

if TYPE_CHECKING:
    from micebench.comparison.gate import GateOptions
    from micebench.comparison.multi_run import GateResult
    from micebench.engine.run_reader import Run

_LOST_SHOWN = 50
_STEP_SUMMARY = "GITHUB_STEP_SUMMARY"


class _Files(NamedTuple):
    """Where to write what; None: nowhere."""

    html: Path | None
    junit: Path | None
    summary: Path | None


def compare(
    base: Annotated[Path, typer.Argument(help="Run directory to compare with.", metavar="BASE")],
    new: Annotated[list[Path], typer.Argument(help="Run directories of the same task.", metavar="NEW...")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap and the permutations.")] = 0,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page with the numbers and the sessions that flipped.")
    ] = None,
    gate: Annotated[bool, typer.Option("--gate", help="Decide, and exit with 0, 1, 2 or 3.")] = False,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric", help="What --gate guards, as NAME or NAME@TURN (repeatable).", show_default="overall"
        ),
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(callback=finite, help="Percentage points --gate lets pass.", show_default="1.0")
    ] = None,
    coverage: Annotated[
        float | None,
        typer.Option(callback=finite, help="Share of sessions that --gate needs scored.", show_default="0.99"),
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write the gate's decisions as JUnit XML.")] = None,
    summary: Annotated[
        Path | None,
        typer.Option(
            "--summary", help="Append a Markdown summary to this file.", show_default=f"with --gate ${_STEP_SUMMARY}"
        ),
    ] = None,
) -> None:
    """Compare runs of one task with a base run, session by session: NEW minus BASE.

    A difference is marked where its interval excludes 0 and p < 0.05, adjusted by Holm's method where there are
    several NEW. MDE is the difference that this many sessions would find in 80 of 100 cases.

    --gate exits with 0: passed; 1: regressed; 2: incomplete (verdicts missing, sessions that do not match, runs
    that cannot be compared); 3: the judge drifted. The highest of several decides; docs/gate.md has the definition.

    JSON: {"task", "judge", "a", "b", "n_a", "n_b", "n_paired", "only_a", "only_b", "changed",
    "level", "resamples", "permutations", "seed", "content_consistency",
    "metrics": {NAME: {TURN: CELL}}, "tracks": {track: {NAME: {TURN: CELL}}},
    "edit_types": {type: CELL}, "flipped": {"gained", "lost", "n", "of"}} with
    CELL = {"a", "b", "difference", "low", "high", "p", "mde", "n", "of", "missing", "p_holm"}, in percent. a is
    BASE, b is NEW; with several NEW it is {"comparisons": [one such object per NEW]}. With --gate there is "gate":
    {"outcome", "code", "base", "decisions": [{"new", "metric", "outcome", "code", "reasons", ...}]}, too.

    Examples:

      micebench compare runs/base runs/step-800

      micebench compare runs/base runs/step-400 runs/step-800 --html comparison.html

      micebench compare runs/base runs/new --gate --metric overall@3 --tolerance 1.0 --junit gate.xml
    """
    for given, name in ((metric, "metric"), (tolerance, "tolerance"), (coverage, "coverage"), (junit, "junit")):
        if given is not None and not gate:
            raise typer.BadParameter(f"--{name} needs --gate")
    if gate and summary is None and os.environ.get(_STEP_SUMMARY):
        summary = Path(os.environ[_STEP_SUMMARY])
    options = _options(metric, tolerance, coverage) if gate else []
    files = _Files(html, junit, summary)
    from micebench.errors import MicebenchError

    try:
        code = _compare(base, list(dict.fromkeys(new)), options, seed=seed, as_json=as_json, files=files)
    except MicebenchError as error:
        if not gate:
            raise
        typer.echo(f"error: {error}", err=True)
        code = 2  # and not 1, which says that the model got worse
    raise typer.Exit(code)


def _compare(
    base: Path, new: Sequence[Path], options: "Sequence[GateOptions]", *, seed: int, as_json: bool, files: _Files
) -> int:
    """Compare, write and print; the exit code. Without `options` nothing is decided."""
    from micebench.comparison.multi_run import compare_all, gate
    from micebench.engine.run_reader import open_run

    first = open_run(base)
    result: GateResult | None = None
    if options:
        result = gate(first, new, options, seed=seed)
        found = [comparison.to_json() for comparison in result.comparisons]
    else:
        found = [comparison.to_json() for comparison in compare_all(first, new, seed=seed)]
    _write(first, found, result, files)
    if as_json:
        import json

        shown: dict[str, Any] = {"comparisons": found} if len(new) > 1 else dict(*found)
        shown |= {} if result is None else {"gate": result.to_json()}
        typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        from rich.console import Console

        from micebench.comparison.terminal import print_comparisons, print_gate

        print_comparisons(found, Console())
        if result is not None:
            print_gate(result, Console())
    return 0 if result is None else result.decision.code


def _options(metric: list[str] | None, tolerance: float | None, coverage: float | None) -> "list[GateOptions]":
    from micebench.cards import check_fields
    from micebench.comparison.gate import GateOptions
    from micebench.errors import CardError

    given = {name: value for name, value in (("tolerance", tolerance), ("coverage", coverage)) if value is not None}
    try:
        wanted = [{"metric": one} for one in dict.fromkeys(metric or [])] or [{}]
        return [check_fields(one | given, GateOptions, where="--gate") for one in wanted]
    except CardError as error:
        raise typer.BadParameter(str(error)) from error


def _write(base: "Run", found: Sequence[Mapping[str, Any]], result: "GateResult | None", files: _Files) -> None:
    from micebench.engine.run_reader import open_run

    runs = {one["b"]["path"]: open_run(one["b"]["path"]) for one in found}
    if files.html is not None:
        from micebench.comparison.html import write_page

        write_page(files.html, base, list(runs.values()), found, result)
    if files.junit is None and files.summary is None:
        return
    from micebench.comparison.flips import losses

    lost = {
        path: losses(runs[path], one["flipped"]["lost"][:_LOST_SHOWN]) for path, one in zip(runs, found, strict=True)
    }
    if files.junit is not None and result is not None:
        from micebench.comparison.junit import write_junit

        write_junit(files.junit, result, lost)
    if files.summary is not None:
        from micebench.comparison.job_summary import append_summary

        append_summary(files.summary, found, result, lost)
