"""``micebench review``: people label a run in the browser."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from micebench.engine.run_reader import Run

_PORTS = range(7860, 7960)


def review(
    run: Annotated[Path, typer.Argument(help="Run directory.", metavar="RUN")],
    reviewer: Annotated[
        str | None, typer.Option("--reviewer", "-r", help="Who labels.", show_default="the page asks")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", "-m", help="What is asked: IF, GA, ... (repeatable).", show_default="IF"),
    ] = None,
    blind: Annotated[
        bool, typer.Option("--blind/--audit", help="Hide the automatic verdict until there is a label, or show it.")
    ] = True,
    pending: Annotated[bool, typer.Option("--pending", help="Only what the run's judge left open.")] = False,
    sessions: Annotated[
        int | None, typer.Option(min=1, help="Only so many sessions, drawn by the seed.", show_default="all")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the order; of the intervals of --agreement.")] = 0,
    host: Annotated[str, typer.Option(help="Address to serve at; there is no login.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port to serve at.", show_default="free one from 7860 on")
    ] = None,
    agreement: Annotated[
        bool, typer.Option("--agreement", help="Compare labels with the judge and each other; serve nothing.")
    ] = False,
    fill: Annotated[
        bool, typer.Option("--fill", help="Print the run's numbers with gaps filled by labels; serve nothing.")
    ] = False,
    export: Annotated[
        Path | None, typer.Option("--export", help="Write labels to a .csv, .jsonl or .parquet file; serve nothing.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --agreement or --fill: JSON and nothing else.")
    ] = False,
) -> None:
    """Label a run's edits in the browser; every label is saved at once, and the same command resumes.

    Labels are verdicts of a judge called human:NAME and lie in RUN/labels/NAME.jsonl. They never replace
    an automatic verdict. `--agreement` counts labels given blind; with `--audit`, all.
    Needs: pip install 'micebench[review]' (for labelling; not for the other options).

    Examples:

      micebench review runs/mice--kontext --reviewer anna --sessions 40

      micebench review runs/mice--kontext --pending

      micebench review runs/mice--kontext --agreement

      micebench review runs/mice--kontext --export labels.csv --reviewer anna
    """
    if sum((agreement, fill, export is not None)) > 1:
        raise typer.BadParameter("give one of --agreement, --fill and --export")
    if fill and (reviewer is not None or metric):
        raise typer.BadParameter("--fill uses all labels; leave out --reviewer and --metric")
    from micebench.engine.run_reader import open_run
    from micebench.judges.human import reviewer_name

    opened = open_run(run)
    name = reviewer_name(reviewer) if reviewer is not None else None
    metrics = tuple(dict.fromkeys(metric or ()))
    if export is not None:
        from micebench.annotation.export import export as export_labels

        count = export_labels(opened, export, reviewer=name, metrics=metrics)
        typer.echo(f"{count} labels -> {export}")
    elif agreement:
        from micebench.annotation.agreement import agreement as agree

        _show(agree(opened, metrics, reviewer=name, seed=seed, seen=not blind), as_json, _print_agreement)
    elif fill:
        from micebench.annotation.gap_filling import filled

        _show(filled(opened), as_json, _print_filled)
    else:
        from micebench.annotation.queue import Choice

        _serve(opened, Choice(metrics or ("IF",), pending, sessions, seed), name, (host, port), blind=blind)


def _serve(run: "Run", choice: Any, name: str | None, where: tuple[str, int | None], *, blind: bool) -> None:
    from micebench.annotation.labeling_session import Desk
    from micebench.annotation.page import make_app, serve
    from micebench.annotation.queue import make_queue
    from micebench.report.formatting import plural, visible

    queue = make_queue(run, choice)
    host, wanted = where
    app = make_app(Desk(run, queue, blind=blind), name, host)
    port = free_port(host, wanted)
    typer.echo(f"{plural(len(queue.items), 'question')}: {queue.rule}")
    shown = f"[{host}]" if ":" in host else host
    typer.echo(f"open http://{shown}:{port}/  (labels go to {visible(run.path / 'labels')}; stop with Ctrl-C)")
    if host not in ("127.0.0.1", "localhost", "::1"):
        typer.echo("anyone who reaches this address can label under any name: there is no login", err=True)
    serve(app, host, port)


def free_port(host: str, wanted: int | None) -> int:
    """The wanted port, or the first free one. Raises RunError if there is none."""
    import socket

    from micebench.errors import RunError

    reason = "no port"
    for port in [wanted] if wanted is not None else _PORTS:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((host, port))
            except OSError as error:
                reason = error.strerror or str(error)
                continue
            return port
    tried = wanted if wanted is not None else f"{_PORTS[0]} to {_PORTS[-1]}"
    raise RunError(f"cannot serve at {host}, port {tried}: {reason}; give another --port or --host")


def _show(found: Mapping[str, Any], as_json: bool, show: Any) -> None:
    if as_json:
        import json

        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        show(found)


def _print_agreement(found: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.text import Text

    from micebench.cli.calibrate import confusion_table
    from micebench.report.formatting import plural, visible

    console = Console()

    def line(text: str, style: str = "") -> None:
        console.print(Text(visible(text), style), soft_wrap=True)

    line(f"{found['task']}, {found['model']}, judge {found['judge'] or 'none'}", "bold")
    for name, count in found["reviewers"].items():
        stale = f", {count['stale']} of other images or questions not counted" if count["stale"] else ""
        line(f"  {name}: {count['labels']} labels, {count['blind']} blind, {count['undecided']} undecided{stale}")
    if found["labels_seen"]:
        line("  labels given after the automatic verdict was shown are counted: not independent of it", "yellow")
    for metric, pairs in found["metrics"].items():
        console.print()
        line(metric, "bold")
        console.print(_pair_table([*pairs["judge"], *pairs["reviewers"]]))
        if together := pairs["together"]:
            kappa = "undefined" if together["kappa"] is None else f"{together['kappa']:.3f}"
            line(
                f"Fleiss' kappa of {together['reviewers']} reviewers on {plural(together['edits'], 'edit')}: {kappa}"
            )
            if together["split"]:
                split = plural(together["split"], "edit")
                line(f"{split} with as many yes as no: left out of human:*, which makes it look better", "yellow")
        if not pairs["judge"]:
            line("  no edit has both a label and an automatic verdict", "yellow")
        for pair in pairs["judge"][-1:]:
            line(f"{pair['judge']} against {pair['against']}:")
            console.print(confusion_table(pair))


def _pair_table(pairs: Sequence[Mapping[str, Any]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("judge", "against"):
        table.add_column(column, overflow="fold")
    for column in ("n", "agreement", "kappa", "sens.", "spec."):
        table.add_column(column, justify="right", no_wrap=True)
    for pair in pairs:
        cells = [_limits(pair["agreement"]), _limits(pair["kappa"])]
        cells += [_value(pair[name]) for name in ("sensitivity", "specificity")]
        table.add_row(*map(Text, (str(pair["judge"]), str(pair["against"]), str(pair["n"]), *cells)))
    return table


def _value(cell: Mapping[str, float | None]) -> str:
    return "–" if cell["value"] is None else f"{cell['value']:.2f}"


def _limits(cell: Mapping[str, float | None]) -> str:
    ends = "" if cell["low"] is None else f" [{cell['low']:.2f}, {cell['high']:.2f}]"
    return _value(cell) + ends


def _print_filled(found: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from micebench.report.formatting import interval, label, number, visible

    console = Console()

    def line(text: str, style: str = "") -> None:
        console.print(Text(visible(text), style), soft_wrap=True)

    line(f"{found['task']}, {found['model']}: judge {found['judge'] or 'none'}, and with people", "bold")
    line(f"  gaps filled from labels of {', '.join(found['reviewers'])}; not the run's numbers, and stored nowhere")
    for metric, count in found["filled"].items():
        if count["gaps"] or count["filled"]:
            line(f"  {metric}: {count['filled']} of {count['gaps']} gaps filled")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("", "turn"):
        table.add_column(column, no_wrap=True)
    for column in ("automatic", "interval", "n", "with people", "interval", "n"):
        table.add_column(column, justify="right", no_wrap=True)
    automatic = (found["automatic"] or {}).get("metrics", {})
    for name, turns in found["with_people"]["metrics"].items():
        rows = [(turn, automatic.get(name, {}).get(turn), cell) for turn, cell in turns.items() if cell["n"]]
        for place, (turn, alone, together) in enumerate(rows):
            cells = [label(name) if place == 0 else "", turn]
            for cell in (alone or {"value": None, "low": None, "high": None, "n": 0, "of": together["of"]}, together):
                cells += [number(cell["value"]), interval(cell["low"], cell["high"]), f"{cell['n']}/{cell['of']}"]
            table.add_row(*map(Text, cells))
    console.print(table)
