"""A board as a Markdown table, and its place in a README."""

import re
from collections.abc import Sequence
from pathlib import Path

from micebench.errors import DataError
from micebench.leaderboard.ranking import Board, Line
from micebench.report.formatting import interval, number, visible
from micebench.report.markdown import table as markdown_table
from micebench.report.tables import Cell
from micebench.store.manifest import write_atomically
from micebench.submission.verify import NO_JUDGE

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&$@:/])")
MARKS = {"verified": "verified here", "self-reported": f"self-reported ({NO_JUDGE})"}
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")


def markdown(task: str, boards: Sequence[Board]) -> str:
    """The boards of a task as Markdown, without a newline at the end; "" where nothing is accepted."""
    return "\n\n".join(_table(board, titled=len(boards) > 1) for board in boards if board.task == task)


def written(text: str, task: str, table: str) -> str:
    """`text` with what stands between the markers of `task` replaced by `table`.

    Raises:
        DataError: the markers are not there exactly once each, in order.
    """
    start, end = f"<!-- leaderboard:{task} -->", f"<!-- /leaderboard:{task} -->"
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise DataError(f"write {start} and {end} once each, on lines of their own, around the place of the table")
    head, tail = text.split(start)[0], text.split(end)[1]
    return f"{head}{start}\n{table}\n{end}{tail}"


def write_into(path: Path, task: str, table: str) -> bool:
    """Replace the table between the markers of `task` in a file; returns whether the file changed.

    Raises:
        DataError: the file cannot be read, or lacks the markers.
    """
    try:
        old = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    try:
        new = written(old, task, table)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if new != old:
        write_atomically(path, new.encode())
    return new != old


def _table(board: Board, *, titled: bool) -> str:
    columns = [column.title + (" (lower is better)" if column.lower_is_better else "") for column in board.columns]
    head = ["rank", "model", *(title[:1].lower() + title[1:] for title in columns), "mark"]
    rows: list[list[str]] = []
    for line in board.lines:
        mark = MARKS[line.entry.result.verification.mark]
        first = _bounded(line, board.columns[0].lower_is_better) if line.missing else _cell(line.cells[0])
        rows.append([line.rank, _escaped(line.entry.name), first, *map(_cell, line.cells[1:]), mark])
    table = markdown_table(head, rows, rule="---")
    judged = f" (card {board.card})" if board.card else ""
    return f"Judged by {_escaped(visible(board.judge, 80))}{judged}:\n\n{table}" if titled else table


def _bounded(line: Line, lower_is_better: bool) -> str:
    """The number ranked by where verdicts are missing: its bound, then the value over what was scored."""
    sign = "≤" if lower_is_better else "≥"
    return f"{sign} {number(line.bound)} ({_cell(line.cells[0])} over what was scored; {line.missing})"


def _cell(one: Cell) -> str:
    if one.value is None:
        return "–"
    ends = interval(one.low, one.high)
    scored = "" if one.full else f", {one.n}/{one.of}"
    return f"{number(one.value)} ({ends}{scored})" if ends else number(one.value)


def _escaped(name: str) -> str:
    """A name that is only a name in Markdown: no link, no emphasis, no tag, no mention."""
    return (
        name if _PLAIN.fullmatch(name) else _SPECIAL.sub(r"\\\1", name).replace("\\<", "&lt;").replace("\\>", "&gt;")
    )
