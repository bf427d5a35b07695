"""``micebench compare``: did it get better or worse, and could we tell?"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

_IDS_SHOWN = 8


def compare(
    a: Annotated[Path, typer.Argument(help="Run directory of the baseline.", metavar="A")],
    b: Annotated[Path, typer.Argument(help="Run directory to compare with it.", metavar="B")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap and the permutations.")] = 0,
) -> None:
    """Compare two runs of one task, session by session: B minus A.

    A difference is marked where its interval excludes 0 and p < 0.05. MDE is the difference
    that this many sessions would find in 80 of 100 cases.

    JSON: {"task", "judge", "a", "b", "n_a", "n_b", "n_paired", "only_a", "only_b", "changed",
    "level", "resamples", "permutations", "seed", "content_consistency",
    "metrics": {NAME: {TURN: CELL}}, "tracks": {track: {NAME: {TURN: CELL}}},
    "edit_types": {type: CELL}, "flipped": {"gained", "lost", "n", "of"}} with
    CELL = {"a", "b", "difference", "low", "high", "p", "mde", "n", "of"}, in percent.

    Examples:

      micebench compare runs/base runs/step-800

      micebench compare runs/base runs/step-800 --json > difference.json
    """
    from micebench.engine.compare import compare as compare_runs

    found = compare_runs(a, b, seed=seed).to_json()
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

    line(f"{found['task']}, judge {found['judge']}: B minus A, percentage points, 95 % intervals", "bold")
    for name in ("a", "b"):
        line(f"  {name.upper()}  {found[name]['model']}  {found[name]['path']}")
    line(f"  {found['n_paired']} sessions paired of {found['n_a']} in A and {found['n_b']} in B")
    for field, words in (
        ("only_a", "only in A"),
        ("only_b", "only in B"),
        ("changed", "left out: the same id with other content"),
    ):
        if found[field]:
            line(f"  {len(found[field])} {words}: {_some(found[field])}", "yellow")
    console.print(_table("all sessions", found["metrics"]))
    if len(found["tracks"]) > 1:
        for track, metrics in found["tracks"].items():
            console.print(_table(f"track {track}", metrics))
    if found["edit_types"]:
        console.print(_table("success by edit type", {k: {"all": c} for k, c in found["edit_types"].items()}))
    flipped = found["flipped"]
    line(f"Turn success at the last turn, {flipped['n']} of {flipped['of']} sessions determined in both:")
    for name, style in (("gained", "green"), ("lost", "red")):
        line(f"  {len(flipped[name])} {name}: {_some(flipped[name]) or '-'}", style)


def _some(ids: list[str]) -> str:
    """The first few ids; --json has all."""
    from micebench.report.text import visible

    more = ", ... (all with --json)" if len(ids) > _IDS_SHOWN else ""
    return ", ".join(visible(name, 60) for name in ids[:_IDS_SHOWN]) + more


def _table(title: str, metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title, "bold"), title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("", "turn"):
        table.add_column(name, no_wrap=True)
    for name in ("A", "B", "B - A", "interval", "p", "MDE", "n"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in _rows(metrics):
        table.add_row(*(Text(*cell) for cell in row))
    return table


def _rows(metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[list[tuple[str, str]]]:
    """(text, style) of each cell of each row; what is undefined in either run has no row."""
    from micebench.report.text import label

    for name, turns in metrics.items():
        shown = [(turn, cell) for turn, cell in turns.items() if cell["difference"] is not None]
        for place, (turn, cell) in enumerate(shown):
            style = _style(name, cell)
            gaps = cell["n"] < cell["of"]
            yield [
                (label(name) if place == 0 else "", ""),
                (turn, ""),
                (f"{cell['a']:.1f}", ""),
                (f"{cell['b']:.1f}", ""),
                (f"{_signed(cell['difference'])}{'*' if style else ' '}", style),
                ("" if cell["low"] is None else f"{_signed(cell['low'])}, {_signed(cell['high'])}", style),
                (_p_value(cell["p"]), style),
                ("" if cell["mde"] is None else f"{cell['mde']:.1f}", ""),
                (f"{cell['n']}/{cell['of']}" if gaps else str(cell["n"]), "yellow" if gaps else ""),
            ]


def _signed(number: float) -> str:
    return f"{round(number, 1) + 0.0:+.1f}"  # + 0.0: no "-0.0"


def _style(name: str, cell: Mapping[str, Any]) -> str:
    """Green for better, red for worse, where interval and test agree that there is a difference."""
    if cell["low"] is None or cell["p"] is None or cell["p"] >= 0.05 or cell["low"] <= 0.0 <= cell["high"]:
        return ""
    lower_is_better = name in {"collapse", "quality_drift"}
    return "bold green" if (cell["difference"] < 0) == lower_is_better else "bold red"


def _p_value(p: float | None) -> str:
    if p is None:
        return ""
    return "<.001" if p < 0.001 else f"{p:.3f}"
