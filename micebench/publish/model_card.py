"""The README of a model, generated: what it is, how it was made, and what it scores, from its runs alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from micebench.instructions import EDIT_TYPES
from micebench.publish.difference_tables import by_kind, by_metric
from micebench.publish.eligibility import Evidence
from micebench.report.formatting import interval, number, p_value
from micebench.report.markdown import table
from micebench.report.summary_header import command
from micebench.report.tables import turn_numbers
from micebench.sessions import TRACKS

if TYPE_CHECKING:
    from micebench.comparison.paired_runs import Comparison
    from micebench.engine.run_reader import Run

Cell = Mapping[str, Any]

_COLUMNS = {
    "marginal_success": "marginal<br>success",
    "turn_success": "turn-*k*<br>success",
    "content_consistency": "CC",
    "overall": "overall",
    "global_awareness": "GA",
    "cumulative_awareness": "cumulative<br>GA",
}
_WEAR = {"collapse": "collapse", "quality_drift": "quality<br>drift"}
_ALL_SHOWN = 3  # turns up to which a table by track has them all


@dataclass(frozen=True, slots=True)
class Section:
    """The tables of one run, as Markdown."""

    task: str
    what: str
    sessions: int
    by_turn: str
    by_track: str
    independence: str
    by_type: str
    first_failures: str
    results: str


@dataclass(frozen=True, slots=True)
class Making:
    """How the model was made, from the files beside its card; empty where there is none.

    Attributes:
        recipe: text of ``recipe.yaml``.
        notes: text of ``notes.md``: what only people know, e.g. on which machine it was trained.
        curve: there is a figure of the training.
        weights_mib: size of the weights.
    """

    recipe: str = ""
    notes: str = ""
    curve: bool = False
    weights_mib: float = 0.0

    @property
    def seed(self) -> int:
        return self._says.get("seed", 0)

    @property
    def start(self) -> str:
        """The model that it was post-trained from; "" for a training of its own."""
        return self._says.get("model", "")

    @property
    def _says(self) -> Mapping[str, Any]:
        return yaml.safe_load(self.recipe) or {}


@dataclass(frozen=True, slots=True)
class Gain:
    """Compared with another model on one task, as Markdown."""

    task: str
    before: str
    by_metric: str
    by_kind: str
    sessions: int
    results: str


def model_card(
    evidence: Evidence,
    making: Making,
    exposure: Mapping[str, Any] | None,
    comparisons: Sequence["Comparison"] = (),
) -> str:
    """Markdown; `exposure` as from `exposure_gap`, None without a reference run; `comparisons` with other models."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("micebench.publish", "templates"),
        autoescape=False,  # Markdown; every word comes from cards of the repository
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("model_card.md.j2").render(
        card=evidence.card,
        making=making,
        commands=[f"{command(run)} \\\n  --out {usual_folder(run)}" for run in evidence.all_runs],
        publish=_publish_command(evidence),
        sections=[_section(run) for run in evidence.runs],
        exposure=_exposure(exposure) if exposure else "",
        gains=[_gain(found) for found in comparisons],
        reference=evidence.reference.manifest.task if evidence.reference else "",
        whole=evidence.whole.manifest.task if evidence.whole else "",
        provenance=_provenance(evidence),
    )


def usual_folder(run: "Run") -> str:
    """Where the commands of the card put a run."""
    return f"runs/{run.manifest.task}--{run.manifest.model}"


def gain_file(found: "Comparison") -> str:
    """Where a comparison is kept, below ``results/``."""
    return f"{found.task}/{found.b['model']}/against-{found.a['model']}.json"


def _gain(found: "Comparison") -> Gain:
    numbers, before = found.numbers, found.a["model"]
    heads = (before, found.b["model"])
    return Gain(
        found.task,
        before,
        by_metric(numbers["metrics"], heads),
        by_kind(numbers, heads),
        numbers["n_paired"],
        f"../../results/{gain_file(found)}",
    )


def _publish_command(evidence: Evidence) -> str:
    words = [f"micebench publish {evidence.card.id}", *(usual_folder(run) for run in evidence.runs)]
    words += [f"--reference {usual_folder(evidence.reference)}"] if evidence.reference else []
    words += [f"--against {usual_folder(run)}" for run in evidence.against]
    return " \\\n  ".join(words)


def _section(run: "Run") -> Section:
    summary = run.summary()
    return Section(
        task=run.manifest.task,
        what=run.manifest.task_card.get("description", ""),
        sessions=run.manifest.n_sessions,
        by_turn=_by_turn(summary),
        by_track=_by_track(summary),
        independence=_independence(summary),
        by_type=_by_type(summary),
        first_failures=_first_failures(summary),
        results=f"../../results/{run.manifest.task}/{run.manifest.model}/summary.json",
    )


def _by_turn(summary: Mapping[str, Any]) -> str:
    names = _COLUMNS | _WEAR
    rows = [[turn, *_cells(summary["metrics"], names, turn)] for turn in turn_numbers(summary)]
    return table(["turn *k*", *names.values(), "n"], rows)


def _by_track(summary: Mapping[str, Any]) -> str:
    tracks: Mapping[str, Any] = summary["tracks"]
    turns = turn_numbers(summary)
    shown = turns if len(turns) <= _ALL_SHOWN else [turns[0], turns[(len(turns) - 1) // 2], turns[-1]]
    rows = [
        [track, turn, *_cells(tracks[track], _COLUMNS, turn)] for track in _ordered(tracks, TRACKS) for turn in shown
    ]
    return table(["track", "turn *k*", *_COLUMNS.values(), "n"], rows)


def _cells(metrics: Mapping[str, Mapping[str, Cell]], names: Iterable[str], turn: str) -> list[str]:
    """A row's numbers, then how many sessions have this turn; a number over fewer says so."""
    chosen = [metrics[name][turn] for name in names]
    of = max(cell["of"] for cell in chosen)
    return [*(_number(cell, of) for cell in chosen), str(of)]


def _independence(summary: Mapping[str, Any]) -> str:
    """Success of all turns beside the first turn's success to that power, for all sessions and per track."""
    last = turn_numbers(summary)[-1]
    rows: list[list[str]] = []
    groups = {"all": summary["metrics"]} | {t: summary["tracks"][t] for t in _ordered(summary["tracks"], TRACKS)}
    for name, metrics in groups.items():
        first, whole = metrics["marginal_success"]["1"], metrics["turn_success"][last]
        if first["value"] is None or whole["value"] is None:
            continue
        power = {
            end: 100 * (first[end] / 100) ** int(last) for end in ("value", "low", "high") if first[end] is not None
        }
        rows.append([name, _number(first), _number(power), _number(whole), _versus(whole, power), str(whole["n"])])
    power_name = "turn 1 cubed" if last == "3" else f"turn 1 to the power {last}"
    heads = ["sessions", "turn-1 success", power_name, f"turn-{last} success", f"turn-{last} is", "n"]
    return table(heads, rows) if last != "1" else ""


def _versus(whole: Cell, power: Cell) -> str:
    if whole["low"] is None or "low" not in power:
        return "–"
    if whole["high"] < power["low"]:
        return "lower"
    return "higher" if whole["low"] > power["high"] else "not told apart"


def _by_type(summary: Mapping[str, Any]) -> str:
    pooled, by_turn = summary["edit_types"], summary["edit_types_by_turn"]
    rows = []
    for kind in _ordered(pooled, EDIT_TYPES):
        first = by_turn[kind]["1"]
        rows.append([kind, _number(first), str(first["n"]), _number(pooled[kind]), str(pooled[kind]["n"])])
    return table(["edit type", "turn 1", "n", "all turns", "n"], rows)


def _first_failures(summary: Mapping[str, Any]) -> str:
    counts: Mapping[str, int] = summary["first_failure"]
    turns = sorted((key for key in counts if key.isdecimal()), key=int)
    return ", ".join([*(f"turn {turn}: {counts[turn]}" for turn in turns), f"none: {counts['none']}"])


def _exposure(found: Mapping[str, Any]) -> str:
    heads = ["", "from the reference state", "from its own output", "exposure gap", "p", "n"]
    rows = [[f"turn {turn}", *_gap(cell)] for turn, cell in found["turns"].items()]
    kinds = found["edit_types"]
    return table(heads, [*rows, *([kind, *_gap(kinds[kind])] for kind in _ordered(kinds, EDIT_TYPES))])


def _gap(cell: Cell) -> list[str]:
    gap = _number({**cell, "value": cell["gap"]})
    return [number(cell["reference"]), number(cell["own"]), gap, p_value(cell["p"], "–"), str(cell["n"])]


def _provenance(evidence: Evidence) -> str:
    rows = []
    for run in evidence.all_runs:
        manifest = run.manifest
        versions = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
        hashes = [
            f"`{digest[:12]}`" for digest in (manifest.task_hash, manifest.editor_hash, manifest.judge_hash or "")
        ]
        rows.append([manifest.task, *hashes, str(manifest.seed), manifest.platform, versions])
    return table(["task", "task card", "model", "judge card", "seed", "machine", "versions"], rows, rule=":--")


def _number(cell: Cell, of: int | None = None) -> str:
    """Value and interval in percent; with `of`, also the number scored where it is another."""
    ends = interval(cell.get("low"), cell.get("high"))
    few = f"n {cell['n']}" if of is not None and cell["n"] != of else ""
    return "<br>".join([number(cell["value"]), *(f"<sub>{part}</sub>" for part in (ends, few) if part)])


def _ordered(names: Iterable[str], preferred: Sequence[str]) -> list[str]:
    present = list(names)
    return [*(name for name in preferred if name in present), *sorted(set(present) - set(preferred))]
