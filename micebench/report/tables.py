"""summary.json as tables: one model that the terminal and the page both draw, so they cannot disagree."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from micebench.instructions import EDIT_TYPES
from micebench.report.formatting import JUDGED_BY, LABELS, LEGITIMATE, MEANINGS, STATUS_WORDS, label, visible
from micebench.sessions import TRACKS
from micebench.verdicts import instruction_asked

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cell:
    """One number in percent with its 95 % interval, how many of how many were scored, and its bounds."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    of: int = 0
    at_least: float | None = None
    at_most: float | None = None

    @property
    def empty(self) -> bool:
        """Nothing is known: no value, no bounds."""
        return self.value is None and self.at_least is None

    @property
    def full(self) -> bool:
        return self.n == self.of

    @property
    def bounded(self) -> bool:
        """Whether missing verdicts leave room for another value."""
        return self.at_least is not None and self.at_most is not None and self.at_most - self.at_least > 1e-9


@dataclass(frozen=True, slots=True)
class Row:
    """A labelled line; `group` is set on the rows of a table that has headings inside."""

    label: str
    cells: tuple[Cell, ...]
    group: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows over columns. `key` is its anchor on the page."""

    key: str
    title: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """A kind of verdict that is not fully scored.

    Attributes:
        counts: (status in words, count), without ``ok`` and zeros.
        consequence: what it means for the numbers, in one sentence.
        harmless: True if every absence is one the protocol itself provides for.
    """

    metric: str
    ok: int
    total: int
    counts: tuple[tuple[str, int], ...]
    consequence: str
    harmless: bool


def turn_numbers(summary: Mapping[str, Any]) -> list[str]:
    """All turns of the summary as strings, in numeric order."""
    turns = {turn for by_turn in summary["metrics"].values() for turn in by_turn}
    return sorted(turns, key=int)


def cell(entry: Entry | None) -> Cell:
    """An entry of summary.json; an absent one is an empty cell."""
    if not entry:
        return Cell()
    value, low, high = entry.get("value"), entry.get("low"), entry.get("high")
    n, of = int(entry.get("n") or 0), int(entry.get("of") or 0)
    return Cell(value, low, high, n, of, entry.get("at_least"), entry.get("at_most"))


def overall_table(summary: Mapping[str, Any]) -> Table:
    """All metrics by turn."""
    turns = turn_numbers(summary)
    rows = tuple(
        Row(label(name), _cells(summary["metrics"][name], turns), hint=MEANINGS.get(name, ""))
        for name in _judged(summary)
    )
    return Table("overall", "By turn", "metric", _turn_columns(turns), rows)


def track_table(summary: Mapping[str, Any]) -> Table | None:
    """All metrics by track and turn, grouped by metric; None where there is one track or none."""
    tracks: Mapping[str, Any] = summary.get("tracks") or {}
    if len(tracks) < 2:
        return None
    turns = turn_numbers(summary)
    rows = tuple(
        Row(visible(track, 40), _cells(tracks[track].get(name, {}), turns), group=label(name))
        for name in _judged(summary)
        for track in _ordered(tracks, TRACKS)
    )
    return Table("tracks", "By track", "track", _turn_columns(turns), rows)


def split_groups(table: Table | None) -> list[Table]:
    """One table per group of `table`, titled by it."""
    if table is None:
        return []
    return [
        replace(table, key=f"{table.key}-{place}", title=group, rows=tuple(rows))
        for place, (group, rows) in enumerate(groupby(table.rows, key=lambda row: row.group))
    ]


def edit_type_table(summary: Mapping[str, Any]) -> Table | None:
    """Success per edit type, over all turns and by turn; None where the benchmark has no edit types."""
    totals: Mapping[str, Entry] = summary.get("edit_types") or {}
    if not totals:
        return None
    by_turn: Mapping[str, Mapping[str, Entry]] = summary.get("edit_types_by_turn") or {}
    turns = turn_numbers(summary)
    rows = tuple(
        Row(visible(kind, 40), (cell(totals[kind]), *_cells(by_turn.get(kind, {}), turns)))
        for kind in _ordered(totals, EDIT_TYPES)
    )
    columns = ("all turns", *_turn_columns(turns))
    return Table("edit-types", "Success by edit type", "edit type", columns, rows)


def bounds_table(summary: Mapping[str, Any]) -> Table | None:
    """Only the numbers that missing verdicts could still move; None where nothing is missing."""
    turns = turn_numbers(summary)
    rows: list[Row] = []
    for name in _judged(summary):
        cells = _cells(summary["metrics"][name], turns)
        if any(one.bounded for one in cells):
            rows.append(Row(label(name), cells))
    if not rows:
        return None
    return Table("bounds", "Bounds", "metric", _turn_columns(turns), tuple(rows))


def first_failures(summary: Mapping[str, Any]) -> list[tuple[str, int, float]]:
    """(label, sessions, share in percent) of where sessions first fail; "no failure" follows the turns."""
    counts: Mapping[str, int] = summary.get("first_failure") or {}
    total = sum(counts.values())
    words = {"none": "no failure", "undetermined": "undetermined"}
    turns = sorted((key for key in counts if key not in words), key=int)
    keys = [*turns, "none", *(["undetermined"] if counts.get("undetermined") else [])]
    return [
        (words.get(key, f"turn {key}"), counts.get(key, 0), 100 * counts.get(key, 0) / max(total, 1)) for key in keys
    ]


def gaps(summary: Mapping[str, Any]) -> list[Gap]:
    """The kinds of verdict that are not all ``ok``, in summary.json's order."""
    found: list[Gap] = []
    for metric, by_status in (summary.get("coverage") or {}).items():
        lacking = {status: count for status, count in by_status.items() if status != "ok" and count}
        if not lacking:
            continue
        unplanned = sum(count for status, count in lacking.items() if status not in LEGITIMATE)
        ok = by_status.get("ok", 0)
        found.append(
            Gap(
                metric=visible(metric, 40),
                ok=ok,
                total=ok + sum(lacking.values()),
                counts=tuple((_word(status), int(count)) for status, count in lacking.items()),
                consequence=_consequence(metric, ok, unplanned),
                harmless=unplanned == 0,
            )
        )
    return found


def _word(status: str) -> str:
    return STATUS_WORDS.get(status) or visible(status, 40)


def _consequence(metric: str, ok: int, unplanned: int) -> str:
    if instruction_asked(metric):
        touched = [LABELS["turn_success"].lower(), LABELS["overall"].lower()]
    else:
        touched = [LABELS[name].lower() for name, sources in JUDGED_BY.items() if metric in sources]
    parts = [", ".join(touched[:-1]), touched[-1]] if touched[1:] else touched
    listed = " and ".join(parts) or "no number here"
    if not ok:
        return f"no value for {listed}"
    if not unplanned:
        return "left out of the means by the protocol"
    return f"affects {listed}, see bounds"


def _judged(summary: Mapping[str, Any]) -> list[str]:
    """The metrics that the run's judge was asked about, in reading order."""
    metrics: Mapping[str, Mapping[str, Entry]] = summary["metrics"]
    return [
        name for name in _ordered(metrics, LABELS) if not all(cell(entry).empty for entry in metrics[name].values())
    ]


def _turn_columns(turns: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"turn {turn}" for turn in turns)


def _cells(by_turn: Mapping[str, Entry], turns: Iterable[str]) -> tuple[Cell, ...]:
    return tuple(cell(by_turn.get(turn)) for turn in turns)


def _ordered(names: Iterable[str], preferred: Iterable[str]) -> list[str]:
    present = list(names)
    known = [name for name in preferred if name in present]
    return [*known, *sorted(name for name in present if name not in known)]
