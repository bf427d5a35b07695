"""The third stage: questions about finished edits, asked in chunks, answered by verdicts."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

from micebench.engine.images import StoredImage
from micebench.engine.setup import JudgeSource
from micebench.judges.base import Judge
from micebench.store.blobs import Blobs
from micebench.store.index import VerdictIndex
from micebench.store.journal import Journal
from micebench.store.keys import verdict_key
from micebench.store.records import VerdictRecord
from micebench.store.rundir import RunDir
from micebench.store.sessionlines import parse_session
from micebench.verdicts import MetricName, Question, Status, Verdict

CHUNK_ROWS = 64
_CHUNK_BYTES = 64 << 20  # decoded pixels in memory at a time
_NO_VALUE = (Status.UNPARSED, Status.REFUSED, Status.ERROR)


class Unit(NamedTuple):
    """One verdict to be made: about the edit with this key, whose output has this sha256."""

    row: int
    turn: int
    metric: str
    edit: str
    image: str


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
    """Asks for the missing verdicts row by row, in canonical order; journals after each call of the judge.

    Args:
        index: is kept up to date.
        tick: told (rows settled, rows in all).
        retry_failed: ask again where a judge gave no value (unparsed, refused, error).
    """

    def __init__(
        self,
        source: JudgeSource,
        run: RunDir,
        index: VerdictIndex,
        tick: Callable[[int, int], None],
        *,
        retry_failed: bool = False,
    ) -> None:
        self._source = source
        self._blobs = run.blobs
        self._index = index
        self._tick = tick
        self._retry_failed = retry_failed
        self._judge: Judge | None = None
        self._row = 0

    def advance(self, until: int) -> None:
        """Judge the rows before `until` that have not been reached yet; their edits must be settled."""
        index, rows = self._index, self._index.edits.rows
        with Journal(index.path) as journal:
            while self._row < until:
                self._row, asked = _chunk(index, self._blobs, self._row, until, retry_failed=self._retry_failed)
                if asked:
                    self._judge = self._judge or self._source.build()
                    verdicts = _answers(self._judge, [question for _, question in asked])
                    pairs = zip(asked, verdicts, strict=True)
                    records = [_record(index, unit, verdict) for (unit, _), verdict in pairs]
                    offsets = journal.append(record.to_line() for record in records)
                    for (unit, _), record, offset in zip(asked, records, offsets, strict=True):
                        index.record(unit.row, unit.turn, unit.metric, (record.status, record.value), offset)
                self._tick(self._row, rows)

    def finish(self) -> None:
        """Judge all that is left."""
        self.advance(self._index.edits.rows)


def _chunk(
    index: VerdictIndex, blobs: Blobs, first: int, until: int, *, retry_failed: bool
) -> tuple[int, list[tuple[Unit, Question]]]:
    """(row after the chunk, its open questions): as many rows as fit into memory, decoded."""
    asked: list[tuple[Unit, Question]] = []
    room = _CHUNK_BYTES
    row = first
    while row < until and row - first < CHUNK_ROWS and room > 0:
        units = missing_units(index, row, retry_failed=retry_failed)
        if units:
            questions, size = _questions(index, blobs, units)
            asked += questions
            room -= size
        row += 1
    return row, asked


def _questions(index: VerdictIndex, blobs: Blobs, units: Sequence[Unit]) -> tuple[list[tuple[Unit, Question]], int]:
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
    asked = [
        (unit, Question(cast(MetricName, unit.metric), session, unit.turn, images[: unit.turn + 1]))
        for unit in units
        if unit.turn < len(images)
    ]
    width, height = images[0].size
    return asked, 3 * width * height * len(images)


def _answers(judge: Judge, questions: Sequence[Question]) -> list[Verdict]:
    """One verdict per question: what the annotation forbids is not asked."""
    faults = [question.current.invalid.get(question.metric) for question in questions]
    open_questions = [question for question, fault in zip(questions, faults, strict=True) if fault is None]
    answers = iter(_ask(judge, open_questions))
    return [next(answers) if fault is None else Verdict.missing(Status.INVALID_ANNOTATION, fault) for fault in faults]


def _ask(judge: Judge, questions: Sequence[Question]) -> list[Verdict]:
    """Ask all at once; if that breaks the contract, one by one, so that only the guilty item pays."""
    if not questions:
        return []
    try:
        verdicts: list[object] = list(judge.judge(questions))
    except Exception as error:  # noqa: BLE001 (a judge is foreign code; its failure is a status, never a number)
        fault = f"the judge raised {type(error).__name__}: {' '.join(str(error).split())}"
    else:
        wrong = [type(answer).__name__ for answer in verdicts if not isinstance(answer, Verdict)]
        if len(verdicts) != len(questions):
            fault = f"the judge gave {len(verdicts)} verdicts for {len(questions)} questions"
        elif wrong:
            fault = f"the judge gave an object of type {wrong[0]!r} instead of a verdict"
        else:
            return cast(list[Verdict], verdicts)
    if len(questions) == 1:
        return [Verdict.missing(Status.ERROR, fault[:500])]
    return [verdict for question in questions for verdict in _ask(judge, [question])]


def _record(index: VerdictIndex, unit: Unit, verdict: Verdict) -> VerdictRecord:
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
    )
