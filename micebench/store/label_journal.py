"""What people said about a run's edits: ``labels/<reviewer>.jsonl``, one file each, beside the verdicts of judges.

A line is a verdict's line with three words more: whose (`judge`), whether it was given without knowledge of the
automatic verdict (`blind`), and when. A line with `seen` instead notes that the reviewer was shown the automatic
verdict about that key: what they say about it from then on is not blind.
"""

import fcntl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from micebench.store.forms import check_label, check_seen
from micebench.store.journal import Journal, damaged, read_journal, write_error
from micebench.store.manifest import now
from micebench.store.records import VerdictRecord

_OWN = ("judge", "blind", "time")
_REMEDY = "restore the file from a copy, or delete that line and label again"


@dataclass(frozen=True, slots=True)
class Label:
    """One answer of one person.

    Attributes:
        record: the verdict; its key holds the edit, the image and the reviewer.
        blind: the reviewer had not been shown the automatic verdict about this.
        time: UTC, ISO 8601.
    """

    record: VerdictRecord
    blind: bool
    time: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """The reviewer was shown the automatic verdict about this; `key` is the one a label about it has."""

    key: str
    session: str
    repeat: int
    turn: int
    metric: str


def label_path(run: Path, reviewer: str) -> Path:
    """The file of one reviewer's labels."""
    return run / "labels" / f"{reviewer}.jsonl"


def labelled_by(run: Path) -> list[str]:
    """Names of those who have labelled the run, sorted."""
    return sorted(path.stem for path in (run / "labels").glob("*.jsonl"))


def read_labels(path: Path) -> Iterator[Label | Seen]:
    """Everything in a reviewer's file, oldest first; a later label about a key replaces an earlier one.

    Raises:
        RunError: a damaged line, named by file and number.
    """
    for number, (_, line) in enumerate(read_journal(path, _REMEDY), start=1):
        try:
            yield _parsed(line)
        except ValueError as error:
            raise damaged(path, number, "label", error, _REMEDY) from error


def _parsed(line: Mapping[str, Any]) -> Label | Seen:
    """Raises ValueError, in one line: neither a label nor a note that something was seen."""
    if "seen" in line:
        check_seen(line)
        return Seen(line["seen"], line["session"], line["repeat"], line["turn"], line["metric"])
    check_label({name: value for name, value in line.items() if name in _OWN})
    record = VerdictRecord.from_line({name: value for name, value in line.items() if name not in _OWN})
    return Label(record, line["blind"], line.get("time", ""))


def append_label(path: Path, judge: str, label: Label) -> None:
    """Write one label, and wait until the disk has it. `judge`: ``human:<name>``. Raises RunError: disk full."""
    _append(path, {"judge": judge, "blind": label.blind, "time": label.time or now(), **label.record.to_line()})


def append_seen(path: Path, judge: str, seen: Seen) -> None:
    """Note that an automatic verdict is about to be shown. Raises RunError: disk full."""
    about = {name: getattr(seen, name) for name in ("session", "repeat", "turn", "metric")}
    _append(path, {"judge": judge, "seen": seen.key, **about, "time": now()})


def _append(path: Path, line: dict[str, Any]) -> None:
    """One line at the file's end. Several processes may do so: each holds the file while it writes."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path.with_suffix(".lock"), "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with Journal(path) as journal:
                journal.append([line])
    except OSError as error:
        raise write_error(path, error) from error
