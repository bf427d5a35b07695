"""Publishing: a model's README, figures and paired differences, written where the repository keeps them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from micebench.cards import CardFolders, EditorCard
from micebench.comparison.paired_runs import Comparison, compare
from micebench.errors import RunError
from micebench.metrics.exposure import exposure_gap
from micebench.publish.eligibility import Evidence, admit
from micebench.publish.model_card import Making, gain_file, model_card
from micebench.report.contact_sheet import contact_sheet
from micebench.report.plots import curve_figure, rewards_figure, turns_figure
from micebench.report.training_curve import Curve, read_curve
from micebench.store.manifest import write_atomically


def publish(
    model: str,
    runs: Sequence[Path],
    *,
    reference: Path | None = None,
    against: Sequence[Path] = (),
    out: Path = Path(),
    cards: CardFolders = (),
) -> list[Path]:
    """Write ``baselines/<model>/README.md`` with its figures, and the differences between runs it shows.

    The numbers of single runs in ``results/`` are those of accepted submissions (`micebench.submission`).
    Equal runs give equal bytes. Nothing is written unless every run may be published.

    Args:
        model: id of the model's card.
        runs: finished runs, one per task; the first is the one whose sessions are shown.
        reference: a run of single turns from the reference state (mice-mini-reference).
        against: runs of other models on some of these tasks, usually of the one that training started from.
        out: folder that holds ``results/`` and ``baselines/``, usually the repository.
        cards: further card folders.

    Returns:
        The files written.

    Raises:
        MicebenchError: see `admit`; a training curve that cannot be read; a disk that refuses.
    """
    evidence = admit(model, runs, reference, against, cards)
    home = evidence.card.folder or Path()
    curve = read_curve(home / "curve.jsonl") if (home / "curve.jsonl").is_file() else {}
    making = Making(_text(home / "recipe.yaml"), _text(home / "notes.md"), bool(curve), _weights_mib(evidence.card))
    gap = _gap(evidence)
    files: dict[Path, bytes] = {}
    if gap is not None and evidence.whole is not None:
        manifest = evidence.whole.manifest
        files[Path("results") / manifest.task / manifest.model / "exposure_gap.json"] = _json(gap)
    found = [compare(other, evidence.of_task(other.manifest.task)) for other in evidence.against]
    files |= {Path("results") / gain_file(one): _json(_portable(one)) for one in found}
    page = Path("baselines") / model
    files[page / "README.md"] = model_card(evidence, making, gap, found).encode()
    files |= {page / name: data for name, data in _figures(evidence, making, curve).items()}
    if curve:
        files[page / "curve.jsonl"] = (home / "curve.jsonl").read_bytes()
    for path, data in files.items():
        write_atomically(out / path, data)
    return [out / path for path in files]


def _gap(evidence: Evidence) -> dict[str, Any] | None:
    if evidence.reference is None or evidence.whole is None:
        return None
    try:
        return exposure_gap(evidence.whole.table(), evidence.reference.table())
    except ValueError as error:
        raise RunError(f"{evidence.reference.path}: {error}") from error


def _portable(found: Comparison) -> dict[str, Any]:
    """Without the paths of the two runs."""
    sides = {side: {k: v for k, v in getattr(found, side).items() if k != "path"} for side in ("a", "b")}
    return found.to_json() | sides


def _figures(evidence: Evidence, making: Making, curve: Curve) -> dict[str, bytes]:
    drawn = {"turns.png": turns_figure(evidence.runs), "sessions.png": contact_sheet(evidence.runs[0])}
    draw = rewards_figure if making.start else curve_figure
    return drawn | ({"curve.png": draw(curve)} if curve else {})


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def _weights_mib(card: EditorCard) -> float:
    if card.weights is None:
        return 0.0
    return sum(path.stat().st_size for path in card.weights_folder().rglob("*") if path.is_file()) / 2**20


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
