"""A comparison in the terminal. Everything is printed as `rich.text.Text`, never as markup."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from micebench.comparison.lines import Block, blocks, edit_types, names, signed, unmatched
from micebench.comparison.multi_run import GateResult
from micebench.report.formatting import p_value, visible

_IDS_SHOWN = 8
_STYLES = {"better": "bold green", "worse": "bold red", "": ""}
OUTCOME_STYLES = {
    "passed": "bold green",
    "regressed": "bold red",
    "incomplete": "bold yellow",
    "drifted": "bold yellow",
}


def print_comparisons(comparisons: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print one comparison in full, or of several the numbers over all sessions."""
    several = len(comparisons) > 1
    for comparison, name in zip(comparisons, names(comparisons)[1:], strict=True):
        _print_one(comparison, name, console, several=several)
    if several:
        _say(console, "Holm: p adjusted for the number of new runs. Tracks and edit types: --html or --json.", "dim")


def print_gate(result: GateResult, console: Console) -> None:
    """Print each decision with its reasons, the run's name first where there are several."""
    for row in result.rows:
        decision = row.decision
        whose = f" {visible(row.new, 200)}:" if len({one.new for one in result.rows}) > 1 else ""
        head = Text(f"gate {decision.outcome}", OUTCOME_STYLES[decision.outcome])
        console.print(head + Text(f"{whose} {visible(decision.reasons[0], 600)}"), soft_wrap=True)
        for reason in decision.reasons[1:]:
            _say(console, f"  {visible(reason, 600)}", "dim")


def _print_one(comparison: Mapping[str, Any], name: str, console: Console, *, several: bool) -> None:
    head = f"{comparison['task']}, judge {comparison['judge']}: NEW minus BASE, percentage points, 95 % intervals"
    _say(console, visible(head, 200), "bold")
    for word, side in (("BASE", "a"), ("NEW ", "b")):
        _say(console, f"  {word}  {visible(comparison[side]['model'], 80)}  {visible(comparison[side]['path'], 300)}")
    paired, of_a, of_b = (comparison[field] for field in ("n_paired", "n_a", "n_b"))
    _say(console, f"  {paired} sessions paired of {of_a} in BASE and {of_b} in NEW")
    for words, ids in unmatched(comparison):
        _say(console, f"  {len(ids)} {words}: {_some(ids)}", "yellow")
    level = comparison["level"]
    console.print(_table(name if several else "all sessions", blocks(comparison["metrics"], level), several=several))
    if not several:
        tracks = comparison["tracks"] if len(comparison["tracks"]) > 1 else {}
        for track, metrics in tracks.items():
            console.print(_table(f"track {visible(track, 40)}", blocks(metrics, level)))
        if comparison["edit_types"]:
            console.print(_table("success by edit type", edit_types(comparison)))
    flipped = comparison["flipped"]
    _say(console, f"Turn success at the last turn, {flipped['n']} of {flipped['of']} sessions determined in both:")
    for way, style in (("gained", "green"), ("lost", "red")):
        _say(console, f"  {len(flipped[way])} {way}: {_some(flipped[way]) or '-'}", style)


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style), soft_wrap=True)


def _some(ids: Sequence[str]) -> str:
    """The first few ids; --json has all."""
    more = ", ... (all with --json)" if len(ids) > _IDS_SHOWN else ""
    return ", ".join(visible(name, 60) for name in ids[:_IDS_SHOWN]) + more


def _table(title: str, found: Iterable[Block], *, several: bool = False) -> Table:
    table = Table(title=Text(title, "bold"), title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("", "turn"):
        table.add_column(name, no_wrap=True)
    for name in ("base", "new", "change", "interval", "p", *(["Holm"] if several else []), "MDE", "n"):
        table.add_column(name, justify="right", no_wrap=True)
    for block in found:
        for place, line in enumerate(block.lines):
            style = _STYLES[line.mood]
            adjusted = [(p_value(line.p_holm), style)] if several else []
            row = [
                (block.name if place == 0 else "", ""),
                (line.turn or "all", ""),
                (f"{line.base:.1f}", ""),
                (f"{line.new:.1f}", ""),
                (f"{signed(line.difference)}{'*' if style else ' '}", style),
                (line.ends, style),
                (p_value(line.p), style if not several else ""),
                *adjusted,
                ("" if line.mde is None else f"{line.mde:.1f}", ""),
                (line.counted, "yellow" if line.n < line.of else ""),
            ]
            table.add_row(*(Text(*one) for one in row))
    return table
