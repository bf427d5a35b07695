"""The report in the terminal: every number with its interval, gaps with their consequences."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from micebench.report import tables
from micebench.report.tables import Cell, Row, Table
from micebench.report.text import interval, number, plural, visible

if TYPE_CHECKING:
    from micebench.engine.run import Run

_FAILED_SHOWN = 5
_BAR = 24
_PAD = 2  # blanks between columns


def print_run(run: "Run", console: Console) -> None:
    """Print the whole report of `run`; fits any width from 60 columns on, with and without colours."""
    summary = run.summary()
    _print_head(run, summary, console)
    for table in (tables.overall_table(summary), tables.track_table(summary), tables.edit_type_table(summary)):
        if table is not None:
            _print_table(table, console)
    _print_first_failures(summary, console)
    _print_coverage(summary, console)
    _print_failed_sessions(run, console)
    _print_places(run, console)


def _print_head(run: "Run", summary: Mapping[str, Any], console: Console) -> None:
    manifest = run.manifest
    title = f"{summary.get('model') or manifest.model} on {summary.get('task') or manifest.task}"
    facts = [
        f"judge {summary.get('judge') or manifest.judge}",
        plural(int(summary.get("n_sessions") or 0), "session"),
        *([plural(manifest.repeats, "repeat")] if manifest.repeats > 1 else []),
        f"context {manifest.context}",
        f"seed {manifest.seed}",
    ]
    console.print()
    _line(console, title, style="bold")
    _line(console, " · ".join(facts), style="dim")
    _line(console, "percent, 95 % interval; scored/total where not all are scored", style="dim")


def _print_table(table: Table, console: Console) -> None:
    console.print()
    _line(console, table.title, style="bold cyan")
    for start, stop, stacked in _blocks(table, console.width):
        _print_block(table, start, stop, stacked, console)


def _blocks(table: Table, width: int) -> Iterator[tuple[int, int, bool]]:
    """(first column, end, stacked): one line per number where that fits, else value over interval, else in
    several blocks of equal size."""
    label_width = max(len(table.corner), *(len(row.label) + 2 * bool(row.group) for row in table.rows))
    room = max(width - label_width, 20)
    count = len(table.columns)
    one_line = max((_width(one, False) for row in table.rows for one in row.cells), default=0) + _PAD
    if one_line * count <= room:
        yield 0, count, False
        return
    narrow = max((_width(one, True) for row in table.rows for one in row.cells), default=0) + _PAD
    per_block = max(1, room // max(narrow, 1))
    blocks = -(-count // per_block)
    size = -(-count // blocks)
    for start in range(0, count, size):
        yield start, min(start + size, count), True


def _print_block(table: Table, start: int, stop: int, stacked: bool, console: Console) -> None:
    grid = RichTable(box=None, padding=(0, 0, 0, _PAD), pad_edge=False, header_style="dim", show_edge=False)
    grid.add_column(_fit(table.corner, console), no_wrap=True)
    for column in table.columns[start:stop]:
        grid.add_column(column, justify="right", no_wrap=True)
    for group, rows in groupby(table.rows, key=lambda row: row.group):
        if group:
            grid.add_row(_text(group, console, style="bold"))
        for row in rows:
            _add_row(grid, row, start, stop, stacked, console)
    console.print(grid)
    if stop < len(table.columns):
        console.print()


def _add_row(grid: RichTable, row: Row, start: int, stop: int, stacked: bool, console: Console) -> None:
    indent = "  " if row.group else ""
    grid.add_row(
        _text(indent + row.label, console),
        *(_number(one, stacked, console) for one in row.cells[start:stop]),
    )


def _parts(one: Cell) -> tuple[str, str, str]:
    counted = f"{one.n}/{one.of}" if not one.full else ""
    return f"{number(one.value):>5}", f"{interval(one.low, one.high):>11}" if one.value is not None else "", counted


def _width(one: Cell, stacked: bool) -> int:
    value, ends, counted = _parts(one)
    widths = (len(value), len(ends), len(counted))
    return max(widths) if stacked else max(widths[0] + 1 + widths[1], widths[2])


def _number(one: Cell, stacked: bool, console: Console) -> Text:
    value, ends, counted = _parts(one)
    cell = Text(justify="right", no_wrap=True)
    cell.append(_fit(value, console), style="bold" if one.value is not None else "dim")
    if ends:
        cell.append("\n" if stacked else " ")
        cell.append(_fit(ends, console), style="dim")
    if counted:
        cell.append(f"\n{counted}", style="yellow")
    return cell


def _print_first_failures(summary: Mapping[str, Any], console: Console) -> None:
    failures = tables.first_failures(summary)
    if not failures:
        return
    console.print()
    _line(console, "First failure", style="bold cyan")
    widest = max(len(name) for name, _, _ in failures)
    digits = max(len(f"{count:,}") for _, count, _ in failures)
    for name, count, share in failures:
        style = {"no failure": "green", "undetermined": "yellow"}.get(name, "red")
        bar = _fit("━", console) * round(share * _BAR / 100)
        line = Text(f"{name:<{widest}}  {count:>{digits},}  {number(share):>5} %  ")
        line.append(bar, style=style)
        console.print(line, overflow="crop", no_wrap=True)


def _print_coverage(summary: Mapping[str, Any], console: Console) -> None:
    gaps = tables.gaps(summary)
    console.print()
    _line(console, "Coverage", style="bold cyan")
    if not gaps:
        _line(console, "every verdict was scored")
        return
    for gap in gaps:
        lacking = ", ".join(f"{count:,} {status}" for status, count in gap.counts)
        _line(
            console,
            f"{gap.metric}: {gap.ok:,} of {gap.total:,} scored; {lacking}: {gap.consequence}",
            style="" if gap.harmless else "yellow",
        )
    bounds = tables.bounds_table(summary)
    if bounds is not None:
        _print_bounds(bounds, console)


def _print_bounds(bounds: Table, console: Console) -> None:
    """With every missing verdict counted as worst and as best: the numbers cannot lie outside."""
    console.print()
    _line(console, "Bounds: every missing verdict counted as failed, and as passed", style="bold cyan")
    as_ranges = Table(
        bounds.key,
        bounds.title,
        bounds.corner,
        bounds.columns,
        tuple(Row(row.label, tuple(_range_of(one) for one in row.cells)) for row in bounds.rows),
    )
    width = max(len(_range_text(one)) for row in bounds.rows for one in row.cells) + _PAD
    room = max(console.width - max(len(row.label) for row in bounds.rows), width)
    size = max(1, room // width)
    for start in range(0, len(bounds.columns), size):
        grid = RichTable(box=None, padding=(0, 0, 0, _PAD), pad_edge=False, header_style="dim", show_edge=False)
        grid.add_column(bounds.corner, no_wrap=True)
        for column in bounds.columns[start : start + size]:
            grid.add_column(column, justify="right", no_wrap=True)
        for row in as_ranges.rows:
            grid.add_row(
                _text(row.label, console),
                *(_fit(_range_text(one), console) for one in row.cells[start : start + size]),
            )
        console.print(grid)


def _range_of(one: Cell) -> Cell:
    return one if one.bounded else Cell(value=one.value, at_least=one.value, at_most=one.value)


def _range_text(one: Cell) -> str:
    return interval(one.at_least, one.at_most) or number(one.value)


def _print_failed_sessions(run: "Run", console: Console) -> None:
    failed = (edit for edit in run.edits() if edit.status == "failed")
    shown = list(islice(failed, _FAILED_SHOWN))
    if not shown:
        return
    rest = sum(1 for _ in failed)
    console.print()
    _line(console, f"Edits without an image: {len(shown) + rest:,}", style="bold red")
    for edit in shown:
        where = f"{edit.session} turn {edit.turn}" + (f" repeat {edit.repeat}" if edit.repeat else "")
        _line(console, f"{visible(where, 80)}: {visible(edit.reason or 'no reason given', 300)}")
    if rest:
        _line(console, f"... and {rest:,} more, in edits/", style="dim")


def _print_places(run: "Run", console: Console) -> None:
    console.print()
    page = run.path / "report" / "index.html"
    _line(console, f"run     {run.path}")
    if page.is_file():
        _line(console, f"report  {page}")


def _line(console: Console, line: str, style: str = "") -> None:
    """One logical line; words wrap at the console's width, markup in data stays text."""
    console.print(escape(_fit(visible(line), console)), style=style or None, highlight=False, emoji=False)


def _text(words: str, console: Console, style: str = "") -> Text:
    return Text(_fit(words, console), style=style, no_wrap=True)


def _fit(words: str, console: Console) -> str:
    """Only characters the stream can carry: a report never dies of a C locale."""
    if console.encoding.startswith("utf"):
        return words
    plain = words.replace("–", "-").replace("━", "#").replace("·", "|").replace("…", "...").replace("×", "x")
    return plain.encode(console.encoding, "replace").decode(console.encoding)


__all__: Sequence[str] = ("print_run",)
