"""The verdicts of one run as arrays: one row per session and repeat, one column per turn."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micebench.verdicts import Status

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
