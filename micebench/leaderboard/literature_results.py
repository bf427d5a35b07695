"""Numbers that others have published: ``results/<task>/reported.yaml``, and the table they make."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from micebench.report.formatting import LABELS, MEANINGS, label, visible
from micebench.report.summary_columns import LOWER_IS_BETTER
from micebench.submission import schema

_Share = Annotated[FiniteFloat, Field(ge=0.0, le=100.0)]


class ReportedRow(BaseModel):
    """Numbers that someone has published, and nobody here has computed.

    Attributes:
        metrics: name of summary.json -> turn -> percent.
        second_hand: the source was not read itself, only someone's account of it; `note` says whose.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    source: str = Field(min_length=1, description="the publication in words")
    url: str = ""
    metrics: dict[str, dict[int, _Share]] = Field(min_length=1)
    note: str = ""
    second_hand: bool = False


class ReportedFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rows: tuple[ReportedRow, ...]


def web_address(text: str | None) -> str:
    """`text` if it is an address that may be linked (see `micebench submit --url`), else ""."""
    try:
        return schema.web_address(text or "")
    except ValueError:
        return ""


def reported_table(rows: Sequence[ReportedRow]) -> dict[str, Any] | None:
    """Rows over (metric, turn), with as many decimals as were published, and the sources they refer to by number."""
    if not rows:
        return None
    named = {name for row in rows for name in row.metrics}
    names = [*(name for name in LABELS if name in named), *sorted(named - set(LABELS))]
    turns = {name: sorted({turn for row in rows for turn in row.metrics.get(name, ())}) for name in names}
    digits = {
        name: max(_decimals(value) for row in rows for value in row.metrics.get(name, {}).values()) for name in names
    }
    sources: dict[tuple[str, str, str], int] = {}
    shown = [
        {
            "name": visible(row.name, 80),
            "cells": [
                "–" if (value := row.metrics.get(name, {}).get(turn)) is None else f"{value:.{digits[name]}f}"
                for name in names
                for turn in turns[name]
            ],
            "source": sources.setdefault((row.source, row.url, row.note), len(sources) + 1),
            "second_hand": row.second_hand,
        }
        for row in sorted(rows, key=lambda row: row.name.casefold())
    ]
    groups = [
        {
            "title": label(name),
            "hint": MEANINGS.get(name, ""),
            "lower_is_better": name in LOWER_IS_BETTER,
            "turns": turns[name],
        }
        for name in names
    ]
    listed = [
        {"words": visible(words, 300), "url": web_address(url), "note": visible(note, 400)}
        for words, url, note in sources
    ]
    return {"groups": groups, "rows": shown, "sources": listed}


def _decimals(value: float) -> int:
    return len(f"{value:g}".partition(".")[2])
