"""A bundle as it was read: safely, and with nothing in it believed yet (see `verify`)."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from micebench.report.submission import strict_json
from micebench.report.submission.archive import TEXT_LIMITS, Archive, image_member, open_file
from micebench.report.submission.form import EditLine, SessionLine, Submission, VerdictLine, held
from micebench.report.submission.refusal import BundleError
from micebench.report.submission.sampling import commitment
from micebench.store.manifest import Manifest
from micebench.store.records import EditRecord, VerdictRecord

FORMAT = 1


@dataclass(frozen=True)
class Bundle:
    """What a bundle says.

    Attributes:
        path: the zip.
        sha256: of the whole file.
        submission: ``submission.json``: who, the run's manifest, which images are kept.
        sessions: lines of ``sessions.jsonl``, as `form.SessionLine` describes them, in the bundle's order.
        edits, verdicts: records in the bundle's order; the keys of verdicts are cut to `form.KEY_DIGITS`.
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

    Raises:
        BundleError: the first thing that is wrong, with `BundleError.check` archive, form or hashes.
    """
    path = Path(path)
    with Archive(path) as archive:
        texts = {name: archive.read(name) for name in TEXT_LIMITS}
        submission = held(
            strict_json.parse(texts["submission.json"], "submission.json"), Submission, "submission.json"
        )
        _check_hashes(archive, texts, submission)
        summary = strict_json.parse(texts["summary.json"], "summary.json")
        sessions: list[dict[str, Any]] = []
        for place, line in strict_json.lines(texts["sessions.jsonl"], "sessions.jsonl"):
            held(line, SessionLine, place)
            sessions.append(line)
        edits, verdicts = _edits(texts["edits.jsonl"]), _verdicts(texts["verdicts.jsonl"])
        names = archive.names
    return Bundle(
        path=path,
        sha256=file_sha256(path),
        submission=submission,
        sessions=tuple(sessions),
        edits=edits,
        verdicts=verdicts,
        summary=summary,
        seed=commitment(texts["edits.jsonl"], texts["verdicts.jsonl"]),
        images=frozenset(name[7:-4] for name in names if name not in TEXT_LIMITS),
    )


def file_sha256(path: Path) -> str:
    """sha256 of a file. Raises BundleError if it cannot be read."""
    try:
        with open_file(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BundleError("archive", f"{path}: {error.strerror or error}") from error


def bundle_line(line: Mapping[str, Any], pixels: str) -> dict[str, Any]:
    """A session of a run (``sessions.jsonl``) as a bundle says it: without places on the submitter's disk."""
    said = {name: line[name] for name in ("id", "track", "rule", "category", "image")}
    said["pixels"] = pixels
    said["turns"] = [{**turn, "invalid": sorted(turn["invalid"])} for turn in line["turns"]]
    return said


def _edits(data: bytes) -> tuple[EditRecord, ...]:
    found: list[EditRecord] = []
    for place, line in strict_json.lines(data, "edits.jsonl"):
        held(line, EditLine, place)
        found.append(EditRecord.from_line(line))
    return tuple(found)


def _verdicts(data: bytes) -> tuple[VerdictRecord, ...]:
    found: list[VerdictRecord] = []
    for place, line in strict_json.lines(data, "verdicts.jsonl"):
        held(line, VerdictLine, place)
        found.append(VerdictRecord.from_line(line))
    return tuple(found)


def _check_hashes(archive: Archive, texts: Mapping[str, bytes], submission: Submission) -> None:
    """Every member but submission.json is in its table, with these bytes; images are named by their hash."""
    stated, there = submission.files, [name for name in archive.names if name != "submission.json"]
    if set(stated) != set(there):
        odd = min(set(stated) ^ set(there))
        where = "in the zip but not in submission.json" if odd in there else "in submission.json but not in the zip"
        raise BundleError("hashes", f"{odd[:120]!r} is {where}")
    for name in there:
        digest, size = hashlib.sha256(), 0
        for chunk in [texts[name]] if name in texts else archive.chunks(name):
            digest.update(chunk)
            size += len(chunk)
        sha256 = digest.hexdigest()
        if name not in texts and image_member(sha256) != name:
            raise BundleError("hashes", f"{name} is not the image its name says: images were swapped or changed")
        if stated[name].sha256 != sha256 or stated[name].bytes != size:
            raise BundleError("hashes", f"{name} is not what submission.json says: it was changed afterwards")
