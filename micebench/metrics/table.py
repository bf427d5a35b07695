"""The verdicts of one run as arrays: one row per session and repeat, one column per turn."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micebench.errors import DataError
from micebench.verdicts import METRICS, Status

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

STATUS_CODES: tuple[str, ...] = (*(status.value for status in Status), "missing")
"""Status of a verdict by its int8 code in `VerdictTable.status`."""
OK = STATUS_CODES.index(Status.OK.value)
MISSING = STATUS_CODES.index("missing")
"""Never judged, or no image to judge; also fills the turns a shorter session does not have."""
UNKNOWN: tuple[int, ...] = tuple(STATUS_CODES.index(s) for s in ("unparsed", "refused", "error", "missing"))
"""A value exists in principle, but nobody knows it: what the bounds at_least and at_most are about."""


@dataclass(frozen=True)
class VerdictTable:
    """Verdicts of R = sessions x repeats rows and T turns.

    Attributes:
        sessions: (R,) str, session ids; the repeats of one session share it and form one statistical cluster.
        tracks: (R,) str.
        edit_types: (R, T) str, "" where unknown.
        turns: (R,) int, number of turns of that session, 1..T.
        values: metric -> (R, T) float64 in [0, 1]; 0.0 wherever the status is not ``ok``.
        status: metric -> (R, T) int8, codes into STATUS_CODES; MISSING beyond a session's last turn.

    Raises:
        ValueError: shapes, codes, values or tracks that contradict each other.
    """

    sessions: NDArray[Any]
    tracks: NDArray[Any]
    edit_types: NDArray[Any]
    turns: NDArray[Any]
    values: dict[str, FloatArray]
    status: dict[str, NDArray[np.int8]]

    def __post_init__(self) -> None:
        if self.edit_types.ndim != 2:
            raise ValueError(f"edit_types has shape {self.edit_types.shape}, expected (rows, turns)")
        rows, width = self.edit_types.shape
        for name in ("sessions", "tracks", "turns"):
            shape = getattr(self, name).shape
            if shape != (rows,):
                raise ValueError(f"{name} has shape {shape}, expected ({rows},) as edit_types has {rows} rows")
        if rows and (self.turns.min() < 1 or self.turns.max() > width):
            raise ValueError(f"turns lies in 1..{width}, got {self.turns.min()}..{self.turns.max()}")
        if set(self.values) != set(self.status):
            raise ValueError(f"metrics of values {sorted(self.values)} and status {sorted(self.status)} differ")
        for metric in self.values:
            self._check(metric, (rows, width))

    def _check(self, metric: str, shape: tuple[int, int]) -> None:
        values, status = self.values[metric], self.status[metric]
        if values.shape != shape or status.shape != shape:
            raise ValueError(
                f"{metric}: values {values.shape} and status {status.shape}, expected both to be {shape}"
            )
        if not values.size:
            return
        if status.min() < 0 or status.max() >= len(STATUS_CODES):
            raise ValueError(f"{metric}: status codes lie in 0..{len(STATUS_CODES) - 1}")
        scored = status == OK
        if (values[~scored] != 0.0).any():
            raise ValueError(f"{metric}: a verdict that is not ok carries a value")
        if not (values.min() >= 0.0 and values.max() <= 1.0):  # also false for NaN
            raise ValueError(f"{metric}: values lie in [0, 1]")
        if (status[~self.exists] != MISSING).any():
            raise ValueError(f"{metric}: a verdict lies beyond its session's last turn")

    @property
    def rows(self) -> int:
        """R."""
        return int(self.edit_types.shape[0])

    @property
    def width(self) -> int:
        """T, the number of turns of the longest session."""
        return int(self.edit_types.shape[1])

    @property
    def exists(self) -> BoolArray:
        """(R, T): this session has this turn."""
        return np.arange(self.width)[None, :] < self.turns[:, None]

    def select(self, rows: NDArray[Any] | slice) -> "VerdictTable":
        """The same table with some rows only: an index array, a boolean mask or a slice."""
        return VerdictTable(
            self.sessions[rows],
            self.tracks[rows],
            self.edit_types[rows],
            self.turns[rows],
            {metric: array[rows] for metric, array in self.values.items()},
            {metric: array[rows] for metric, array in self.status.items()},
        )

    def track(self, name: str) -> "VerdictTable":
        """The rows of one track."""
        return self.select(self.tracks == name)


class TableBuilder:
    """Collects verdicts, in any order, into a table whose memory is fixed by the number of sessions.

    Args:
        sessions: (id, track, edit type of each turn or None where unknown), each session once.
        metrics: what the judge was asked; a metric without any verdict is then all missing.
        repeats: rows per session.

    Raises:
        DataError: a session that comes twice or has no turn; an unknown metric.
    """

    def __init__(
        self,
        sessions: Iterable[tuple[str, str, Sequence[str | None]]],
        metrics: Iterable[str],
        repeats: int = 1,
    ) -> None:
        planned = [(name, track, tuple(kind or "" for kind in kinds)) for name, track, kinds in sessions]
        self._first: dict[str, int] = {}
        for row, (name, _, kinds) in enumerate(planned):
            if name in self._first:
                raise DataError(f"session {name!r} comes twice; ids are unique within a task")
            if not kinds:
                raise DataError(f"session {name!r} has no turn")
            self._first[name] = row * repeats
        self._metrics = tuple(metrics)
        for metric in self._metrics:
            if metric not in METRICS:
                raise DataError(f"unknown metric {metric!r}; known: {', '.join(METRICS)}")
        self._repeats = repeats
        width = max((len(kinds) for _, _, kinds in planned), default=0)
        padded = [kinds + ("",) * (width - len(kinds)) for _, _, kinds in planned]
        shape = (len(planned) * repeats, width)
        self._sessions = np.repeat(np.array([name for name, _, _ in planned], dtype=np.str_), repeats)
        self._tracks = np.repeat(np.array([track for _, track, _ in planned], dtype=np.str_), repeats)
        self._types = np.repeat(np.array(padded, dtype=np.str_).reshape(len(planned), width), repeats, axis=0)
        self._turns = np.repeat(np.array([len(kinds) for _, _, kinds in planned], dtype=np.int64), repeats)
        self._values = {metric: np.zeros(shape) for metric in self._metrics}
        self._status = {metric: np.full(shape, MISSING, dtype=np.int8) for metric in self._metrics}

    def add(self, session: str, repeat: int, turn: int, metric: str, status: str, value: float | None) -> None:
        """One verdict; `repeat` counts from 0, `turn` from 1.

        A later verdict takes the place of one without a value (the judge was asked again).

        Raises:
            DataError: no such session, repeat, turn, metric or status; a value that contradicts its status;
                two different values for one edit.
        """
        place = f"verdict {metric} of session {session!r}, repeat {repeat}, turn {turn}"
        if session not in self._first:
            raise DataError(f"{place}: the run has no such session")
        row = self._first[session] + repeat
        if not 0 <= repeat < self._repeats:
            raise DataError(f"{place}: the run has repeats 0..{self._repeats - 1}")
        if not 1 <= turn <= self._turns[row]:
            raise DataError(f"{place}: the session has turns 1..{self._turns[row]}")
        if metric not in self._values:
            raise DataError(f"{place}: the judge was asked only for {', '.join(self._metrics)}")
        if status not in STATUS_CODES:
            raise DataError(f"{place}: unknown status {status!r}; known: {', '.join(STATUS_CODES)}")
        code = STATUS_CODES.index(status)
        if (code == OK) != (value is not None) or (value is not None and not 0.0 <= value <= 1.0):
            raise DataError(f"{place}: status {status!r} with value {value!r}; only ok has one, in [0, 1]")
        values, codes = self._values[metric], self._status[metric]
        if codes[row, turn - 1] == OK:
            if value is not None and value != values[row, turn - 1]:
                raise DataError(f"{place}: two values, {values[row, turn - 1]} and {value}")
            return
        values[row, turn - 1] = value or 0.0
        codes[row, turn - 1] = code

    def build(self) -> VerdictTable:
        """The table of everything added so far."""
        return VerdictTable(
            self._sessions, self._tracks, self._types, self._turns, dict(self._values), dict(self._status)
        )


def build_table(
    sessions: Iterable[tuple[str, str, Sequence[str | None]]],
    records: Iterable[tuple[str, int, int, str, str, float | None]],
    *,
    metrics: Iterable[str],
    repeats: int = 1,
) -> VerdictTable:
    """`TableBuilder` over a stream of (session, repeat, turn, metric, status, value)."""
    builder = TableBuilder(sessions, metrics, repeats)
    for record in records:
        builder.add(*record)
    return builder.build()
