"""Which checkpoint is new and complete."""

import time
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from micebench.monitor.checkpoints import Checkpoint, find_checkpoints, unfinished

_OLD_S = 60.0  # files unchanged for this long (and the time to settle) need not be looked at twice
_PATIENCE = 10  # times to settle that a file which says of itself that it is too short is waited for


class Arrival(NamedTuple):
    """A complete checkpoint, and what its files look like."""

    checkpoint: Checkpoint
    signature: str


class Arrivals:
    """Looks at a folder again and again; remembers since when each checkpoint has looked as it does."""

    def __init__(self, folder: Path, *, settle: float, marker: str | None, once: bool) -> None:
        """Args as in `WatchOptions`; once: nobody will look again after the last arrival."""
        self._folder, self._settle, self._marker, self._once = folder, settle, marker, once
        self._seen: dict[str, tuple[str, float]] = {}  # name -> signature, and since when

    def next(self, known: Collection[tuple[str, str]]) -> Arrival | None:
        """The first complete checkpoint whose (name, signature) is not known."""
        now = time.monotonic()
        for checkpoint in find_checkpoints(self._folder):
            name = checkpoint.name
            try:
                look = checkpoint.look()
            except OSError:  # it is being changed
                self._seen.pop(name, None)
                continue
            if (name, look.signature) in known:
                self._seen.pop(name, None)
                continue
            seen, since = self._seen.get(name, ("", now))
            since = since if seen == look.signature else now
            self._seen[name] = look.signature, since
            age = time.time() - look.changed_ns / 1e9
            if self._complete(checkpoint, max(now - since, age - _OLD_S)):
                self._seen.pop(name)
                return Arrival(checkpoint, look.signature)
        return None

    def waiting(self) -> list[str]:
        """Names of checkpoints that are there but not complete."""
        return sorted({checkpoint.name for checkpoint in find_checkpoints(self._folder)} & self._seen.keys())

    def may_come(self) -> bool:
        """Whether waiting a little may complete one: its files may settle, a marker need not come."""
        return self._marker is None and bool(self.waiting())

    def _complete(self, checkpoint: Checkpoint, quiet: float) -> bool:
        if self._marker is not None:
            return (self._folder / checkpoint.name / self._marker).exists()
        patience = _PATIENCE if not self._once and unfinished(checkpoint) else 1
        return quiet >= self._settle * patience
