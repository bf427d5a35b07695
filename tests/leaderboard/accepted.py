"""Accepted results made from runs: bundles of `submit`, beside the two files that `verify --accept` writes."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from micebench.engine.run_reader import Run
from micebench.submission import submit

CHECKS = [
    {"check": "hashes", "outcome": "passed", "detail": "every file is what submission.json says"},
    {"check": "verdicts", "outcome": "passed", "detail": "all asked again"},
]


def accept(
    run: Run,
    results: Path,
    name: str,
    *,
    mark: str = "verified",
    cards: Sequence[Path] = (),
    sample: int | None = None,
    **fields: Any,
) -> Path:
    """Write ``results/<task>/<slug>/`` from a run; `sample`: number of sessions whose images are kept, None: all."""
    folder = results / run.manifest.task / name.lower()
    folder.mkdir(parents=True, exist_ok=True)
    kept = {} if sample is None else {"images": "sample", "sessions": sample}
    submit(run.path, name=name, contact="someone@example.org", out=folder / "bundle.zip", cards=cards, **kept)
    write(folder / "summary.json", run.summary())
    verification = {
        "format": 1,
        "name": name,
        "slug": name.lower(),
        "model": run.manifest.model,
        "task": run.manifest.task,
        "contact": "someone@example.org",
        "url": "https://example.org/model",
        "bundle_sha256": hashlib.sha256((folder / "bundle.zip").read_bytes()).hexdigest(),
        "mark": mark,
        "checks": CHECKS,
        "verdicts_recomputed": 120 if mark == "verified" else 0,
        "of": 120,
        "detection_probability": 1.0 if mark == "verified" else 0.0,
        "micebench": "0.1.0",
        "command": f"micebench verify {name.lower()}.zip --accept results/",
    }
    write(folder / "verification.json", verification | fields)
    return folder


def copy(folder: Path, slug: str, **fields: Any) -> Path:
    """The same result again under another slug, with some fields of its verification changed."""
    other = folder.parent / slug
    shutil.copytree(folder, other)
    change(other / "verification.json", slug=slug, **fields)
    return other


def change(path: Path, **fields: Any) -> None:
    """Overwrite some fields of a JSON file."""
    write(path, json.loads(path.read_text()) | fields)


def write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")
