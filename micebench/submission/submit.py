"""`submit`: a finished run as one bundle, for others to check. Equal runs give equal bytes."""

import json
import os
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from micebench.cards import CardFolders, judge_command
from micebench.engine.run_reader import Run, open_run
from micebench.errors import MicebenchError, RunError
from micebench.report.summary_header import command
from micebench.store.journal import write_error
from micebench.store.keys import sha256
from micebench.store.session_records import row_hash
from micebench.submission import card_checks
from micebench.submission.archive import MAX_MEMBERS, TEXT_LIMITS, image_member
from micebench.submission.bundle import FORMAT, bundle_line
from micebench.submission.coverage import check_coverage, lacking
from micebench.submission.errors import BundleError
from micebench.submission.png_checks import decoded, pixels_digest
from micebench.submission.rejudge import is_exact
from micebench.submission.sampling import EDITED_SHARE, commitment, detection_probability, drawn
from micebench.submission.schema import KEY_DIGITS, About, held, plain_usage, slug

KEPT_SESSIONS = 60
"""Sessions whose images a bundle with a sample keeps, unless told otherwise."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_PLAIN_FILE = 0o100644 << 16


@dataclass(frozen=True)
class Written:
    """A bundle that was written.

    Attributes:
        sessions, of: those whose images are in it, of all.
        detection_probability: see `sampling.detection_probability`.
    """

    path: Path
    bytes: int
    sessions: int
    of: int
    detection_probability: float


def submit(
    run: Path | str,
    *,
    name: str,
    contact: str,
    url: str | None = None,
    note: str = "",
    out: Path | str | None = None,
    images: str = "all",
    sessions: int = KEPT_SESSIONS,
    cards: CardFolders = (),
) -> Written:
    """Write a run as a bundle.

    Args:
        run: a finished run directory.
        name: how the model is to be listed.
        contact: where the maintainers reach the submitter; published.
        url: of the model or paper, http(s).
        note: anything else; published.
        out: the zip; None: ``TASK--SLUG.zip`` in the current directory.
        images: ``all``, or ``sample``: those of `sessions` sessions, drawn by a hash of all edits and verdicts.
        cards: further card folders.

    Raises:
        RunError: what may not be submitted, in one line with the remedy: a run that is limited, unfinished,
            not judged, with too few edits or verdicts (see `coverage`), or made with other cards than those
            that ship.
    """
    opened = open_run(run)
    about = _about({"name": name, "contact": contact, "url": url, "note": note})
    _admit(opened, about.name, cards)
    lines = _session_lines(opened)
    texts = {
        "sessions.jsonl": _jsonl(lines),
        "edits.jsonl": _jsonl(_typed(edit.to_line()) for edit in opened.edits()),
        "verdicts.jsonl": _jsonl(_short(_typed(verdict.to_line())) for verdict in opened.verdicts()),
        "summary.json": _json(opened.summary()),
    }
    ids = [line["id"] for line in lines]
    kept = _kept(ids, images, sessions, commitment(texts["edits.jsonl"], texts["verdicts.jsonl"]))
    pictures = _pictures(opened, lines, set(kept["sessions"]))
    files = {name: {"sha256": sha256(data), "bytes": len(data)} for name, data in texts.items()}
    files |= {image_member(image): {"sha256": image, "bytes": len(opened.blob(image))} for image in pictures}
    said = {
        "format": FORMAT,
        **about.model_dump(),
        "manifest": opened.manifest.model_dump(mode="json"),
        "command": command(opened),
        "images": kept,
        "files": files,
    }
    path = Path(out) if out is not None else Path(f"{opened.manifest.task}--{slug(about.name)}.zip")
    _write(path, {"submission.json": _json(said)} | texts, pictures, opened)
    chance = detection_probability(len(ids), len(kept["sessions"]))
    return Written(path, path.stat().st_size, len(kept["sessions"]), len(ids), chance)


def _about(fields: dict[str, Any]) -> About:
    try:
        return held(fields, About, "submission")
    except BundleError as error:
        where, _, fault = str(error).removeprefix("submission: ").partition(": ")
        raise RunError(f"--{where}: {fault.removeprefix('Value error, ')}") from error


def _admit(run: Run, name: str, cards: CardFolders) -> None:
    """Raises RunError unless the run is whole and is what its cards say."""
    manifest = run.manifest
    try:
        if manifest.judge is None:
            judge = manifest.task_card.get("judge") or "NAME"
            raise RunError(f"it has no verdicts; run `{judge_command(run.path, judge, cards=cards)}`")
        task = card_checks.known_task(manifest, cards)
        judge = card_checks.known_judge(manifest, task, cards)
        card_checks.known_model(manifest, name, task, cards)
        planned, there = manifest.n_sessions, len(run.edit_index().sessions)
        if there < planned:
            raise RunError(f"{there} of {planned} sessions; the same `micebench run` again finishes it")
        check_coverage(run.summary(), lacking(run.edit_index(), run.verdict_index()), exact=is_exact(judge))
    except MicebenchError as error:
        said = str(error).removeprefix(f"{run.path}: ").replace("judge RUN", f"judge {run.path}")
        raise RunError(f"{run.path} cannot be submitted: {said}") from error


def _session_lines(run: Run) -> list[dict[str, Any]]:
    """Session lines of the bundle; the sources are decoded once each, for what they show."""
    index = run.edit_index().sessions
    found: list[dict[str, Any]] = []
    for line in index.lines(range(len(index))):
        if line["image"] is None:
            raise RunError(f"{run.path} cannot be submitted: the source of session {line['id']!r} could not be read")
        try:
            pixels = pixels_digest(decoded(run.blob(line["image"])))
        except ValueError as error:
            raise RunError(f"{run.path}: the source image of session {line['id']!r} {error}") from error
        said = bundle_line(line, pixels)
        assert row_hash(said) == row_hash(line)
        found.append(said)
    return found


def _typed(line: dict[str, Any]) -> dict[str, Any]:
    return line | {"usage": plain_usage(line["usage"])} if "usage" in line else line


def _short(line: dict[str, Any]) -> dict[str, Any]:
    return line | {name: line[name][:KEY_DIGITS] for name in ("key", "edit")}


def _kept(ids: Sequence[str], images: str, sessions: int, seed: str) -> dict[str, Any]:
    if images not in ("all", "sample"):
        raise RunError(f"--images {images}: give all or sample")
    if images == "all" or sessions >= len(ids):
        return {"kept": "all", "seed": None, "sessions": list(ids), "rule": "the images of all sessions"}
    return {
        "kept": "sample",
        "seed": seed,
        "sessions": drawn(ids, sessions, seed),
        "rule": f"the images of {sessions} of {len(ids)} sessions: those whose sha256 of seed, blank and id is "
        "least; the seed is the sha256 of the sha256 of edits.jsonl and that of verdicts.jsonl. A chance of "
        f"{detection_probability(len(ids), sessions):.1%} to hold an altered session, if {EDITED_SHARE:.0%} were",
    }


def _pictures(run: Run, lines: Sequence[dict[str, Any]], kept: set[str]) -> list[str]:
    found = {line["image"] for line in lines if line["id"] in kept}
    found |= {edit.image for edit in run.edits() if edit.image is not None and edit.session in kept}
    if len(found) + len(TEXT_LIMITS) > MAX_MEMBERS:
        raise RunError(f"{len(found):,} images are more than a bundle holds; give --images sample")
    return sorted(found)


def _write(path: Path, texts: dict[str, bytes], pictures: Sequence[str], run: Run) -> None:
    """One zip, written beside and renamed: fixed order, dates and rights."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with zipfile.ZipFile(beside, "w", allowZip64=False) as bundle:
                for name, data in texts.items():
                    _add(bundle, name, data)
                for image in pictures:
                    _add(bundle, image_member(image), run.blob(image))
            os.replace(beside, path)
        except zipfile.LargeZipFile as error:
            raise RunError(f"{path}: more than 4 GiB; give --images sample") from error
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(path, error) from error


def _add(bundle: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system, info.external_attr, info.compress_type = 3, _PLAIN_FILE, zipfile.ZIP_DEFLATED
    bundle.writestr(info, data, compresslevel=9)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode("ascii")


def _jsonl(lines: Iterable[dict[str, Any]]) -> bytes:
    """ASCII, so that a judge's words are JSON whatever is in them."""
    return b"".join(
        json.dumps(line, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n" for line in lines
    )
