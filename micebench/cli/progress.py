"""Progress of a run: bars with time left in a terminal, a line per tenth elsewhere."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

_LINE_EVERY_S = 2.0
_WORDS = {"sources": "source images", "edits": "edits", "verdicts": "judged sessions"}


@contextmanager
def resumable() -> Generator[None]:
    """Ctrl-C in here says how to go on (typer would end without a word)."""
    import typer

    try:
        yield
    except KeyboardInterrupt:
        typer.echo("interrupted; run the same command again to resume", err=True)
        raise typer.Exit(130) from None


class ProgressDisplay:
    """Called with (stage, done, total), as `micebench.engine.progress.Progress` says."""

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._tenths: dict[str, int] = {}
        self._starts: dict[str, tuple[float, int]] = {}
        self._last = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bars = Progress(
                TextColumn("{task.description:<15}"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TimeRemainingColumn(elapsed_when_finished=True),
                console=self._console,
            )
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        if self._bars is not None:
            self._show_bar(self._bars, stage, done, total)
        else:
            self._print_line(stage, done, total)

    def _show_bar(self, bars: "Progress", stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = bars.add_task(_WORDS.get(stage, stage), total=total)
        bars.update(self._tasks[stage], completed=done)

    def _print_line(self, stage: str, done: int, total: int) -> None:
        """At the end of a stage, and in between a line per tenth, but not more often than people read."""
        now = time.monotonic()
        first_time, first_done = self._starts.setdefault(stage, (now, done))
        tenth = 10 * done // total if total else 10
        if tenth <= self._tenths.get(stage, 0) or (done < total and now - self._last < _LINE_EVERY_S):
            return
        self._tenths[stage], self._last = tenth, now
        left = ""
        if first_done < done < total:
            left = f", {(now - first_time) * (total - done) / (done - first_done):.0f} s left"
        self._console.print(f"{_WORDS.get(stage, stage)}: {done}/{total}{left}", markup=False, highlight=False)
