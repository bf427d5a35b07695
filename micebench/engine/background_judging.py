"""Judging beside editing: for judges that need nothing the editor needs."""

import threading
from queue import SimpleQueue

from micebench.engine.judge_stage import CHUNK_ROWS, Judging
from micebench.store.run_index import VerdictIndex


class Alongside:
    """Judges settled rows in a thread of its own while the editor is busy with the next.

    The order of the verdicts, and so every byte of the run, is that of judging afterwards. The thread is a
    daemon: Ctrl-C does not wait for a slow judge, and loses no more than a kill would.
    """

    def __init__(self, judging: Judging, index: VerdictIndex) -> None:
        self._judging = judging
        self._index = index
        self._todo: SimpleQueue[int | None] = SimpleQueue()
        self._told = 0
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="judging", daemon=True)
        self._thread.start()

    def changed(self, row: int, turn: int) -> None:
        """This edit is another one now: what was said about the old one is void."""
        self._index.forget(row, turn)

    def settled(self, rows: int) -> None:
        """The first `rows` rows will not change any more. Raises what the judging raised, if it did."""
        if self._error is not None:
            raise self._error
        if rows - self._told >= CHUNK_ROWS:
            self._told = rows
            self._todo.put(rows)

    def finish(self) -> None:
        """All edits are settled: judge what is left, and wait for it."""
        self._todo.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error
        self._judging.finish()

    def _work(self) -> None:
        try:
            while (rows := self._todo.get()) is not None:
                self._judging.advance(rows)
        except BaseException as error:  # noqa: BLE001 (raised again where it is waited for)
            self._error = error
