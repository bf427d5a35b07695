"""Accepted bundles: the three files of a result that `micebench verify --accept` writes."""

import json
from pathlib import Path
from typing import Any

import micebench
from micebench.errors import RunError
from micebench.store.keys import sha256
from micebench.store.manifest import write_atomically
from micebench.submission.archive import MAX_FILE_BYTES, open_file
from micebench.submission.names import check_unlike_accepted
from micebench.submission.schema import slug
from micebench.submission.verify import Verification

FORMAT = 1


def to_json(found: Verification) -> dict[str, Any]:
    """The content of ``verification.json``; what could not be read is None."""
    bundle = found.bundle
    said = bundle.submission if bundle else None
    stands = found.standing
    return {
        "format": FORMAT,
        "name": said.name if said else None,
        "slug": slug(said.name) if said else None,
        "model": said.manifest.model if said else None,
        "task": said.manifest.task if said else None,
        "contact": said.contact if said else None,
        "url": said.url if said else None,
        "bundle_sha256": bundle.sha256 if bundle else None,
        "mark": found.mark,
        "checks": [{"check": c.check, "outcome": c.outcome, "detail": c.detail} for c in found.checks],
        "verdicts_recomputed": found.verdicts_recomputed,
        "of": found.of,
        "detection_probability": found.detection_probability,
        "missing": {"verdicts": stands.missing_verdicts, "sessions": stands.missing_sessions} if stands else None,
        "ranked_by": {"number": stands.title, "value": stands.value, "bound": stands.bound} if stands else None,
        "micebench": micebench.__version__,
        "command": found.command,
    }


def accept(found: Verification, results: Path) -> Path:
    """Write ``results/<task>/<slug>/{bundle.zip, summary.json, verification.json}``; returns the folder.

    Raises:
        BundleError: the name looks like that of another accepted result.
        RunError: a check failed, the bundle was changed meanwhile, or the folder holds somebody else's result.
    """
    bundle = found.bundle
    if bundle is None or found.summary is None or not found.passed:
        failed = next(check for check in found.checks if check.outcome == "failed")
        raise RunError(f"{found.path} is not accepted: {failed.check}: {failed.detail}")
    name = bundle.submission.name
    check_unlike_accepted(name, slug(name), results)
    folder = results / bundle.manifest.task / slug(name)
    _check_owner(folder, bundle.submission.contact)
    try:
        with open_file(found.path) as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise RunError(f"{found.path}: {error.strerror or error}; verify it again") from error
    if sha256(data) != bundle.sha256:
        raise RunError(f"{found.path} was changed while it was verified; verify it again")
    files = {
        "bundle.zip": data,
        "summary.json": _json(found.summary),
        "verification.json": _json(to_json(found)),
    }
    for name, content in files.items():
        write_atomically(folder / name, content)
    return folder


def _check_owner(folder: Path, contact: str) -> None:
    """A result is replaced by its own submitter only."""
    try:
        owner = json.loads((folder / "verification.json").read_text(encoding="utf-8"))["contact"]
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{folder}/verification.json cannot be read ({error}); delete the folder") from error
    if owner != contact:
        raise RunError(f"{folder} holds the result of another contact; submit under another --name, or delete it")


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
