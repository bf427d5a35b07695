"""A board of many models, made in memory from one accepted result."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from micebench.leaderboard.bundle_reader import read_evidence
from micebench.leaderboard.literature_results import ReportedRow
from micebench.leaderboard.pages import index_page, script, stylesheet
from micebench.leaderboard.ranking import Entry, boards
from micebench.leaderboard.results import Accepted
from micebench.metrics.ranks import PseudoValues

SESSIONS = 240


def write_many(like: Accepted, count: int, out: Path) -> Path:
    """``index.html`` of `count` models (and one reported row) with its style and script; returns its path."""
    reported = ReportedRow(
        name="Reported", source="a paper", url="https://example.org", metrics={"overall": {3: 40.0}}
    )
    out.mkdir(parents=True, exist_ok=True)
    (out / "index.html").write_text(index_page(boards(many(like, count)), {like.task: (reported,)}))
    (out / "leaderboard.css").write_text(stylesheet())
    (out / "leaderboard.js").write_text(script())
    return out / "index.html"


def many(like: Accepted, count: int) -> Iterator[Entry]:
    """`count` entries of different skill over the same sessions."""
    manifest = read_evidence(like, shown=0).manifest
    rng = np.random.default_rng(0)
    hard = rng.random(SESSIONS)
    ids = tuple(f"s{place:04d}" for place in range(SESSIONS))
    for place in range(count):
        skill = (place * 7919 % count) / count  # in no order
        terms = (hard + 0.3 * rng.standard_normal(SESSIONS) < skill).astype(float)
        value = float(terms.mean())
        mark = "self-reported" if place % 3 == 0 else "verified"
        said = like.verification.model_copy(
            update={"name": f"Editor {place:03d}", "slug": f"editor-{place:03d}", "mark": mark}
        )
        result = replace(like, verification=said, summary=_summary(like.summary, 100 * value, rng))
        yield Entry(result, manifest, PseudoValues(value, ids, terms))


def _summary(like: Any, value: float, rng: np.random.Generator) -> dict[str, Any]:
    summary = json.loads(json.dumps(like))
    for by_turn in summary["metrics"].values():
        for cell in by_turn.values():
            if cell["value"] is not None:
                moved = float(np.clip(value + 20 * rng.random(), 0, 100))
                cell |= _cell(moved)
    summary["metrics"]["overall"]["3"] |= _cell(value)
    return summary


def _cell(value: float) -> dict[str, float]:
    """Nothing is missing: both bounds are the value."""
    ends = {"low": max(value - 6, 0.0), "high": min(value + 6, 100.0)}
    return {"value": value, "at_least": value, "at_most": value, **ends}
