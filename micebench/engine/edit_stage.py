"""The second stage: sessions that lack edits are edited; each editor call's results are stored at once."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from micebench.engine.background_judging import Alongside
from micebench.engine.job import Job
from micebench.execution.process_pool import run_all
from micebench.execution.session_loop import Chain, Outcome
from micebench.store.blobs import Blobs
from micebench.store.journal import Journal
from micebench.store.records import EditRecord
from micebench.store.run_dir import RunDir
from micebench.store.run_index import OK, REFUSED, EditIndex


def edit_missing(
    job: Job, run: RunDir, index: EditIndex, tick: Callable[[int, int], None], beside: Alongside | None = None
) -> None:
    """Make the edits that are missing, failed, or whose image is lost; journal after each editor call.

    A refusal is the editor's answer: it stands, and is asked again only on request (`Options.retry_refused`).
    While one call's results are written, the editor is already busy with the next.

    Args:
        index: is kept up to date.
        tick: told (edits settled, edits in all).
        beside: told which edits have changed and which rows are settled (one worker only: several finish
            their rows in any order).
    """
    if job.options.retry_refused:
        for row, turn in list(index.refusals):
            index.forget(row, turn)
    total = sum(index.sessions.turns) * index.repeats
    settled = total - sum(open_edits(index, row) for row in range(index.rows))
    tick(settled, total)
    frontier = 0

    def todo() -> Iterator[list[Chain]]:
        nonlocal frontier
        for chunk in chunks(index, run.blobs, job.batch):
            frontier = chunk[0].row  # all edits of earlier rows have been handed on
            yield chunk

    with Journal(run.edits) as journal, ThreadPoolExecutor(1) as writer:
        writing: Future[int] | None = None
        for outcomes in run_all(job.editor, todo(), job.protocol, job.options.workers):
            if writing is not None:
                settled += writing.result()
                tick(min(settled, total), total)
                if beside is not None:
                    beside.settled(frontier)
            writing = writer.submit(_store, outcomes, run, index, journal, beside)
        if writing is not None:
            settled += writing.result()
            tick(min(settled, total), total)


def _store(
    outcomes: Sequence[Outcome], run: RunDir, index: EditIndex, journal: Journal, beside: Alongside | None
) -> int:
    """Images first, then the lines that name them; returns how many edits that settles."""
    records = [_record(index, run.blobs, outcome) for outcome in outcomes]
    offsets = journal.append(record.to_line() for record in records)
    settled = len(records)
    for outcome, record, offset in zip(outcomes, records, offsets, strict=True):
        row, turn = outcome.row, outcome.turn
        before = index.key(row, turn), index.image(row, turn)
        index.record(row, record, (run.edits, offset))
        if beside is not None and before != (record.key, record.image):
            beside.changed(row, turn)
        if record.image is None:
            later = range(turn + 1, index.sessions.turns[row // index.repeats] + 1)
            settled += len(later)
            for lost in later:
                index.forget(row, lost)
                if beside is not None:
                    beside.changed(row, lost)
    return settled


def open_edits(index: EditIndex, row: int) -> int:
    """How many edits of a row are still to be made, as far as the journals say."""
    return sum(index.state(row, turn) != OK for turn in index.wanted(row))


def anything_to_edit(index: EditIndex, *, retry_refused: bool) -> bool:
    """Whether `edit_missing` would ask the editor, as far as the journals say."""
    return (retry_refused and bool(index.refusals)) or any(open_edits(index, row) for row in range(index.rows))


def chunks(index: EditIndex, blobs: Blobs, batch: int) -> Iterator[list[Chain]]:
    """Unfinished sessions, `batch` rows of the run at a time; a resumed run meets the same chunks."""
    for first in range(0, index.rows, batch):
        rows = range(first, min(first + batch, index.rows))
        chain_of = {row: _chain(index, blobs, row) for row in rows if _unfinished(index, blobs, row)}
        if chain_of:
            lines = index.sessions.lines([row // index.repeats for row in chain_of])
            for chain, line in zip(chain_of.values(), lines, strict=True):
                _fill(chain, line, blobs)
            yield list(chain_of.values())


def _unfinished(index: EditIndex, blobs: Blobs, row: int) -> bool:
    if open_edits(index, row):
        return True
    images = (index.image(row, turn) for turn in index.wanted(row))
    return any(image is None or blobs.find(image) is None for image in images)


def _chain(index: EditIndex, blobs: Blobs, row: int) -> Chain:
    session, repeat = divmod(row, index.repeats)
    chain = Chain(row, index.sessions.ids[session], repeat, (), None)
    for turn in range(1, index.sessions.turns[session] + 1):
        image = index.image(row, turn)
        png = blobs.find(image) if image is not None else None
        if png is not None or index.state(row, turn) == REFUSED:
            made_from = tuple(index.image(row, earlier) or "" for earlier in index.inputs(turn))
            chain.kept[turn] = (png, made_from)
    return chain


def _fill(chain: Chain, line: dict[str, Any], blobs: Blobs) -> None:
    chain.instructions = tuple(turn["instruction"] for turn in line["turns"])
    chain.fault = line["fault"] or ""
    chain.source = blobs.get(line["image"]) if line["image"] is not None else None


def _record(index: EditIndex, blobs: Blobs, outcome: Outcome) -> EditRecord:
    image = blobs.put(outcome.png) if outcome.png is not None else None
    key = index.expected_key(outcome.row, outcome.turn)
    if key is None:
        raise AssertionError("an edit is made only after the edits it is made from")
    session, repeat = divmod(outcome.row, index.repeats)
    return EditRecord(
        key=key,
        session=index.sessions.ids[session],
        repeat=repeat,
        turn=outcome.turn,
        status="ok" if image is not None else "refused" if outcome.refused else "failed",
        image=image,
        seed=outcome.seed,
        reason=outcome.reason,
        usage=outcome.usage,
    )
