"""Tables of the leaderboard: which results may stand beside each other, in which columns, at which places."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from micebench.errors import DataError
from micebench.leaderboard.results import Accepted
from micebench.metrics.ranks import PseudoValues, RankRange, rank_ranges
from micebench.report.formatting import plural, visible
from micebench.report.summary_columns import Column, chosen_columns, ranked_by
from micebench.report.tables import Cell
from micebench.submission.card_checks import NOT_PROVED
from micebench.submission.standing import Standing

if TYPE_CHECKING:
    from micebench.store.manifest import Manifest


@dataclass(frozen=True)
class Entry:
    """An accepted submission with what ranking needs of its bundle."""

    result: Accepted
    manifest: "Manifest"
    values: PseudoValues | None
    standing: Standing | None = None

    @cached_property
    def name(self) -> str:
        checks = self.result.verification.checks
        proved = not any(one.check == "model" and NOT_PROVED in one.detail for one in checks)
        return visible(self.result.verification.name, 80) + ("" if proved else " (name not proved)")


@dataclass(frozen=True)
class Line:
    """A row.

    Attributes:
        place: None where the number that the board ranks by does not exist.
        bound: that number with every missing verdict at its worst, in percent, by which the row is ranked.
    """

    entry: Entry
    cells: tuple[Cell, ...]
    place: RankRange | None
    bound: float | None

    @property
    def missing(self) -> str:
        """``"12 verdicts of 3 sessions missing"``; "" where none is."""
        stands = self.entry.standing
        if stands is None or not stands.missing_verdicts:
            return ""
        return f"{plural(stands.missing_verdicts, 'verdict')} of {plural(stands.missing_sessions, 'session')} missing"

    @property
    def rank(self) -> str:
        return rank_words(self.place)


@dataclass(frozen=True)
class Board:
    """Results that were made by one version of a task and scored by one version of a judge.

    The first of `columns` is the one ranked by; `lines` are sorted by its bound, the best first. `card` is the
    beginning of the judge card's hash where a task has boards of several versions of one judge, else "".
    """

    task: str
    judge: str
    card: str
    sessions: int
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]

    @property
    def key(self) -> str:
        """Anchor on the page."""
        return "-".join(part for part in (self.task, self.judge, self.card) if part)


def rank_words(place: RankRange | None) -> str:
    """``"1"``, ``"2–4"``; an en dash for none."""
    if place is None:
        return "–"
    return str(place.best) if place.best == place.worst else f"{place.best}–{place.worst}"


def boards(entries: Iterable[Entry]) -> list[Board]:
    """The boards of all entries, by task, judge and the judge card's hash.

    Raises:
        DataError: results that should share their sessions do not.
    """
    groups: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
    for entry in entries:
        manifest = entry.manifest
        key = (manifest.task, manifest.judge or "", manifest.judge_hash or "", manifest.task_hash)
        groups[key].append(entry)
    named = [key[:2] for key in groups]
    found: list[Board] = []
    for key in sorted(groups):
        several = named.count(key[:2]) > 1
        found.append(_board(groups[key], f"{key[2][:8]}{key[3][:4]}" if several else ""))
    return found


def _board(entries: Sequence[Entry], card: str) -> Board:
    summaries = [entry.result.summary for entry in entries]
    columns = chosen_columns(summaries)
    first = columns[0]
    ranked = [entry for entry in entries if entry.values is not None and ranked_by(entry.result.summary) == first]
    for one in ranked:
        _check_same_sessions(ranked[0], one)
    places = dict(
        zip(
            (entry.result.slug for entry in ranked),
            rank_ranges([entry.values for entry in ranked if entry.values], lower_is_better=first.lower_is_better),
            strict=True,
        )
    )
    lines = [
        Line(
            entry,
            tuple(column.of(entry.result.summary) for column in columns),
            places.get(entry.result.slug),
            first.bound_of(entry.result.summary),
        )
        for entry in entries
    ]
    manifest = entries[0].manifest
    return Board(
        task=manifest.task,
        judge=manifest.judge or "",
        card=card,
        sessions=manifest.n_sessions,
        columns=columns,
        lines=tuple(sorted(lines, key=lambda line: _order(line, first))),
    )


def _order(line: Line, column: Column) -> tuple[bool, float, str]:
    if line.cells[0].value is None or line.bound is None:
        return True, 0.0, line.entry.result.slug
    return False, line.bound if column.lower_is_better else -line.bound, line.entry.result.slug


def _check_same_sessions(first: Entry, other: Entry) -> None:
    if first.values is None or other.values is None or first.values.ids == other.values.ids:
        return
    raise DataError(
        f"{other.result.folder}: not the sessions of {first.result.folder}, although both are of task "
        f"{first.manifest.task!r}; verify both again with the task's data"
    )
