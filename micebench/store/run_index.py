"""What a run already has, in a few bytes per unit: journals are streamed, never held.

Rows are (session, repeat) in session order, repeats of one session side by side; units are rows x turns
(x metrics), row-major. Flat byte arrays keep 5,000 sessions within a few MB.
"""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from micebench.errors import RunError
from micebench.store.forms import check_verdict
from micebench.store.journal import damaged, line_number, parse_line, read_journal
from micebench.store.keys import EditCause, verdict_key
from micebench.store.records import EditRecord, VerdictRecord
from micebench.store.run_dir import RunDir
from micebench.store.session_records import read_sessions, row_hash
from micebench.verdicts import Status, is_known_metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")
MISSING, OK, FAILED, REFUSED = 0, 1, 2, 3
"""State of an edit."""
_STATE_OF = {"ok": OK, "failed": FAILED, "refused": REFUSED}
STATUSES: tuple[Status, ...] = tuple(Status)
_CODES = {status.value: number for number, status in enumerate(STATUSES, start=1)}
_HASH = 32


class SessionIndex:
    """The sessions of ``sessions.jsonl``: ids, numbers of turns, hashes, and where their lines are."""

    def __init__(self, path: Path) -> None:
        """Stream the file once.

        Raises:
            RunError: a damaged line, or an id that occurs twice.
        """
        self.path = path
        self.ids: list[str] = []
        self.position: dict[str, int] = {}
        self.turns = array("H")
        self._offsets = array("q")
        self._rows = bytearray()
        self._sources = bytearray()
        for offset, line in read_sessions(path):
            self._add(offset, line)

    def _add(self, offset: int, line: Mapping[str, Any]) -> None:
        """Index one more line, which starts at byte `offset`."""
        self.position[line["id"]] = len(self.ids)
        self.ids.append(line["id"])
        self.turns.append(len(line["turns"]))
        self._offsets.append(offset)
        self._rows += bytes.fromhex(row_hash(line))
        self._sources += bytes.fromhex(line["image"] or "") or bytes(_HASH)

    def __len__(self) -> int:
        return len(self.ids)

    def row_hash(self, session: int) -> str:
        return self._rows[session * _HASH : (session + 1) * _HASH].hex()

    def source(self, session: int) -> str | None:
        """sha256 of the source image's PNG; None if it could not be read."""
        digest = self._sources[session * _HASH : (session + 1) * _HASH]
        return digest.hex() if any(digest) else None

    def lines(self, sessions: Sequence[int]) -> Iterator[dict[str, Any]]:
        """The lines of these sessions, in the order asked for."""
        with open(self.path, "rb") as file:
            for session in sessions:
                file.seek(self._offsets[session])
                yield parse_line(file.readline(), self.path, session + 1)


class EditIndex:
    """State, key and image of every edit. The last line about an edit wins.

    Attributes:
        reasons, refusals: (row, turn) -> why, of the failed and of the refused edits.
    """

    def __init__(self, sessions: SessionIndex, cause: EditCause, repeats: int, turns: int) -> None:
        self.sessions = sessions
        self.cause = cause
        self.repeats = repeats
        self.turns = turns
        longest = max(range(len(sessions)), key=sessions.turns.__getitem__, default=0)
        if len(sessions) and sessions.turns[longest] > turns:
            raise RunError(
                f"{sessions.path}:{longest + 1}: session {sessions.ids[longest]!r} has {sessions.turns[longest]} "
                f"turns, but manifest.json says at most {turns}; restore both files from a copy"
            )
        self.rows = len(sessions) * repeats
        units = self.rows * turns
        self._state = bytearray(units)
        self._keys = bytearray(units * _HASH)
        self._images = bytearray(units * _HASH)
        self._offsets = array("q", [-1]) * units
        self._files = bytearray(units)
        self._paths: list[Path] = []
        self.reasons: dict[tuple[int, int], str] = {}
        self.refusals: dict[tuple[int, int], str] = {}

    def load(self, run: RunDir) -> None:
        """Read the journals; what was made from another cause than today's is not taken over.

        Raises:
            RunError: a damaged line, or one about a session the run does not have.
        """
        for path in run.edit_journals():
            for number, (offset, line) in enumerate(read_journal(path), start=1):
                try:
                    record = EditRecord.from_line(line)
                    if len(record.key) != 2 * _HASH:
                        raise ValueError(f"key: expected {2 * _HASH} hexadecimal digits")
                    row = self.row_of(record.session, record.repeat, record.turn)
                except ValueError as error:
                    raise damaged(path, number, "edit line", error) from error
                self.record(row, record, (path, offset))
        self._drop_stale()

    def row_of(self, session: str, repeat: int, turn: int) -> int:
        """The row of a session's repeat. Raises ValueError, in one line: the run has no such edit."""
        position = self.sessions.position.get(session)
        if position is None:
            raise ValueError(f"session {session[:80]!r} is not in sessions.jsonl")
        if repeat >= self.repeats:
            raise ValueError(f"repeat is {repeat}, but the run has {self.repeats}, from 0")
        if turn > self.sessions.turns[position]:
            raise ValueError(f"turn is {turn}, but session {session[:80]!r} has {self.sessions.turns[position]}")
        return position * self.repeats + repeat

    def record(self, row: int, record: EditRecord, place: tuple[Path, int]) -> None:
        """Take over one edit whose line is at `place` (file, byte offset)."""
        unit = row * self.turns + record.turn - 1
        hashes = slice(unit * _HASH, (unit + 1) * _HASH)
        state = _STATE_OF[record.status]
        self._state[unit] = state
        self._keys[hashes] = bytes.fromhex(record.key)
        self._images[hashes] = bytes.fromhex(record.image) if record.image else bytes(_HASH)
        path, self._offsets[unit] = place
        if path not in self._paths:
            self._paths.append(path)
        self._files[unit] = self._paths.index(path)
        for kept, of in ((self.reasons, FAILED), (self.refusals, REFUSED)):
            if state == of:
                kept[row, record.turn] = record.reason
            else:
                kept.pop((row, record.turn), None)

    def _drop_stale(self) -> None:
        for row in range(self.rows):
            session = row // self.repeats
            for turn in range(1, self.sessions.turns[session] + 1):
                state = self.state(row, turn)
                if state != MISSING and self.expected_key(row, turn) != self.key(row, turn):
                    self.forget(row, turn)

    def expected_key(self, row: int, turn: int) -> str | None:
        """The key this edit has today; None while what it is made from does not exist."""
        session, repeat = divmod(row, self.repeats)
        previous = [self.image(row, earlier) for earlier in self.inputs(turn)]
        source = self.sessions.source(session)
        if any(image is None for image in previous):
            return None
        return self.cause.edit_key(
            self.sessions.row_hash(session), source or "", repeat, turn, [image or "" for image in previous]
        )

    def inputs(self, turn: int) -> range:
        """The earlier turns whose outputs an edit of this turn is made from."""
        return {"last": range(max(1, turn - 1), turn), "history": range(1, turn), "composed": range(0)}[
            self.cause.context
        ]

    def state(self, row: int, turn: int) -> int:
        """MISSING, OK, FAILED or REFUSED."""
        return self._state[row * self.turns + turn - 1]

    def wanted(self, row: int) -> range:
        """The turns of a row that are to have an image: all of them, or those before a refusal."""
        turns = range(1, self.sessions.turns[row // self.repeats] + 1)
        return next((turns[: turn - 1] for turn in turns if self.state(row, turn) == REFUSED), turns)

    def counts(self) -> dict[str, int]:
        """Edits by status; ``unreached``: never asked for, because an earlier one of their session has no image."""
        planned = sum(self.sessions.turns) * self.repeats
        made = {name: self._state.count(state) for name, state in _STATE_OF.items()}
        return made | {"unreached": planned - sum(made.values())}

    def key(self, row: int, turn: int) -> str:
        unit = row * self.turns + turn - 1
        return self._keys[unit * _HASH : (unit + 1) * _HASH].hex()

    def image(self, row: int, turn: int) -> str | None:
        """sha256 of the output's PNG; None unless the edit is OK."""
        unit = row * self.turns + turn - 1
        if self._state[unit] != OK:
            return None
        return self._images[unit * _HASH : (unit + 1) * _HASH].hex()

    def forget(self, row: int, turn: int) -> None:
        """Treat an edit as not made."""
        self._state[row * self.turns + turn - 1] = MISSING
        self.reasons.pop((row, turn), None)
        self.refusals.pop((row, turn), None)

    def records(self) -> Iterator[EditRecord]:
        """The valid edits in canonical order, read back from the journals."""
        files: list[BinaryIO] = [open(path, "rb") for path in self._paths]  # noqa: SIM115 (closed below)
        try:
            for unit, state in enumerate(self._state):
                if state == MISSING:
                    continue
                number = self._files[unit]
                yield _parsed(EditRecord.from_line, files[number], self._offsets[unit], self._paths[number])
        finally:
            for file in files:
                file.close()


class VerdictIndex:
    """Status and value of every verdict of one judge. The last line about a verdict wins."""

    def __init__(self, edits: EditIndex, judge_hash: str, metrics: Sequence[str], path: Path) -> None:
        self.edits = edits
        self.judge_hash = judge_hash
        self.metrics = tuple(metrics)
        self.path = path
        self._column = {metric: column for column, metric in enumerate(self.metrics)}
        units = edits.rows * edits.turns * len(self.metrics)
        self._status = bytearray(units)  # 0: none; else 1 + index into STATUSES
        self._values = array("d", [0.0]) * units
        self._offsets = array("q", [-1]) * units

    def load(self) -> None:
        """Read the journal; verdicts about other images or by another judge card are not taken over.

        Raises:
            RunError: a damaged line.
        """
        for number, (offset, line) in enumerate(read_journal(self.path), start=1):
            try:
                self._take(line, offset)
            except ValueError as error:
                raise damaged(self.path, number, "verdict line", error) from error

    def _take(self, line: Mapping[str, Any], offset: int) -> None:
        """Take over a journal line, if it is about an edit of today. Raises ValueError: a damaged line."""
        check_verdict(line)
        turn, metric, value = line["turn"], line["metric"], line["value"]
        row = self.edits.row_of(line["session"], line["repeat"], turn)
        if metric not in self._column:
            if not is_known_metric(metric):
                raise ValueError(f"unknown metric {metric[:40]!r}")
            return
        if line["key"] != self.expected_key(row, turn, metric):
            return
        status = STATUSES[_CODES[line["status"]] - 1]
        if self.status(row, turn, metric) == Status.OK:
            before = self.value(row, turn, metric)
            if (status, value) != (Status.OK, before):
                raise ValueError(f"an earlier line gives the same verdict the value {before!r}")
        self.record(row, turn, metric, (status, value), offset)

    def expected_key(self, row: int, turn: int, metric: str) -> str | None:
        """The key this verdict has today; None where there is no image to judge."""
        image = self.edits.image(row, turn)
        if image is None:
            return None
        return verdict_key(self.edits.key(row, turn), image, self.judge_hash, metric)

    def record(self, row: int, turn: int, metric: str, answer: tuple[Status, float | None], offset: int) -> None:
        """Take over one verdict whose line starts at byte `offset`."""
        unit = self._unit(row, turn, metric)
        status, value = answer
        self._status[unit] = _CODES[status]
        self._values[unit] = 0.0 if value is None else value
        self._offsets[unit] = offset

    def forget(self, row: int, turn: int) -> None:
        """Treat an edit as not judged."""
        for metric in self.metrics:
            self._status[self._unit(row, turn, metric)] = 0

    def status(self, row: int, turn: int, metric: str) -> Status | None:
        """None: never judged, or no image."""
        code = self._status[self._unit(row, turn, metric)]
        return STATUSES[code - 1] if code else None

    def value(self, row: int, turn: int, metric: str) -> float:
        """The value; 0.0 where the status is not ``ok``."""
        return self._values[self._unit(row, turn, metric)]

    def next_attempt(self, row: int, turn: int, metric: str) -> int:
        """How often the question was put and the reply could not be read; an outage does not count."""
        unit = self._unit(row, turn, metric)
        if not self._status[unit]:
            return 0
        with open(self.path, "rb") as file:
            record = _parsed(VerdictRecord.from_line, file, self._offsets[unit], self.path)
        return record.attempt + (record.status == Status.UNPARSED)

    def arrays(self) -> "tuple[NDArray[np.uint8], NDArray[np.float64]]":
        """(status, value), each (rows, turns, metrics). Status 0: none; else 1 + index into STATUSES."""
        import numpy as np

        shape = (self.edits.rows, self.edits.turns, len(self.metrics))
        return (
            np.frombuffer(self._status, dtype=np.uint8).reshape(shape),
            np.frombuffer(self._values, dtype=np.float64).reshape(shape),
        )

    def records(self) -> Iterator[VerdictRecord]:
        """The valid verdicts in canonical order (row, turn, metric), read back from the journal."""
        return self._read_back(VerdictRecord.from_line)

    def lines(self) -> Iterator[dict[str, Any]]:
        """The journal lines of `records`."""
        return self._read_back(dict)

    def _read_back(self, parse: Callable[[dict[str, Any]], T]) -> Iterator[T]:
        if not self.path.exists():
            return
        with open(self.path, "rb") as file:
            for unit, code in enumerate(self._status):
                if code:
                    yield _parsed(parse, file, self._offsets[unit], self.path)

    def _unit(self, row: int, turn: int, metric: str) -> int:
        return (row * self.edits.turns + turn - 1) * len(self.metrics) + self._column[metric]


def _parsed(parse: Callable[[dict[str, Any]], T], file: BinaryIO, offset: int, path: Path) -> T:
    """The line at an offset. It was whole when it was indexed: RunError if the file has changed since."""
    if file.tell() != offset:
        file.seek(offset)
    line = parse_line(file.readline(), path)
    try:
        return parse(line)
    except ValueError as error:
        raise damaged(path, line_number(path, offset), "line", error) from error
