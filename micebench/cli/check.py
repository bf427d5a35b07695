"""``micebench check``: audit a task's files before anything is run on them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from micebench.cli import options
from micebench.errors import one_line

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = 3  # places named per kind of problem; --json has all


def check(
    task: Annotated[str, typer.Option("--task", "-t", help="Task card: its name or its YAML file.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder with the task's files; built-in tasks need none.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Everything as JSON on stdout, every problem listed.")] = False,
    cards: options.Cards = None,
) -> None:
    """Audit a task: sessions, edit types, rows that no metric can use, images.

    Exit code 1: something is unusable - a row that cannot be read, an image
    that cannot be decoded, an id used twice, sessions missing.

    Exit code 0: everything else. A row that loses a metric is a warning (there
    it becomes invalid_annotation, the rest is scored), and so is an absent image.

    Examples:

      micebench check --task mice --data DIR

      micebench check --task mice-mini --json > audit.json
    """
    from micebench.tasks.audit.report import audit
    from micebench.tasks.load import load_task_card
    from micebench.tasks.source import locate

    options.import_from_here()
    card = load_task_card(task, cards or ())
    folder = locate(card, data)
    if json:
        result = audit(card, folder)
        import json as json_format

        typer.echo(json_format.dumps(result, ensure_ascii=False, indent=1))
    else:
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task(f"reading {card.id}", total=card.sessions)
            result = audit(card, folder, on_session=lambda: progress.advance(bar))
        _print(Console(), result)
    raise typer.Exit(1 if result["errors"] else 0)


def _print(console: "Console", result: dict[str, Any]) -> None:
    from rich.markup import escape

    where = f" in {result['folder']}" if result["folder"] else " (built in)"
    console.print(f"[bold]{escape(result['task'])}[/bold]{escape(where)}", highlight=False)
    _print_sets(console, result["sets"])
    _print_types(console, result["sets"])
    _print_problems(console, result)
    images = result["images"]
    console.print(
        f"images: {images['present']} present, {images['missing']} missing, "
        f"{images['undecodable']} undecodable, {images['duplicate']} duplicate"
        + (f" (searched in {escape(result['folder'])})" if result["folder"] else ""),
        highlight=False,
    )
    verdict = f"{result['errors']} errors, {result['warnings']} warnings, {result['notes']} notes"
    console.print(f"[{'red' if result['errors'] else 'green'}]{verdict}[/]", highlight=False)


def _print_sets(console: "Console", sets: list[dict[str, Any]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name, justify in (("track", "left"), ("file", "left"), ("sessions", "right"), ("turns", "right")):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for name in ("no unchanged\nobject", "background\nchanged", "neither\npart", "invalid annotation"):
        table.add_column(name, justify="right", overflow="fold")
    for counts in sets:
        invalid = "\n".join(f"{name} {n}" for name, n in counts["invalid_annotation"].items())
        table.add_row(
            counts["track"],
            escape(counts["file"]),
            str(counts["sessions"]),
            str(counts["turns"]),
            *(str(number) for number in counts["not_measurable"].values()),
            invalid or "0",
        )
    console.print(table)
    console.print()


def _print_types(console: "Console", sets: list[dict[str, Any]]) -> None:
    from rich.table import Table

    for counts in sets:
        types = {name: by for name, by in counts["edit_types"].items() if by["total"]}
        if not types:
            continue
        positions = sorted({turn for by in types.values() for turn in by["by_turn"]}, key=int)
        table = Table(title=f"edit types by turn: {counts['track']}", title_justify="left", box=None, pad_edge=False)
        table.add_column("edit type")
        for name in (*positions, "all"):
            table.add_column(name, justify="right")
        for name, by in types.items():
            cells = [by["by_turn"].get(turn, 0) for turn in positions]
            table.add_row(name, *map(str, cells), str(by["total"]))
        console.print(table)
        console.print()


def _print_problems(console: "Console", result: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.padding import Padding

    from micebench.tasks.audit.report import EXPLAINED

    if not result["problems"]:
        return
    colours = {"error": "red", "warning": "yellow", "note": "dim"}
    console.print("findings (--json lists all)", style="italic", highlight=False)
    for kind, count in result["kinds"].items():
        found = [problem for problem in result["problems"] if problem["kind"] == kind]
        metrics = " ".join(sorted({metric for problem in found for metric in problem["metrics"]}))
        severity = found[0]["severity"]
        costs = f" (invalid for {metrics})" if metrics else ""
        head = f"[{colours[severity]}]{severity}[/] {count} x [bold]{kind}[/bold]: {EXPLAINED[kind]}{costs}"
        console.print(head, highlight=False)
        places = [_line(problem) for problem in found[:_SHOWN]] + (["..."] if len(found) > _SHOWN else [])
        for place in places:
            console.print(Padding(escape(place), (0, 0, 0, 4)), highlight=False)
    console.print()


def _line(problem: dict[str, Any]) -> str:
    turn = f"[{problem['turn']}]" if problem["turn"] else ""
    text = one_line(problem["text"])
    return f"{problem['where']} {problem['field']}{turn}: {text if len(text) <= 90 else text[:87] + '...'}"
