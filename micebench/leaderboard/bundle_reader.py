"""What the leaderboard takes from a bundle: what each session contributes to the rank, and a gallery."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from micebench.engine.run_reader import Run
from micebench.errors import DataError
from micebench.leaderboard.results import Accepted
from micebench.metrics.outcomes import Side
from micebench.metrics.ranks import PseudoValues, pseudo_values
from micebench.metrics.verdict_table import MISSING, STATUS_CODES, VerdictTable
from micebench.report.gallery import SessionCard, cards
from micebench.report.session_sampling import Key, outcomes, pick
from micebench.report.summary_columns import ranked_by
from micebench.report.thumbnails import thumbnail
from micebench.sessions import Session
from micebench.store.blobs import Blobs
from micebench.store.manifest import Manifest
from micebench.store.records import EditRecord, VerdictRecord
from micebench.store.session_records import parse_session
from micebench.submission.bundle import Bundle, read_bundle
from micebench.submission.standing import Standing, standing

SESSIONS_SHOWN = 18
_TOLERANCE = 1e-6  # percent


@dataclass(frozen=True)
class Evidence:
    """Of one result.

    Attributes:
        manifest: of the run that was submitted.
        values: what its sessions contribute to the number it is ranked by, with every missing verdict at its worst;
            None if it has no such number.
        standing: that number, and how much is missing.
        cards: sessions for the gallery, of those whose images are in the bundle. Without the reasons of verdicts and
            of failed edits: they are the submitter's words, and no check compares them with a judge's.
    """

    manifest: Manifest
    values: PseudoValues | None
    standing: Standing
    cards: tuple[SessionCard, ...]


def read_evidence(result: Accepted, *, shown: int = SESSIONS_SHOWN) -> Evidence:
    """Read the bundle of a result, and up to `shown` of its sessions with their images.

    Raises:
        DataError: the bundle is not the verified one, or its verdicts do not give the summary's number.
        MicebenchError: it cannot be read.
    """
    bundle = read_bundle(result.bundle)
    if bundle.sha256 != result.verification.bundle_sha256:
        raise DataError(f"{result.bundle}: not the bundle that verification.json is about; run `micebench verify`")
    if (bundle.manifest.task, bundle.manifest.model) != (result.task, result.verification.model):
        raise DataError(f"{result.bundle}: a run of another task or model than verification.json says")
    run = _SubmittedRun(bundle)
    try:
        table = run.table()
    except (KeyError, IndexError, ValueError) as error:
        raise DataError(f"{result.bundle}: verdicts that do not fit its sessions; run `micebench verify`") from error
    stands = standing(result.summary, table)
    return Evidence(bundle.manifest, _values(run.manifest, table, result, stands), stands, _gallery(run, shown))


class _SubmittedRun(Run):
    """A bundle, read as a run. `images`: those that are to be shown, by sha256."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle.path, bundle.manifest)
        self.bundle = bundle
        self.images: dict[str, bytes] = {}

    def sessions(self) -> Iterator[Session]:
        nowhere = Blobs(Path())
        for line in self.bundle.sessions:
            turns = [{**turn, "invalid": dict.fromkeys(turn["invalid"], "")} for turn in line["turns"]]
            run_line = {**line, "turns": turns, "path": "", "provenance": ""}
            yield parse_session(run_line, self.manifest.task, nowhere)

    def edits(self) -> Iterator[EditRecord]:
        return iter(self.bundle.edits)

    def verdicts(self) -> Iterator[VerdictRecord]:
        return iter(self.bundle.verdicts)

    def blob(self, sha256: str) -> bytes:
        try:
            return self.images[sha256]
        except KeyError:
            raise DataError(f"{self.path}: holds no image {sha256[:12]}") from None

    def table(self) -> VerdictTable:
        lines, repeats = self.bundle.sessions, self.manifest.repeats
        row = {line["id"]: place * repeats for place, line in enumerate(lines)}
        width = max((len(line["turns"]) for line in lines), default=1)
        shape = (len(lines) * repeats, width)
        values = {metric: np.zeros(shape) for metric in self.manifest.metrics}
        status = {metric: np.full(shape, MISSING, dtype=np.int8) for metric in self.manifest.metrics}
        for one in self.bundle.verdicts:
            place = row[one.session] + one.repeat, one.turn - 1
            status[one.metric][place] = STATUS_CODES.index(one.status.value)
            values[one.metric][place] = one.value or 0.0
        return VerdictTable(
            sessions=np.repeat(np.array([line["id"] for line in lines], dtype=np.str_), repeats),
            tracks=np.repeat(np.array([line["track"] for line in lines], dtype=np.str_), repeats),
            edit_types=np.full(shape, "", dtype=np.str_),  # ranks know no edit types
            turns=np.repeat(np.array([len(line["turns"]) for line in lines], dtype=np.int64), repeats),
            values=values,
            status=status,
        )


def _values(manifest: Manifest, table: VerdictTable, result: Accepted, stands: Standing) -> PseudoValues | None:
    column = ranked_by(result.summary)
    if column is None:
        return None
    sides: list[Side] = ["value", column.worst_side] if stands.missing_verdicts else ["value"]
    try:
        found = [
            pseudo_values(table, column.name, column.turn, consistency=manifest.content_consistency, side=side)
            for side in sides
        ]
    except (KeyError, IndexError, ValueError) as error:
        raise DataError(f"{result.bundle}: verdicts that do not fit its sessions; run `micebench verify`") from error
    worst: Callable[..., PseudoValues | None] = max if column.lower_is_better else min
    values = worst((one for one in found if one is not None), key=lambda one: one.value, default=None)
    pairs = ((found[0], stands.value), (values, stands.bound))
    if any(one is None or told is None or abs(100.0 * one.value - told) > _TOLERANCE for one, told in pairs):
        raise DataError(
            f"{result.folder}/summary.json: {column.title} is not what the verdicts in bundle.zip give; "
            "run `micebench verify`"
        )
    return values


def _gallery(run: _SubmittedRun, shown: int) -> tuple[SessionCard, ...]:
    """Sessions as the report picks them, of those with all their images; of several repeats the first."""
    sources = {line["id"]: line["image"] for line in run.bundle.sessions}
    made = _made(run.bundle.edits)
    held = run.bundle.images
    found = {
        key: one
        for key, one in outcomes(run).items()
        if key[1] == 0 and sources[key[0]] in held and all(digest in held for digest in made.get(key, ()))
    }
    picked = pick(found, shown)
    wanted = {sources[name] for name, _ in picked} | {digest for key in picked for digest in made.get(key, ())}
    run.images = dict(run.bundle.pictures(wanted))
    shown_cards = zip(picked, cards(run, found, picked, reasons=False), strict=True)
    return tuple(replace(card, source=thumbnail(run.images[sources[name]])) for (name, _), card in shown_cards)


def _made(edits: Sequence[EditRecord]) -> Mapping[Key, list[str]]:
    made: dict[Key, list[str]] = {}
    for edit in edits:
        if edit.image is not None:
            made.setdefault((edit.session, edit.repeat), []).append(edit.image)
    return made
