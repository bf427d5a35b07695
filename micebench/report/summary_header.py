"""The top of the page: what was run, and the numbers most people come for."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micebench.cards import EditorCard, JudgeCard, TaskCard, find_cards
from micebench.cards.kinds import kind_of
from micebench.report.formatting import LEGITIMATE, interval, label, number, plural, visible
from micebench.report.tables import Table

if TYPE_CHECKING:
    from micebench.engine.run_reader import Run


def head(run: "Run") -> dict[str, Any]:
    """Title, facts, command and version of the page's header."""
    manifest = run.manifest
    versions = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    judge = manifest.judge or "none"
    version = (manifest.judge_card or {}).get("version")
    facts = [
        ("task", f"{manifest.task} (version {manifest.task_version})"),
        ("model", manifest.model),
        ("judge", f"{judge} (version {version})" if version else judge),
        ("sessions", f"{manifest.n_sessions:,} of {plural(manifest.turns, 'turn')}"),
        *([("repeats", str(manifest.repeats))] if manifest.repeats > 1 else []),
        ("context", manifest.context),
        ("seed", str(manifest.seed)),
        ("editing", " · ".join(usage_facts(run.usage()))),
        ("started", manifest.created.replace("T", " ").replace("+00:00", " UTC")),
        ("versions", versions),
    ]
    return {
        "model": visible(manifest.model, 120),
        "task": visible(manifest.task, 120),
        "facts": [(name, visible(value, 400)) for name, value in facts if value],
        "command": command(run),
        "version": visible(manifest.versions.get("micebench", ""), 40),
    }


def usage_facts(usage: Mapping[str, float]) -> list[str]:
    """What editing has cost, as far as the editor said: money, time in calls, attempts, tokens."""
    facts: list[str] = []
    for name, value in usage.items():
        if name == "cost_usd":
            facts.insert(0, f"{value:,.2f} USD" if value >= 0.01 else f"{value:.2g} USD")
        elif name == "latency_s":
            facts.append(f"{value:,.0f} s in calls" if value >= 10 else f"{value:.2g} s in calls")
        elif name == "attempts" or name.endswith("tokens"):
            facts.append(f"{value:,.0f} {name.replace('_', ' ')}")
    return facts


def command(run: "Run") -> str:
    """The command that makes this run; "" where the model is a Python object."""
    manifest = run.manifest
    if manifest.editor_card is None:
        return ""
    card = manifest.editor_card
    replayed = kind_of(str(card.get("editor"))) == "replay" and card.get("weights")
    known = card.get("id") in find_cards(EditorCard)
    model, adapter = manifest.model, card.get("adapter") or {}
    if replayed:
        model = f"replay:{card['weights']}"
    elif not known and card.get("weights") == ".":
        model = "DIR"  # a saved pipeline, wherever it lies
    elif adapter.get("weights"):
        model = str(card.get("id"))
    words = ["micebench", "run", "--model", model, "--task", manifest.task]
    source = manifest.task_card.get("data") or {}
    words += ["--data", "DIR"] if source.get("files") and not source.get("repo") else []  # wherever it lies
    placed = not replayed and Path(str(card.get("weights") or "")).is_absolute()
    words += ["--weights", "DIR"] if placed else []
    words += ["--adapter", "DIR"] if model != manifest.model and adapter.get("weights") else []
    words += ["--judge", manifest.judge] if manifest.judge else []
    words += ["--context", manifest.context, "--seed", str(manifest.seed)]
    words += ["--repeats", str(manifest.repeats)] if manifest.repeats > 1 else []
    words += ["--limit", str(manifest.limit)] if manifest.limit is not None else []
    shipped = (known or replayed or model == "DIR") and manifest.task in find_cards(TaskCard)
    shipped = shipped and (manifest.judge is None or manifest.judge in find_cards(JudgeCard))
    words += [] if shipped else ["--cards", "DIR"]
    return visible(shlex.join(words), 1000)


def tiles(summary: Mapping[str, Any], overall: Table) -> list[dict[str, str]]:
    """The numbers at the last turn that most people come for."""
    by_label = {row.label: row for row in overall.rows}
    names = ("turn_success", "overall", "content_consistency", "cumulative_awareness")
    shown: list[dict[str, str]] = []
    for name in names:
        row = by_label.get(label(name))
        if row is None or row.cells[-1].value is None:
            continue
        one = row.cells[-1]
        parts = (interval(one.low, one.high), "" if one.full else f"{one.n}/{one.of}")
        shown.append(
            {
                "name": row.label,
                "value": number(one.value),
                "unit": "%",
                "sub": " · ".join(part for part in parts if part),
            }
        )
    known = sum(counts.get("ok", 0) for counts in (summary.get("coverage") or {}).values())
    unknown = missing(summary)
    shown.append(
        {
            "name": "Verdicts scored",
            "value": f"{100 * known / (known + unknown):.1f}" if known + unknown else "–",
            "unit": "%" if known + unknown else "",
            "sub": f"{known:,} of {known + unknown:,}",
        }
    )
    return shown


def missing(summary: Mapping[str, Any]) -> int:
    """Verdicts that should have a value and do not."""
    return sum(
        count
        for counts in (summary.get("coverage") or {}).values()
        for status, count in counts.items()
        if status != "ok" and status not in LEGITIMATE
    )


def warning(summary: Mapping[str, Any]) -> str:
    """One sentence on missing verdicts; "" where there are none."""
    count = missing(summary)
    if not count:
        return ""
    verb = "is" if count == 1 else "are"
    return (
        f"{plural(count, 'verdict')} {verb} missing. Numbers are means of what was scored; "
        f"the bounds below say how far they could move."
    )
