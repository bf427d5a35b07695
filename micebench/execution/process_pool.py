"""Editors at work: one in this process, or several in processes of their own.

A unit of work is a chunk of whole sessions, so a turn chain never leaves its process. Workers only edit;
what they made is stored by the parent alone. There is no rendezvous: a worker that dies costs its chunk.
"""

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from micebench.errors import CardError, EditorError, MicebenchError
from micebench.execution.session_loop import Chain, Outcome, Protocol, run_chains
from micebench.registry.sources import EditorSource
from micebench.store.keys import derive_seed


def run_all(
    source: EditorSource, chunks: Iterator[list[Chain]], protocol: Protocol, workers: int
) -> Iterator[list[Outcome]]:
    """Edit all chunks; yields the new edits of each editor call, in chunk order if there is one worker.

    Raises:
        CardError: the editor cannot be made, or cannot be sent to other processes.
        EndpointError: asking on is hopeless; what other processes had under way is yielded before.
        EditorError: an editor process dies before it can be used.
    """
    if workers == 1:
        yield from _run_here(source, chunks, protocol)
    else:
        yield from _run_pool(source, chunks, protocol, workers)


def _run_here(source: EditorSource, chunks: Iterator[list[Chain]], protocol: Protocol) -> Iterator[list[Outcome]]:
    editor = None
    for chunk in chunks:
        editor = editor or source.build()
        yield from run_chains(editor, chunk, protocol)


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: "Connection[Any, Any]"
    chunk: Sequence[Chain] = ()
    ready: bool = False
    done: dict[int, int] = field(default_factory=dict)  # row -> turns finished or given up


def _run_pool(
    source: EditorSource, chunks: Iterator[list[Chain]], protocol: Protocol, workers: int
) -> Iterator[list[Outcome]]:
    if source.instance is not None:
        raise CardError("an editor object cannot be shared by several processes; give workers=1, or a name or card")
    team: list[_Worker] = []
    fault: MicebenchError | None = None
    waiting = next(chunks, None)
    try:
        if waiting is not None:
            team = [_start(source, protocol) for _ in range(workers)]
        while team:
            for pipe in wait([worker.pipe for worker in team]):
                worker = next(worker for worker in team if worker.pipe is pipe)
                word, content = _receive(worker)
                if word == "edits":
                    _note(worker, content)
                    yield content
                    continue
                if word == "fault":  # the others end with the chunks they have
                    fault, waiting = fault or content, None
                if word == "died":
                    team.remove(worker)
                    yield _lost(worker, protocol)
                    if waiting is None:
                        continue
                    team.append(_start(source, protocol))
                elif waiting is None:
                    team.remove(worker)
                    worker.pipe.close()
                    worker.process.join()
                else:  # ready, or finished with its chunk
                    _give(worker, waiting)
                    waiting = next(chunks, None)
        if fault is not None:
            raise fault
    finally:
        for worker in team:
            worker.pipe.close()
            worker.process.terminate()
            worker.process.join()


def _receive(worker: _Worker) -> tuple[str, Any]:
    try:
        message = worker.pipe.recv()
    except (EOFError, OSError):
        return "died", None
    worker.ready = True
    return message


def _start(source: EditorSource, protocol: Protocol) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, source, protocol), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _give(worker: _Worker, chunk: Sequence[Chain]) -> None:
    worker.chunk = chunk
    worker.done = {chain.row: 0 for chain in chunk}
    with suppress(OSError):  # if it died, `wait` reports its end, and the chunk is lost with it
        worker.pipe.send(chunk)


def _note(worker: _Worker, outcomes: Sequence[Outcome]) -> None:
    turns = {chain.row: len(chain.instructions) for chain in worker.chunk}
    for outcome in outcomes:
        worker.done[outcome.row] = turns[outcome.row] if outcome.png is None else outcome.turn


def _lost(worker: _Worker, protocol: Protocol) -> list[Outcome]:
    """The next edit of each unfinished session of a dead worker, as failed."""
    worker.pipe.close()
    worker.process.join()
    code = worker.process.exitcode
    if not worker.ready:
        raise EditorError(f"the editor's process ended with code {code} before it made an edit")
    lost: list[Outcome] = []
    for chain in worker.chunk:
        turn = worker.done[chain.row] + 1
        while turn in chain.kept and chain.kept[turn][0] is not None:
            turn += 1
        if turn <= len(chain.instructions) and turn not in chain.kept:
            seed = derive_seed(protocol.task, chain.session, turn, chain.repeat, protocol.seed)
            reason = f"the editor's process ended with code {code}"
            lost.append(Outcome(chain.row, turn, seed, None, reason))
    return lost


def _serve(pipe: "Connection[Any, Any]", source: EditorSource, protocol: Protocol) -> None:
    """Body of a worker process: chunks in, edits out, until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    try:
        try:
            editor = source.build()
            pipe.send(("ready", None))
            while True:
                chunk = pipe.recv()
                for outcomes in run_chains(editor, chunk, protocol):
                    pipe.send(("edits", outcomes))
                pipe.send(("finished", None))
        except MicebenchError as error:
            pipe.send(("fault", error))
    except (EOFError, OSError):
        return  # the parent has closed the pipe, or died
