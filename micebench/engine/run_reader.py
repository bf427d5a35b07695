"""The reading side of a run: what reports, comparisons and people's own scripts work with."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from micebench.cards import judge_command
from micebench.errors import RunError
from micebench.sessions import Session
from micebench.store.forms import first_fault
from micebench.store.journal import read_journal
from micebench.store.keys import EditCause
from micebench.store.manifest import Manifest
from micebench.store.records import EditRecord, VerdictRecord
from micebench.store.run_dir import RunDir
from micebench.store.run_index import EditIndex, SessionIndex, VerdictIndex
from micebench.store.session_records import parse_session

if TYPE_CHECKING:
    from micebench.engine.unanswered import Unanswered
    from micebench.metrics.verdict_table import VerdictTable

C = TypeVar("C", bound=BaseModel)

__all__ = ["EditRecord", "Failure", "Manifest", "Run", "VerdictRecord", "open_run", "recorded_card"]


class Failure(NamedTuple):
    """A session that ended before its last turn."""

    session: str
    repeat: int
    turn: int
    reason: str


class Run:
    """A run directory, read lazily and streamed; nothing here writes.

    Edits and verdicts come in canonical order (session, repeat, turn, metric), and only those that belong
    to the run as it is: superseded lines of the journals are skipped.

    Attributes:
        path: the run directory.
        manifest: what identifies the run.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self._dir = RunDir(path)
        self._edits: EditIndex | None = None
        self._verdicts: VerdictIndex | None = None
        self._summary: dict[str, Any] | None = None

    def sessions(self) -> Iterator[Session]:
        """The planned sessions with their annotations; images are files of the run."""
        index = self.edit_index().sessions
        for line in index.lines(range(len(index))):
            yield parse_session(line, self.manifest.task, self._dir.blobs)

    def edits(self) -> Iterator[EditRecord]:
        """Finished, failed and refused edits."""
        return self.edit_index().records()

    def verdicts(self) -> Iterator[VerdictRecord]:
        """The verdicts of the run's judge (`manifest.judge`)."""
        return self.verdict_index().records()

    def failures(self) -> list[Failure]:
        """Sessions that stopped at a failed edit, in canonical order; the next run tries them again."""
        return self._stopped(self.edit_index().reasons)

    def refusals(self) -> list[Failure]:
        """Sessions that stopped at an edit the editor declined to make, in canonical order; that is its answer."""
        return self._stopped(self.edit_index().refusals)

    def _stopped(self, reasons: Mapping[tuple[int, int], str]) -> list[Failure]:
        index = self.edit_index()
        return [
            Failure(index.sessions.ids[row // index.repeats], row % index.repeats, turn, reason)
            for (row, turn), reason in sorted(reasons.items())
        ]

    def usage(self) -> dict[str, float]:
        """What the editor reported with its edits, summed by name (``cost_usd``, ``latency_s``, tokens ...).

        Every call counts, those whose edit was made again later too: this is what the run has cost so far. It
        is not part of the summary, which depends on the images alone. Empty where the editor reports nothing.
        """
        self.edit_index()  # every line is checked
        total: dict[str, float] = defaultdict(float)
        for path in self._dir.edit_journals():
            for _, line in read_journal(path):
                for name, value in (line.get("usage") or {}).items():
                    if isinstance(value, int | float) and not isinstance(value, bool):
                        total[name] += value
        return dict(sorted(total.items()))

    def blob(self, sha256: str) -> bytes:
        """PNG bytes of an image. Raises RunError if the file is missing or damaged."""
        return self._dir.blobs.get(sha256)

    def table(self) -> "VerdictTable":
        """All verdicts as arrays, the form `micebench.metrics` works on."""
        from micebench.engine.summary import verdict_table

        return verdict_table(self.edit_index(), self.verdict_index())

    def summary(self) -> dict[str, Any]:
        """The content of ``summary.json``, computed from the journals (once), so that it is never stale."""
        from micebench.engine.summary import summarize_run

        if self._summary is None:
            self._summary = summarize_run(self.manifest, self.edit_index(), self.table())
        return self._summary

    def unanswered(self) -> "Unanswered":
        """Verdicts that could have a value and have none, counted, with the reasons.

        `Unanswered.nothing` is what the command line ends with code 3 for.
        """
        from micebench.engine.unanswered import unanswered

        return unanswered(self)

    def edit_index(self) -> EditIndex:
        """State of every edit (read once)."""
        if self._edits is None:
            cause = EditCause(
                self.manifest.task, self.manifest.editor_hash, self.manifest.context, self.manifest.seed
            )
            sessions = SessionIndex(self._dir.sessions)
            edits = EditIndex(sessions, cause, self.manifest.repeats, self.manifest.turns)
            edits.load(self._dir)
            self._edits = edits
        return self._edits

    def verdict_index(self) -> VerdictIndex:
        """State of every verdict of the run's judge (read once). Raises RunError if the run has no judge."""
        if self._verdicts is not None:
            return self._verdicts
        manifest = self.manifest
        if manifest.judge is None or manifest.judge_hash is None:
            raise RunError(f"{self.path}: not judged yet; run `{judge_command(self.path, 'NAME')}`")
        there = len(self.edit_index().sessions)
        if there != manifest.n_sessions:
            raise RunError(
                f"{self._dir.sessions} has {there} of the run's {manifest.n_sessions} sessions; "
                "run the same `micebench run` command again, or restore the file from a copy"
            )
        path = self._dir.verdicts(manifest.judge, manifest.judge_hash)
        index = VerdictIndex(self.edit_index(), manifest.judge_hash, manifest.metrics, path)
        index.load()
        self._verdicts = index
        return index


def recorded_card(run: Path, kind: type[C], fields: dict[str, Any]) -> C:
    """A card as a manifest recorded it. Raises RunError: damaged, or of another version of micebench."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        what = kind.__name__.removesuffix("Card").lower()
        raise RunError(
            f"{RunDir(run).manifest}: the recorded {what} card: {first_fault(error)}; the run was made by another "
            "version of micebench, or the file is damaged: restore it from a copy"
        ) from error


def open_run(path: Path | str) -> Run:
    """Open a run directory for reading.

    Raises:
        RunError: no run there (with the remedy), or one of another version of micebench.
    """
    folder = Path(path)
    return Run(folder, Manifest.load(RunDir(folder).manifest))
