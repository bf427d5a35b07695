"""The curve of a watched training: a figure, a page, and a table for the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from micebench.comparison.gate import LOWER_IS_BETTER, harm
from micebench.monitor.watch_log import Entry, WatchLog
from micebench.report.formatting import interval, label, number, p_value, visible
from micebench.report.html import page_environment, resource
from micebench.report.plots import COLOURS, INK, as_png, dress, new_canvas
from micebench.store.manifest import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.console import Console

FIGURE, PAGE = "curve.png", "index.html"
_STYLE: Mapping[str, tuple[str, str, str]] = {
    "passed": ("o", COLOURS[0], "gate passed"),
    "regressed": ("v", COLOURS[1], "gate failed"),
    "incomplete": ("s", COLOURS[6], "proves nothing: incomplete"),
    "drifted": ("D", COLOURS[3], "proves nothing: the judge drifted"),
}
"""Outcome -> marker, colour, words; a broken checkpoint has no number."""
_THREAD = "#aab3bd"
_NAMED = 12  # checkpoints up to which each has its name on the axis


def write_curve(log: WatchLog, out: Path) -> Path:
    """Write ``curve.png`` and ``index.html`` into `out`; returns the page's path. Equal logs give equal bytes."""
    picture = figure(log)
    write_atomically(out / FIGURE, picture)
    write_atomically(out / PAGE, render(log, picture).encode("utf-8"))
    return out / PAGE


def figure(log: WatchLog) -> bytes:
    """PNG. Above: the guarded number of each checkpoint, and the base run's. Below: the paired difference."""
    from matplotlib.collections import LineCollection

    entries = [entry for entry in log.entries if entry.cell is not None]
    places, by_step = _places(entries)
    canvas = new_canvas(9.8, 6.4)
    above, below = canvas.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    above.axhline(log.value["value"], color=INK, linewidth=1.3, linestyle=(0, (5, 2)), label="base run")
    if log.value.get("low") is not None:
        above.axhspan(log.value["low"], log.value["high"], color=INK, alpha=0.08, linewidth=0)
    below.axhline(0.0, color=INK, linewidth=1.3, linestyle=(0, (5, 2)), label="no difference")
    worse = log.gate.tolerance if log.metric in LOWER_IS_BETTER else -log.gate.tolerance
    below.axhline(worse, color=COLOURS[1], linewidth=1.1, linestyle=(0, (1.5, 1.5)), label="tolerance")
    thread = [(x, value) for x, entry in zip(places, entries, strict=True) if (value := _value(entry)) is not None]
    if thread:
        above.add_collection(LineCollection([np.array(thread)], colors=_THREAD, linewidths=1.4, zorder=1))
    for outcome, (marker, colour, words) in _STYLE.items():
        chosen = [(x, entry) for x, entry in zip(places, entries, strict=True) if entry.outcome == outcome]
        _points(above, [(x, entry.value) for x, entry in chosen], "value", marker, colour, words)
        _points(below, [(x, entry.cell) for x, entry in chosen], "difference", marker, colour, "")
    title = f"{label(log.metric)} at turn {log.turn}: {visible(log.task, 60)}, judge {visible(log.judge, 40)}"
    dress(above, title, "", "percent")
    dress(below, f"Difference to the base run, {visible(log.model, 60)}", "step" if by_step else "", "points")
    if len(entries) <= _NAMED:
        below.set_xticks(
            places, [str(x) if by_step else visible(e.label, 16) for x, e in zip(places, entries, strict=True)]
        )
    if places:
        margin = max(0.5, 0.04 * (max(places) - min(places)))
        below.set_xlim(min(places) - margin, max(places) + margin)
    for axes in (above, below):
        axes.margins(y=0.12)
        axes.autoscale(axis="y")
    return as_png(canvas)


def _places(entries: Sequence[Entry]) -> tuple[list[int], bool]:
    """Where each stands: at its step, if all have one of their own; else one after the other."""
    steps = [entry.step for entry in entries]
    if entries and None not in steps and len(set(steps)) == len(steps):
        return [step for step in steps if step is not None], True
    return list(range(1, len(entries) + 1)), False


def _points(
    axes: "Axes",
    found: Sequence[tuple[int, Mapping[str, Any] | None]],
    name: str,
    marker: str,
    colour: str,
    words: str,
) -> None:
    known = [(x, cell) for x, cell in found if cell is not None and cell.get(name) is not None]
    if not known:
        return
    ends = [(cell["low"], cell["high"]) if cell.get("low") is not None else (cell[name],) * 2 for _, cell in known]
    axes.vlines([x for x, _ in known], [low for low, _ in ends], [high for _, high in ends], color=colour, alpha=0.55)
    places, values = [x for x, _ in known], [cell[name] for _, cell in known]
    if words:
        axes.plot(places, values, marker=marker, color=colour, linestyle="", markersize=7, label=words)
    else:  # without a place in the legend
        axes.scatter(places, values, s=49, marker=marker, color=colour)


def _value(entry: Entry) -> float | None:
    return None if entry.value is None else entry.value.get("value")


def rows(log: WatchLog) -> list[dict[str, str]]:
    """The table: one row per checkpoint, as words."""
    found: list[dict[str, str]] = []
    for entry in log.entries:
        cell, value = entry.cell or {}, entry.value or {}
        signed = "" if cell.get("difference") is None else f"{cell['difference']:+.1f}".replace("-0.0", "+0.0")
        ends = "" if cell.get("low") is None else f"{cell['low']:+.1f} to {cell['high']:+.1f}"
        found.append(
            {
                "checkpoint": visible(entry.label, 60),
                "value": number(value.get("value")) if value else "–",
                "interval": interval(value.get("low"), value.get("high")) if value else "",
                "difference": signed,
                "ends": ends,
                "p": p_value(cell.get("p")),
                "outcome": entry.outcome,
                "why": visible(entry.reasons[0] if entry.reasons else "", 300),
                "link": entry.label if entry.value is not None else "",
            }
        )
    return found


def best(log: WatchLog) -> Entry | None:
    """The checkpoint with the best guarded number among those that prove something, the first of equals."""
    known = [entry for entry in log.entries if entry.outcome in ("passed", "regressed")]
    return min(known, key=lambda entry: harm(entry.cell or {}), default=None)


def render(log: WatchLog, picture: bytes) -> str:
    """The page: one file with the figure in it; nothing of the log's text is ever markup."""
    import base64
    from urllib.parse import quote

    from markupsafe import Markup

    leading = best(log)
    return (
        page_environment("micebench.monitor")
        .get_template("watch.html.j2")
        .render(
            metric=label(log.metric),
            turn=log.turn,
            task=visible(log.task, 60),
            judge=visible(log.judge, 40),
            model=visible(log.model, 120),
            base=visible(log.base, 300),
            value=number(log.value["value"]),
            ends=interval(log.value.get("low"), log.value.get("high")),
            tolerance=f"{log.gate.tolerance:g}",
            rows=[
                row | {"link": quote(row["link"]) + "/report/index.html" if row["link"] else ""} for row in rows(log)
            ],
            best=None if leading is None else visible(leading.label, 60),
            stopped=log.stopped,
            picture=Markup(base64.b64encode(picture).decode()),
            style=Markup(resource("report.css")),
        )
    )


def print_watch(log: WatchLog, console: "Console") -> None:
    """The table in the terminal."""
    from rich.table import Table
    from rich.text import Text

    base = f"{number(log.value['value'])} {interval(log.value.get('low'), log.value.get('high'))}"
    head = f"{label(log.metric)} at turn {log.turn} of {visible(log.task, 60)}, judge {visible(log.judge, 40)}"
    console.print(Text(head, "bold"))
    console.print(Text(f"base {visible(log.model, 60)}: {base}, tolerance {log.gate.tolerance:g} points", "dim"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("checkpoint", "value", "interval", "difference", "its interval", "p", "gate"):
        table.add_column(name, justify="left" if name in ("checkpoint", "gate") else "right", no_wrap=True)
    styles = {"passed": "green", "regressed": "bold red"}
    for row in rows(log):
        cells = [row[name] for name in ("checkpoint", "value", "interval", "difference", "ends", "p")]
        table.add_row(*map(Text, cells), Text(row["outcome"], styles.get(row["outcome"], "yellow")))
    console.print(table)
