"""``micebench watch``: evaluate each checkpoint of a training, and stop it when it gets worse."""

from pathlib import Path
from typing import Annotated

import typer

from micebench.cli import options


def watch(
    folder: Annotated[Path, typer.Argument(help="Folder a training job writes checkpoints into.", metavar="DIR")],
    base: Annotated[
        Path, typer.Option("--base", "-b", help="Run to compare with; says task, judge, context, limit.")
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where runs go.", show_default="DIR/watch")] = None,
    metric: Annotated[
        str, typer.Option("--metric", help="What is guarded: NAME or NAME@TURN (last turn).")
    ] = "overall",
    tolerance: Annotated[
        float, typer.Option(callback=options.finite, min=0.0, help="Percentage points by which it may get worse.")
    ] = 1.0,
    coverage: Annotated[
        float, typer.Option(callback=options.finite, min=0.0, max=1.0, help="Smallest share of sessions scored.")
    ] = 0.99,
    stop_after: Annotated[int, typer.Option(min=0, help="Stop after so many gate failures in a row; 0: never.")] = 2,
    on_fail: Annotated[
        str | None, typer.Option("--on-fail", metavar="COMMAND", help="Run this when stopping (without a shell).")
    ] = None,
    stop_file: Annotated[Path | None, typer.Option("--stop-file", help="Write this file when stopping.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Evaluate what is there, and end.")] = False,
    every: Annotated[
        float, typer.Option(callback=options.finite, min=0.1, help="Seconds between two looks at DIR.")
    ] = 30.0,
    settle: Annotated[
        float, typer.Option(callback=options.finite, min=0.0, help="Seconds for which files must not change.")
    ] = 10.0,
    marker: Annotated[
        str | None, typer.Option("--marker", help="A file in a checkpoint that says it is complete.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Model card under a LoRA.", show_default="the base run's")
    ] = None,
    weights: options.Weights = None,
    data: options.Data = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Requests per model call.", show_default="as the card says")
    ] = None,
    no_golden: options.NoGolden = False,
    cards: options.Cards = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no table.")] = False,
) -> None:
    """Evaluate each new checkpoint in DIR like the base run, and compare it with that.

    A checkpoint is a subfolder with a saved pipeline (model_index.json), a
    LoRA (pytorch_lora_weights.safetensors) or a model card (editor.yaml). It
    is taken once its files have not changed for --settle seconds, or when
    --marker is there. Runs, watch.json, curve.png and index.html go to --out;
    the same command goes on where it stopped.

    Exit code 0: with --once, all evaluated. 1: gate failures in a row have
    stopped the watch (--on-fail and --stop-file have been served), or an error.
    2: wrong usage. 3: the judge gave not one value; the same command asks it
    again. 130: interrupted.

    Examples:

      micebench watch training/mt-editflow-nft --base runs/mice-mini--kontext

      micebench watch out/ --base runs/mice--base --on-fail "kill -INT 4711"

      micebench watch out/ --base runs/base --once --metric turn_success@3
    """
    import shlex

    from rich.console import Console

    from micebench.cards import check_fields
    from micebench.cli.progress import ProgressDisplay, resumable
    from micebench.comparison.gate import GateOptions
    from micebench.errors import CardError
    from micebench.monitor.report import print_watch, write_curve
    from micebench.monitor.watch_log import WatchLog
    from micebench.monitor.watcher import WatchOptions
    from micebench.monitor.watcher import watch as watch_folder

    options.import_from_here()
    try:
        command = tuple(shlex.split(on_fail or ""))
    except ValueError as error:
        raise CardError(f"--on-fail {on_fail!r}: {error}") from error
    guarded = {"metric": metric, "tolerance": tolerance, "coverage": coverage}
    asked = WatchOptions(
        out=out,
        gate=check_fields(guarded, GateOptions, where="gate"),
        stop_after=stop_after or None,
        every=every,
        settle=settle,
        marker=marker,
        once=once,
        on_fail=command,
        stop_file=stop_file,
        model=model,
        weights=weights,
        data=data,
        cards=tuple(cards or ()),
        batch=batch,
        golden=not no_golden,
    )
    errors, console = Console(stderr=True, quiet=quiet), Console(quiet=quiet)

    def tell(line: str) -> None:
        from micebench.report.formatting import visible

        errors.print(visible(line), markup=False, highlight=False, soft_wrap=True)

    def show(log: WatchLog, place: Path) -> None:
        from micebench.engine.run_reader import open_run
        from micebench.report.html import write_report

        last = log.entries[-1]
        if last.value is not None:
            write_report(open_run(place / last.label))
        page = write_curve(log, place)
        print_watch(log, console)
        console.print(f"curve   {page}", markup=False, highlight=False, soft_wrap=True)

    displays = {} if quiet else {"progress": lambda: ProgressDisplay(errors)}
    with resumable():
        stopped = watch_folder(folder, base, asked, tell=tell, show=show, **displays)
    if stopped:
        raise typer.Exit(1)
