"""Threads that wait for slow answers. Daemons: whoever interrupts a judge does not wait for its server."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

Key = TypeVar("Key")
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Callers(Generic[Key, Asked, Answer]):
    """Up to `count` calls at once; answers are collected in the order in which they arrive.

    `call` must not raise. One thread uses this object; the calls happen in others, started when needed.
    """

    def __init__(self, call: Callable[[Asked], Answer], count: int) -> None:
        self._call = call
        self._count = count
        self._threads = 0
        self._open = 0
        self._todo: SimpleQueue[tuple[Key, Asked] | None] = SimpleQueue()
        self._done: SimpleQueue[tuple[Key, Answer]] = SimpleQueue()

    def submit(self, key: Key, asked: Asked) -> None:
        self._open += 1
        self._todo.put((key, asked))
        if self._threads < min(self._count, self._open):
            self._threads += 1
            threading.Thread(target=self._work, name=f"asking-{self._threads}", daemon=True).start()

    def collect(self, *, wait: bool) -> list[tuple[Key, Answer]]:
        """Answers that have arrived since the last time; with `wait` at least one, if any is open."""
        done: list[tuple[Key, Answer]] = []
        try:
            while self._open:
                done.append(self._done.get(block=wait and not done))
                self._open -= 1
        except Empty:
            pass
        return done

    def close(self) -> None:
        """Start no more calls. Those under way are left to themselves."""
        try:
            while True:
                self._todo.get_nowait()
        except Empty:
            pass
        for _ in range(self._threads):
            self._todo.put(None)

    def _work(self) -> None:
        while (item := self._todo.get()) is not None:
            key, asked = item
            self._done.put((key, self._call(asked)))
