"""A comparison as Markdown for the summary page of a CI job."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from micebench.comparison.flips import Loss
from micebench.comparison.lines import Line, blocks, names, signed, unmatched
from micebench.comparison.multi_run import GateResult
from micebench.report.formatting import p_value, plural, visible
from micebench.store.journal import write_error

_MARKS = {"passed": "✅", "regressed": "❌", "incomplete": "⚠️", "drifted": "⚠️"}
_MOODS = {"better": "▲", "worse": "▼", "": ""}
_LIMIT = 900_000  # bytes; GitHub refuses a summary of more than 1 MiB


def append_summary(
    path: Path,
    comparisons: Sequence[Mapping[str, Any]],
    gate: GateResult | None,
    lost: Mapping[str, Sequence[Loss]],
) -> None:
    """Append `job_summary` to a file, as the steps of a job do. Raises RunError if the disk refuses."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(job_summary(comparisons, gate, lost))
    except OSError as error:
        raise write_error(path, error) from error


def job_summary(
    comparisons: Sequence[Mapping[str, Any]], gate: GateResult | None, lost: Mapping[str, Sequence[Loss]]
) -> str:
    """Decisions first, then each comparison's numbers and its worst sessions (by path of the new run).

    Nothing of a run is markup: its words are escaped.
    """
    parts = _decisions(gate) if gate is not None else []
    base, *new = names(comparisons) or [""]
    for comparison, name in zip(comparisons, new, strict=True):
        title = f"{words(name, 100)} against {words(base, 100)} on {words(comparison['task'], 80)}"
        parts += _one(comparison, title, lost.get(comparison["b"]["path"], ()), several=len(comparisons) > 1)
    text = "\n".join(parts) + "\n"
    if len(text.encode()) <= _LIMIT:
        return text
    return text.encode()[:_LIMIT].decode("utf-8", "ignore").rpartition("\n")[0] + "\n\n(cut: too long)\n"


def _decisions(gate: GateResult) -> list[str]:
    found = [f"## {_MARKS[gate.decision.outcome]} micebench gate: {gate.decision.outcome}", ""]
    for row in gate.rows:
        first, *rest = (words(reason, 600) for reason in row.decision.reasons)
        whose = f" {words(str(row.new), 200)}:" if len(gate.rows) > 1 else ""
        found.append(f"- {_MARKS[row.decision.outcome]}{whose} {first}")
        found += [f"  - {reason}" for reason in rest]
    return [*found, ""]


def _one(comparison: Mapping[str, Any], title: str, lost: Sequence[Loss], *, several: bool) -> list[str]:
    found = [
        f"### {title}",
        "",
        f"{plural(comparison['n_paired'], 'session')} paired, judge {words(comparison['judge'], 80)}; percentage "
        "points with 95 % intervals; MDE is what this many sessions find in 80 of 100 cases.",
        "",
        *(f"- ⚠️ {plural(len(ids), 'session')} {said}" for said, ids in unmatched(comparison)),
        "",
        *_table(comparison, several=several),
        "",
    ]
    flipped = comparison["flipped"]
    found += [f"{plural(len(flipped['lost']), 'session')} lost, {len(flipped['gained']):,} gained.", ""]
    if lost:
        head = f"<details><summary>The {plural(len(lost), 'lost session')}, worst first</summary>"
        found += [head, "", *map(_lost, lost), "", "</details>", ""]
    return found


def _table(comparison: Mapping[str, Any], *, several: bool) -> list[str]:
    holm = " Holm |" if several else ""
    found = [
        f"| metric | turn | base | new | change | interval | p |{holm} MDE | n |",
        f"|---|--:|--:|--:|--:|--:|--:|{'--:|' if several else ''}--:|--:|",
    ]
    for block in blocks(comparison["metrics"], comparison["level"]):
        found += [
            _row(block.name if place == 0 else "", line, several=several) for place, line in enumerate(block.lines)
        ]
    return found


def _row(name: str, line: Line, *, several: bool) -> str:
    change = f"{_MOODS[line.mood]} {signed(line.difference)}".strip()
    cells = [
        words(name, 60),
        line.turn,
        f"{line.base:.1f}",
        f"{line.new:.1f}",
        f"**{change}**" if line.mood else change,
        line.ends,
        p_value(line.p).replace("<", "&lt;"),
        *([p_value(line.p_holm).replace("<", "&lt;")] if several else []),
        "" if line.mde is None else f"{line.mde:.1f}",
        line.counted,
    ]
    return f"| {' | '.join(cells)} |"


def _lost(loss: Loss) -> str:
    where = f" turn {loss.turn}: {words(loss.instruction, 300)}" if loss.turn else ""
    return f"1. **{words(loss.session, 120)}**{where}" + (f" — *{words(loss.reason, 300)}*" if loss.reason else "")


def words(text: object, limit: int) -> str:
    """Text of a run that Markdown and HTML take for text: no markup, link or table cell comes of it."""
    shown = visible(text, limit)
    return re.sub(r"[^\w\s.,;:%+×'–—…-]|_|\.(?=[^\W\d])", lambda found: f"&#{ord(found.group())};", shown)
