"""The report in the terminal: every number with its interval, gaps with their consequences.

Everything is printed as `rich.text.Text`, never as markup, so nothing in the data can style or hide output.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from micebench.report import tables
from micebench.report.drift import drift_line
from micebench.report.edival import edival_tables
from micebench.report.formatting import interval, number, plural, visible
from micebench.report.summary_header import usage_facts
from micebench.report.tables import Cell, Table

if TYPE_CHECKING:
    from micebench.engine.run_reader import Failure, Run

_FAILED_SHOWN = 5
_BAR = 24  # characters of a full bar
_GAP = 2  # blanks between columns

Lines = tuple[tuple[str, str], ...]
"""(words, style) of each line of a cell."""


def print_run(run: "Run", console: Console) -> None:
    """Print the whole report of `run`; fits any width from 60 columns on, with and without colours."""
    summary = run.summary()
    _print_head(run, summary, console)
    overall = tables.overall_table(summary)
    _print_heading(overall.title, console)
    _print_table(overall, console, _layout(overall, console.width))
    for table in (tables.track_table(summary), tables.edit_type_table(summary)):
        if table is not None:
            _print_heading(table.title, console)
            _print_excerpt(table, console)
    for table in edival_tables(run):
        _print_heading(table.title, console)
        _print_table(table, console, _rounded)
    _print_first_failures(summary, console)
    _print_coverage(summary, console)
    _print_drift(run, console)
    _print_failures(run, console)
    _print_usage(run, console)
    _print_places(run, console)


def _print_head(run: "Run", summary: Mapping[str, Any], console: Console) -> None:
    manifest = run.manifest
    facts = [
        f"judge {manifest.judge}",
        plural(manifest.n_sessions, "session"),
        *([f"{manifest.repeats} repeats"] if manifest.repeats > 1 else []),
        f"context {manifest.context}",
        f"seed {manifest.seed}",
    ]
    console.print()
    _print_line(f"{manifest.model} on {manifest.task}", console, "bold")
    _print_line(" · ".join(facts), console, "dim")
    table = tables.overall_table(summary)
    partial = any(not one.full for row in table.rows for one in row.cells)
    scored = ", scored/total where partial" if partial else ""
    _print_line(f"percent and 95 % interval{scored}", console, "dim")


def _layout(table: Table, width: int) -> Callable[[Cell], Lines]:
    """One line per number if the table then fits the width, else the interval under the value."""
    cells = [one for row in table.rows for one in row.cells]
    wide = max((_width(_beside(one)) for one in cells), default=0) + _GAP
    return _beside if _label_width(table) + wide * len(table.columns) <= width else _below


def _beside(one: Cell) -> Lines:
    ends = f" {_ends(one):>11}" if one.value is not None else ""
    return ((f"{number(one.value):>5}", "bold"), (ends, "dim"), *_counted(one))


def _below(one: Cell) -> Lines:
    ends = f"\n{_ends(one)}" if _ends(one) else ""
    return ((number(one.value), "bold"), (ends, "dim"), *_counted(one))


def _rounded(one: Cell) -> Lines:
    """Two decimals, as EdiVal prints its rates."""
    return ((number(one.value) if one.value is None else f"{one.value:.2f}", "bold"), *_counted(one))


def _ends(one: Cell) -> str:
    return interval(one.low, one.high) if one.value is not None else ""


def _counted(one: Cell) -> Lines:
    return () if one.full else ((f"\n{one.n}/{one.of}", "yellow"),)


def _range(one: Cell) -> Lines:
    return ((interval(one.at_least, one.at_most) if one.bounded else number(one.value), ""),)


def _width(lines: Lines) -> int:
    return max(map(len, "".join(words for words, _ in lines).split("\n")))


def _label_width(table: Table) -> int:
    labels = [len(row.label) + (2 if row.group else 0) for row in table.rows]
    return max([len(table.corner), *labels, *(len(row.group) for row in table.rows)])


def _print_excerpt(table: Table, console: Console) -> None:
    """The columns that fit side by side, spread from the first to the last; the page has all of them."""
    layout, count = _layout(table, console.width), len(table.columns)
    fitting = _fitting(table, console, layout)
    if fitting >= count:
        _print_table(table, console, layout)
        return
    kept = sorted({round(place * (count - 1) / max(fitting - 1, 1)) for place in range(fitting)})
    rows = tuple(replace(row, cells=tuple(row.cells[place] for place in kept)) for row in table.rows)
    columns = tuple(table.columns[place] for place in kept)
    _print_table(replace(table, columns=columns, rows=rows), console, layout)
    _print_line(f"{len(kept)} of {count} columns; the HTML report has all", console, "dim")


def _fitting(table: Table, console: Console, layout: Callable[[Cell], Lines]) -> int:
    """How many columns fit beside the labels."""
    widest = max((_width(layout(one)) for row in table.rows for one in row.cells), default=0)
    widest = max([widest, *map(len, table.columns)]) + _GAP
    return max(1, (console.width - _label_width(table)) // widest)


def _print_table(table: Table, console: Console, layout: Callable[[Cell], Lines]) -> None:
    """In as many blocks of equally many columns as the width asks for."""
    for start, stop in _blocks(len(table.columns), _fitting(table, console, layout)):
        if start:
            console.print()
        grid = Grid(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="dim")
        grid.add_column(table.corner, no_wrap=True)
        for column in table.columns[start:stop]:
            grid.add_column(column, justify="right", no_wrap=True)
        for group, rows in groupby(table.rows, key=lambda row: row.group):
            if group:
                grid.add_row(_text(group, console, "bold"))
            for row in rows:
                numbers = (_cell(layout(one), console) for one in row.cells[start:stop])
                grid.add_row(_text(("  " if group else "") + row.label, console), *numbers)
        console.print(grid)


def _blocks(columns: int, at_most: int) -> Iterator[tuple[int, int]]:
    size = -(-columns // -(-columns // at_most)) if columns else 1
    for start in range(0, columns, size):
        yield start, min(start + size, columns)


def _cell(lines: Lines, console: Console) -> Text:
    cell = Text(justify="right", no_wrap=True)
    for words, style in lines:
        cell.append(_fit(words, console), style)
    return cell


def _print_first_failures(summary: Mapping[str, Any], console: Console) -> None:
    failures = tables.first_failures(summary)
    if not failures:
        return
    _print_heading("First failure", console)
    widest = max(len(name) for name, _, _ in failures)
    digits = max(len(f"{count:,}") for _, count, _ in failures)
    for name, count, share in failures:
        line = Text(f"{name:<{widest}}  {count:>{digits},}  {number(share):>5} %  ", no_wrap=True)
        style = {"no failure": "green", "undetermined": "yellow"}.get(name, "red")
        line.append(_fit("━", console) * round(share * _BAR / 100), style)
        console.print(line)


def _print_coverage(summary: Mapping[str, Any], console: Console) -> None:
    gaps = tables.gaps(summary)
    _print_heading("Coverage", console)
    if not gaps:
        _print_line("every verdict was scored", console)
    for gap in gaps:
        lacking = ", ".join(f"{count:,} {status}" for status, count in gap.counts)
        said = f"{gap.metric}: {gap.ok:,} of {gap.total:,} scored, {lacking}: {gap.consequence}"
        _print_line(said, console, "" if gap.harmless else "yellow")
    bounds = tables.bounds_table(summary)
    if bounds is not None:
        _print_heading("Bounds", console)
        _print_line("the smallest and the largest values that the missing verdicts allow", console, "dim")
        _print_table(bounds, console, _range)


def _print_drift(run: "Run", console: Console) -> None:
    if (found := drift_line(run)) is not None:
        console.print()
        _print_line(found.words[:1].upper() + found.words[1:], console, "bold red" if found.grave else "dim")


def _print_failures(run: "Run", console: Console) -> None:
    for title, failures in (("Edits refused by the model", run.refusals()), ("Edits that failed", run.failures())):
        if failures:
            _print_stopped(title, failures, console)


def _print_stopped(title: str, failures: "Sequence[Failure]", console: Console) -> None:
    _print_heading(f"{title}: {len(failures):,}", console, "bold red")
    for failure in failures[:_FAILED_SHOWN]:
        repeat = f" repeat {failure.repeat}" if failure.repeat else ""
        where = f"{visible(failure.session, 60)} turn {failure.turn}{repeat}"
        _print_line(f"{where}: {visible(failure.reason or 'no reason given', 300)}", console)
    if len(failures) > _FAILED_SHOWN:
        _print_line(f"and {len(failures) - _FAILED_SHOWN:,} more, in edits/", console, "dim")


def _print_usage(run: "Run", console: Console) -> None:
    if facts := usage_facts(run.usage()):
        console.print()
        _print_line("Editing: " + " · ".join(facts), console, "dim")


def _print_places(run: "Run", console: Console) -> None:
    """Paths are never broken over lines, so that they can be copied."""
    console.print()
    page = run.path / "report" / "index.html"
    console.print(_text(f"run     {run.path}", console), soft_wrap=True)
    if page.is_file():
        console.print(_text(f"report  {page}", console), soft_wrap=True)


def _print_heading(words: str, console: Console, style: str = "bold cyan") -> None:
    console.print()
    _print_line(words, console, style)


def _print_line(words: str, console: Console, style: str = "") -> None:
    console.print(_text(words, console, style))


def _text(words: str, console: Console, style: str = "") -> Text:
    return Text(_fit(visible(words), console), style)


def _fit(words: str, console: Console) -> str:
    """Only characters the stream can carry: a report never dies of a C locale."""
    if console.encoding.lower().startswith("utf"):
        return words
    plain = words.translate({ord("–"): "-", ord("━"): "#", ord("·"): "|", ord("…"): "...", ord("×"): "x"})
    return plain.encode(console.encoding, "replace").decode(console.encoding)
