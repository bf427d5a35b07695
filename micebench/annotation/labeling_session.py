"""What happens when a reviewer answers: every label is on disk before the next question is shown."""

import secrets
import threading
from dataclasses import dataclass, replace

from micebench.annotation.human_labels import Asked, Labels, key_of, labels_of
from micebench.annotation.queue import Queue
from micebench.engine.run_reader import Run
from micebench.errors import RunError
from micebench.judges.human import ANSWERS, PREFIX, QUESTIONS
from micebench.store.label_journal import Label, Seen, append_label, append_seen, label_path
from micebench.store.manifest import now
from micebench.store.records import VerdictRecord
from micebench.verdicts import Verdict

NOTE = 500
"""Characters of a note."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Where one reviewer is, in one window.

    Attributes:
        place: index of the question shown; None: all are answered.
        view: names what is on the screen; what is said counts only while it is there.
        trail: places visited before, for the way back.
        last: place of the label given last.
        shown: places whose automatic verdict was asked for here.
    """

    reviewer: str
    place: int | None
    view: str = ""
    trail: tuple[int, ...] = ()
    last: int | None = None
    shown: frozenset[int] = frozenset()


class Desk:
    """One queue of questions for any number of reviewers.

    In `blind` mode the automatic verdict of a question can be asked for once it has a label, and not before.
    Otherwise (audit) it is shown with the question, and no label counts as blind.
    """

    def __init__(self, run: Run, queue: Queue, *, blind: bool = True) -> None:
        self.run = run
        self.queue = queue
        self.blind = blind
        self._labels: dict[str, Labels] = {}
        self._lock = threading.Lock()

    def sit_down(self, reviewer: str) -> Seat:
        """Take up where the reviewer stopped. Their file is read anew. Raises RunError: a damaged line."""
        with self._lock:
            self._labels[reviewer] = labels_of(self.run, reviewer)
        return self._at(Seat(reviewer, None), self._next_open(reviewer, -1))

    def labels(self, reviewer: str) -> Labels:
        return self._labels[reviewer]

    def label(self, seat: Seat, place: int) -> Label | None:
        """The reviewer's label about the question at `place`, if there is one."""
        return self._labels[seat.reviewer].final.get(self.queue.items[place])

    def done(self, reviewer: str) -> int:
        """How many questions of the queue the reviewer has answered."""
        final = self._labels[reviewer].final
        return sum(asked in final for asked in self.queue.items)

    def automatic(self, seat: Seat, place: int) -> Verdict | None:
        """The judge's verdict, if the reviewer may see it now; None otherwise, and where there is none."""
        allowed = not self.blind or (place in seat.shown and self.label(seat, place) is not None)
        return self.queue.automatic.get(self.queue.items[place]) if allowed else None

    def act(self, seat: Seat, view: str, action: str, note: str = "") -> Seat:
        """An answer by its key, ``skip``, ``back`` or ``show``; what was meant for another view is dropped.

        Raises:
            RunError: the label could not be written.
        """
        if view != seat.view:
            return seat
        if action == "show":
            return self._show(seat)
        if action == "back":
            return self._back(seat)
        if seat.place is None:
            return seat
        if action == "skip":
            trail = (*seat.trail, seat.place)
            return self._at(replace(seat, trail=trail), self._next_open(seat.reviewer, seat.place))
        answer = ANSWERS.get(action)
        asked = self.queue.items[seat.place]
        if answer is None or answer not in QUESTIONS[asked.metric].answers:
            return seat
        self._write(seat.reviewer, asked, answer.verdict(note.strip()[:NOTE]))
        moved = replace(seat, trail=(*seat.trail, seat.place), last=seat.place)
        return self._at(moved, self._next_open(seat.reviewer, seat.place))

    def _write(self, reviewer: str, asked: Asked, verdict: Verdict) -> None:
        keys = key_of(self.run, reviewer, asked)
        if keys is None:
            raise RunError(f"{self.run.path}: turn {asked.turn} of session {asked.session!r} has no image any more")
        record = VerdictRecord(
            keys[1], keys[0], asked.session, asked.repeat, asked.turn, asked.metric,
            verdict.status, verdict.value, verdict.reason,
        )  # fmt: skip
        with self._lock:
            labels = self._labels[reviewer]
            label = Label(record, blind=asked not in labels.seen, time=now())
            append_label(label_path(self.run.path, reviewer), PREFIX + reviewer, label)
            labels.take(asked, label)

    def _note_seen(self, reviewer: str, asked: Asked) -> None:
        """On disk before it is shown: a label given later is never taken for a blind one."""
        keys = key_of(self.run, reviewer, asked)
        with self._lock:
            labels = self._labels[reviewer]
            if asked in labels.seen or asked not in self.queue.automatic or keys is None:
                return
            append_seen(label_path(self.run.path, reviewer), PREFIX + reviewer, Seen(keys[1], *asked))
            labels.seen.add(asked)

    def _show(self, seat: Seat) -> Seat:
        """The automatic verdict of the question on the screen or, while that is open, of the last one answered."""
        here = seat.place if seat.place is not None and self.label(seat, seat.place) else seat.last
        if here is None or self.label(seat, here) is None:
            return seat
        self._note_seen(seat.reviewer, self.queue.items[here])
        return replace(seat, shown=seat.shown | {here}, view=secrets.token_hex(8))

    def _back(self, seat: Seat) -> Seat:
        if seat.trail:
            return self._at(replace(seat, trail=seat.trail[:-1]), seat.trail[-1])
        before = len(self.queue.items) if seat.place is None else seat.place
        return self._at(seat, max(before - 1, 0))

    def _at(self, seat: Seat, place: int | None) -> Seat:
        if place is not None and not self.blind:
            self._note_seen(seat.reviewer, self.queue.items[place])
        return replace(seat, place=place, view=secrets.token_hex(8))

    def _next_open(self, reviewer: str, place: int) -> int | None:
        """The next question without a label; after the last one, the first that was left out."""
        final = self._labels[reviewer].final
        count = len(self.queue.items)
        around = (*range(place + 1, count), *range(place + 1))
        return next((at for at in around if self.queue.items[at] not in final), None)
