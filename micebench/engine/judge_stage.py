"""The third stage: questions about finished edits, answered by verdicts."""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import cast

from micebench.engine.drift import DriftCheck
from micebench.errors import one_line
from micebench.execution.images import StoredImage
from micebench.execution.judge_calls import Asked, Unit, answers, streamed
from micebench.judges.base import Judge, StreamingJudge
from micebench.registry.sources import JudgeSource
from micebench.sessions import Session
from micebench.store.blobs import Blobs
from micebench.store.forms import check_verdict
from micebench.store.journal import Journal
from micebench.store.keys import verdict_key
from micebench.store.records import VerdictRecord
from micebench.store.run_dir import RunDir
from micebench.store.run_index import VerdictIndex
from micebench.store.session_records import parse_session
from micebench.verdicts import MeasureName, MetricName, Question, Status, Verdict, instruction_asked

CHUNK_ROWS = 64
_CHUNK_BYTES = 64 << 20  # decoded pixels in memory at a time
_WRITE_EVERY_S = 0.5
_NO_VALUE = (Status.UNPARSED, Status.REFUSED, Status.ERROR)


def missing_units(index: VerdictIndex, row: int, *, retry_failed: bool) -> list[Unit]:
    """Verdicts of one row that have an image but no answer (or, on request, an answer without a value)."""
    edits = index.edits
    wanted: list[Unit] = []
    for turn in range(1, edits.sessions.turns[row // edits.repeats] + 1):
        image = edits.image(row, turn)
        if image is None:
            break
        key = edits.key(row, turn)
        for metric in index.metrics:
            status = index.status(row, turn, metric)
            if status is None or (retry_failed and status in _NO_VALUE):
                wanted.append(Unit(row, turn, metric, key, image))
    return wanted


class Judging:
    """Asks for the missing verdicts, row by row in canonical order; journals what is answered.

    A judge is called with chunks of rows; one that can stream is fed row by row, and its verdicts are journaled in
    the order in which they come. The order in the journal is no cause of anything: a run's verdicts are read in
    canonical order.

    Args:
        index: is kept up to date.
        tick: told (rows settled, rows in all).
        retry_failed: ask again where a judge gave no value (unparsed, refused, error).
        golden: False: the judge's golden items are not asked about.
    """

    def __init__(
        self,
        source: JudgeSource,
        run: RunDir,
        index: VerdictIndex,
        tick: Callable[[int, int], None],
        *,
        retry_failed: bool = False,
        golden: bool = True,
    ) -> None:
        self._source = source
        self._drift = DriftCheck(run, source, wanted=golden)
        self._blobs = run.blobs
        self._index = index
        self._tick = tick
        self._retry_failed = retry_failed
        self._judge: Judge | None = None
        self._row = 0

    def advance(self, until: int) -> None:
        """Judge the rows before `until` that have not been reached yet; their edits must be settled."""
        first = self._row
        while first < until and not missing_units(self._index, first, retry_failed=self._retry_failed):
            first += 1
        if first < until:
            judge = self._built()
            self._drift.before(judge)
            with _Notes(self._index) as notes:
                if isinstance(judge, StreamingJudge):
                    self._stream(judge, first, until, notes)
                else:
                    self._by_chunks(judge, first, until, notes)
        self._row = max(self._row, until)
        self._tick(self._row, self._index.edits.rows)

    def finish(self) -> None:
        """Judge all that is left, and look once more whether the judge answers as it did."""
        self.advance(self._index.edits.rows)
        self._drift.after(self._built)

    def _built(self) -> Judge:
        self._judge = self._judge or self._source.build()
        return self._judge

    def _by_chunks(self, judge: Judge, row: int, until: int, notes: "_Notes") -> None:
        while row < until:
            asked: list[Asked] = []
            room, end = _CHUNK_BYTES, min(until, row + CHUNK_ROWS)
            while row < end and room > 0:
                questions, size = self._open(row)
                asked += questions
                room -= size
                row += 1
            notes.add(asked, answers(judge, asked))
            notes.write()
            self._tick(row, self._index.edits.rows)

    def _stream(self, judge: StreamingJudge, row: int, until: int, notes: "_Notes") -> None:
        rows = ((number, self._open(number)[0]) for number in range(row, until))
        done = row
        for asked, verdicts in streamed(judge, (asked for _, asked in rows)):
            notes.add(asked, verdicts)
            notes.write_if_due()
            done += 1
            self._tick(done, self._index.edits.rows)

    def _open(self, row: int) -> tuple[list[Asked], int]:
        """The open questions about a row, and the bytes its decoded images take."""
        units = missing_units(self._index, row, retry_failed=self._retry_failed)
        return _questions(self._index, self._blobs, units) if units else ([], 0)


class _Notes:
    """Answered units on their way into the journal."""

    def __init__(self, index: VerdictIndex) -> None:
        self._index = index
        self._journal = Journal(index.path)
        self._held: list[tuple[Unit, VerdictRecord]] = []
        self._written = monotonic()

    def __enter__(self) -> "_Notes":
        return self

    def __exit__(self, *_: object) -> None:
        """What was answered is kept, also when the judging is interrupted."""
        try:
            self.write()
        finally:
            self._journal.close()

    def add(self, asked: Sequence[Asked], verdicts: Sequence[Verdict]) -> None:
        self._held += [
            (unit, _kept(self._index, unit, question.attempt, verdict))
            for (unit, question), verdict in zip(asked, verdicts, strict=True)
        ]

    def write_if_due(self) -> None:
        """An fsync costs the time of a few rows: not one for each."""
        if monotonic() - self._written >= _WRITE_EVERY_S:
            self.write()

    def write(self) -> None:
        held, self._held = self._held, []
        offsets = self._journal.append(record.to_line() for _, record in held)
        for (unit, record), offset in zip(held, offsets, strict=True):
            self._index.record(unit.row, unit.turn, unit.metric, (record.status, record.value), offset)
        self._written = monotonic()


def _questions(index: VerdictIndex, blobs: Blobs, units: Sequence[Unit]) -> tuple[list[Asked], int]:
    """Questions about one row, and the bytes its decoded images take; damaged images are not asked about."""
    edits, row = index.edits, units[0].row
    position = row // edits.repeats
    digests = [edits.sessions.source(position)]
    digests += [edits.image(row, turn) for turn in range(1, units[-1].turn + 1)]
    images: list[StoredImage] = []
    for digest in digests:
        png = blobs.find(digest) if digest else None
        if digest is None or png is None:
            break
        images.append(StoredImage(digest, png))
    if len(images) < 2:
        return [], 0
    session = parse_session(next(edits.sessions.lines([position])), edits.cause.task, blobs)
    composed = edits.cause.context == "composed"
    attempt = max(index.next_attempt(unit.row, unit.turn, unit.metric) for unit in units)
    asked = [
        (unit, _question(unit, session, images[: unit.turn + 1], composed, attempt))
        for unit in units
        if unit.turn < len(images)
    ]
    width, height = images[0].size
    return asked, 3 * width * height * len(images)


def _question(unit: Unit, session: Session, images: Sequence[StoredImage], composed: bool, attempt: int) -> Question:
    about = instruction_asked(unit.metric)
    metric = "IF" if about else cast(MetricName | MeasureName, unit.metric)
    return Question(metric, session, unit.turn, images, composed, about, attempt)


def _kept(index: VerdictIndex, unit: Unit, attempt: int, verdict: Verdict) -> VerdictRecord:
    """The record of a verdict; of one that no journal can hold, an error, so that all that is written can be read."""
    record = _record(index, unit, attempt, verdict)
    try:
        check_verdict(record.to_line())
    except (TypeError, ValueError) as error:
        fault = f"the judge's verdict cannot be kept: {one_line(error, 300)}"
        return _record(index, unit, attempt, Verdict.missing(Status.ERROR, fault))
    return record


def _record(index: VerdictIndex, unit: Unit, attempt: int, verdict: Verdict) -> VerdictRecord:
    session, repeat = divmod(unit.row, index.edits.repeats)
    return VerdictRecord(
        key=verdict_key(unit.edit, unit.image, index.judge_hash, unit.metric),
        edit=unit.edit,
        session=index.edits.sessions.ids[session],
        repeat=repeat,
        turn=unit.turn,
        metric=unit.metric,
        status=verdict.status,
        value=verdict.value,
        reason=verdict.reason,
        votes=verdict.votes,
        raw=verdict.raw,
        usage=verdict.usage,
        latency_s=verdict.latency_s,
        attempt=attempt,
    )
