"""A bundle as it was read: safely, and with nothing in it believed yet (see `verify`)."""

import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from micebench.store.manifest import Manifest
from micebench.store.records import EditRecord, VerdictRecord
from micebench.submission import strict_json
from micebench.submission.archive import TEXT_LIMITS, Archive, image_member
from micebench.submission.errors import BundleError
from micebench.submission.sampling import commitment_of
from micebench.submission.schema import (
    MAX_SESSIONS,
    EditLine,
    Member,
    SessionLine,
    Submission,
    VerdictLine,
    held,
)

FORMAT = 1
MAX_REPEATS = 1000
MAX_EDITS = 250_000
MAX_VERDICTS = 1_000_000
_SLACK = 10_000  # lines too many that are read, so that the check "units" can name the first one
_REASON = 600  # characters
_REASONS = 32 << 20
_UNUSED = ("votes", "raw", "usage", "latency_s")


@dataclass(frozen=True)
class Bundle:
    """What a bundle says.

    Attributes:
        path: the zip.
        sha256: of the whole file.
        submission: ``submission.json``: who, the run's manifest, which images are kept.
        sessions: lines of ``sessions.jsonl``, as `form.SessionLine` describes them, in the bundle's order.
        edits, verdicts: records in the bundle's order, without votes, raw replies, usage and latency, which are
            checked and not kept, and with the beginnings of reasons; the keys of verdicts are cut to
            `form.KEY_DIGITS`.
        summary: ``summary.json`` as submitted.
        seed: the commitment that the bundle's own sample must be drawn with.
        images: sha256 of the images that it holds.
    """

    path: Path
    sha256: str
    submission: Submission
    sessions: tuple[dict[str, Any], ...] = field(repr=False)
    edits: tuple[EditRecord, ...] = field(repr=False)
    verdicts: tuple[VerdictRecord, ...] = field(repr=False)
    summary: dict[str, Any] = field(repr=False)
    seed: str
    images: frozenset[str] = field(repr=False)

    @property
    def manifest(self) -> Manifest:
        """The run's manifest, as submitted."""
        return self.submission.manifest

    def pictures(self, digests: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """(sha256, PNG bytes) of some images, in order of their hash, each held against its name again.

        Raises BundleError if one is not there.
        """
        with Archive(self.path) as archive:
            for digest in sorted(set(digests)):
                if digest not in self.images:
                    raise BundleError("images", f"image {digest[:12]}... is not in the bundle")
                png = archive.read(image_member(digest))
                if hashlib.sha256(png).hexdigest() != digest:
                    raise BundleError("hashes", f"{image_member(digest)} is not the image its name says")
                yield digest, png

    def image(self, digest: str) -> bytes:
        """PNG bytes of one image; not decoded, so not known to be harmless. Raises BundleError."""
        return next(self.pictures([digest]))[1]


def read_bundle(path: Path | str) -> Bundle:
    """Read a bundle: as a zip, as JSON of the agreed form, and against its own hashes. Images are not decoded.

    Lines are read one by one, and no more of them than sessions, turns, repeats and metrics allow.

    Raises:
        BundleError: the first thing that is wrong, with `BundleError.check` archive, form or hashes.
    """
    path = Path(path)
    with Archive(path) as archive:
        submission = held(
            strict_json.parse(archive.read("submission.json"), "submission.json"), Submission, "submission.json"
        )
        _check_hashes(archive, submission.files)
        summary = strict_json.parse(archive.read("summary.json"), "summary.json")
        sessions: list[dict[str, Any]] = []
        for place, line in strict_json.lines(archive.chunks("sessions.jsonl"), "sessions.jsonl", MAX_SESSIONS):
            held(line, SessionLine, place)
            sessions.append(line)
        units = sum(len(line["turns"]) for line in sessions) * max(1, min(submission.manifest.repeats, MAX_REPEATS))
        edits = _edits(archive, min(units, MAX_EDITS) + _SLACK)
        metrics = len(submission.manifest.metrics)
        verdicts = _verdicts(archive, min(units * metrics, MAX_VERDICTS) + _SLACK)
        return Bundle(
            path=path,
            sha256=archive.sha256(),
            submission=submission,
            sessions=tuple(sessions),
            edits=edits,
            verdicts=verdicts,
            summary=summary,
            seed=commitment_of(submission.files["edits.jsonl"].sha256, submission.files["verdicts.jsonl"].sha256),
            images=frozenset(name[7:-4] for name in archive.names if name not in TEXT_LIMITS),
        )


def bundle_line(line: Mapping[str, Any], pixels: str) -> dict[str, Any]:
    """A session of a run (``sessions.jsonl``) as a bundle says it: without places on the submitter's disk."""
    said = {name: line[name] for name in ("id", "track", "rule", "category", "image")}
    said["pixels"] = pixels
    said["turns"] = [{**turn, "invalid": sorted(turn["invalid"])} for turn in line["turns"]]
    return said


class _Reasons:
    """What is kept of the reasons: as much of each as a page shows, and no more than `_REASONS` characters in all."""

    def __init__(self) -> None:
        self._left = _REASONS

    def kept(self, reason: str) -> str:
        shown = reason[: min(_REASON, self._left)]
        self._left -= len(shown)
        return shown


def _edits(archive: Archive, most: int) -> tuple[EditRecord, ...]:
    found: list[EditRecord] = []
    reasons = _Reasons()
    for place, line in strict_json.lines(archive.chunks("edits.jsonl"), "edits.jsonl", most):
        held(line, EditLine, place)
        found.append(EditRecord.from_line(_kept(line, reasons)))
    return tuple(found)


def _verdicts(archive: Archive, most: int) -> tuple[VerdictRecord, ...]:
    found: list[VerdictRecord] = []
    reasons = _Reasons()
    for place, line in strict_json.lines(archive.chunks("verdicts.jsonl"), "verdicts.jsonl", most):
        held(line, VerdictLine, place)
        found.append(VerdictRecord.from_line(_kept(line, reasons)))
    return tuple(found)


def _kept(line: dict[str, Any], reasons: _Reasons) -> dict[str, Any]:
    """A line without what is checked but never used; texts that recur are kept once."""
    kept = {name: value for name, value in line.items() if name not in _UNUSED}
    kept |= {name: sys.intern(line[name]) for name in ("session", "metric", "edit") if name in line}
    return kept | {"reason": reasons.kept(line.get("reason", ""))}


def _check_hashes(archive: Archive, stated: Mapping[str, Member]) -> None:
    """Every member but submission.json is in its table, with these bytes; images are named by their hash."""
    there = [name for name in archive.names if name != "submission.json"]
    if set(stated) != set(there):
        odd = min(set(stated) ^ set(there))
        where = "in the zip but not in submission.json" if odd in there else "in submission.json but not in the zip"
        raise BundleError("hashes", f"{odd[:120]!r} is {where}")
    for name in there:
        digest, size = hashlib.sha256(), 0
        for chunk in archive.chunks(name):
            digest.update(chunk)
            size += len(chunk)
        sha256 = digest.hexdigest()
        if name not in TEXT_LIMITS and image_member(sha256) != name:
            raise BundleError("hashes", f"{name} is not the image its name says: images were swapped or changed")
        if stated[name].sha256 != sha256 or stated[name].bytes != size:
            raise BundleError("hashes", f"{name} is not what submission.json says: it was changed afterwards")
