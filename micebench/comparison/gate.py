"""The regression gate: one number of a comparison, and whether it got worse.

The definition is in docs/gate.md; `benchmarks/gate_power.py` measures its false alarms and its power.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from micebench.errors import nearest
from micebench.metrics.summary import METRIC_NAMES
from micebench.verdicts import MEASURES

LOWER_IS_BETTER: frozenset[str] = frozenset({"collapse", "quality_drift"})
"""Metrics of which less is better; of all others, the measures too, more is better."""

Outcome = Literal["passed", "regressed", "incomplete", "drifted"]


class GateOptions(BaseModel):
    """What is guarded, and how strictly.

    Attributes:
        metric: NAME or NAME@TURN; without a turn it is the last turn of the comparison.
        tolerance: percentage points by which the number may get worse.
        coverage: smallest share of sessions in [0, 1] whose verdicts are there in both runs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str = "overall"
    tolerance: float = Field(default=1.0, ge=0.0, le=100.0)
    coverage: float = Field(default=0.99, ge=0.0, le=1.0)

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        name, at, turn = metric.partition("@")
        if name not in (known := (*METRIC_NAMES, *MEASURES)):
            raise ValueError(f"no metric {name!r}; {nearest(name, known)}")
        if at and not (turn.isascii() and turn.isdigit() and int(turn) > 0):
            raise ValueError(f"{metric!r} is not NAME or NAME@TURN, such as overall@3")
        return metric

    @property
    def name(self) -> str:
        """The metric without its turn."""
        return self.metric.partition("@")[0]


@dataclass(frozen=True)
class Decision:
    """What the gate says about one comparison.

    Attributes:
        outcome, code: the same, as a word and as an exit code. The higher code outweighs: numbers that cannot be
            trusted prove nothing, neither a regression nor its absence.
        reasons: sentences for people, the decisive one first.
        cell: the guarded cell of the comparison with its ``"metric"`` and ``"turn"``; None if there is none.
    """

    outcome: Outcome
    code: Literal[0, 1, 2, 3]
    reasons: tuple[str, ...]
    cell: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """The fields, as plain JSON types."""
        return asdict(self) | {"reasons": list(self.reasons)}


def decide(comparison: Mapping[str, Any], options: GateOptions, *, drift: bool = False) -> Decision:
    """Did the guarded number get worse?

    Args:
        comparison: `micebench.comparison.paired_runs.Comparison.to_json()`.
        drift: the judge answered its golden items differently while one of the runs was scored.

    Regressed means all of: the paired difference is worse than the tolerance; its interval excludes 0; and its
    permutation p, adjusted by Holm's method where several runs are compared, is below 1 - level. Incomplete means
    that sessions do not match, that verdicts are missing beyond what `options` allow, or that there is no such
    number.
    """
    cell = guarded(comparison, options)
    gaps = _gaps(comparison, cell, options)
    if drift:
        said = "the judge drifted: it answers its golden items differently, so that no number can be trusted"
        return Decision("drifted", 3, (said, *gaps), cell)
    if gaps:
        return Decision("incomplete", 2, tuple(gaps), cell)
    assert cell is not None
    if _regressed(cell, options, comparison["level"]):
        return Decision("regressed", 1, (_said(cell, "got worse"),), cell)
    return Decision("passed", 0, tuple(_passed(cell, options)), cell)


def worst(decisions: Iterable[Decision]) -> Decision:
    """The decision with the highest code, the first of equals.

    Raises:
        ValueError: no decisions.
    """
    return max(decisions, key=lambda decision: decision.code)


def guarded(comparison: Mapping[str, Any], options: GateOptions) -> dict[str, Any] | None:
    """The cell that `options` guard with its metric and turn; None where there is none."""
    turns: Mapping[str, Mapping[str, Any]] = comparison["metrics"].get(options.name, {})
    turn = str(int(options.metric.partition("@")[2] or max(map(int, turns), default=0)))
    return {"metric": options.name, "turn": turn, **turns[turn]} if turn in turns else None


def harm(cell: Mapping[str, Any]) -> float:
    """By how many percentage points a guarded cell got worse; negative where it got better."""
    return cell["difference"] if cell["metric"] in LOWER_IS_BETTER else -cell["difference"]


def _regressed(cell: Mapping[str, Any], options: GateOptions, level: float) -> bool:
    beyond = cell["low"] > 0.0 if cell["metric"] in LOWER_IS_BETTER else cell["high"] < 0.0
    chance = cell.get("p_holm", cell["p"])
    return beyond and harm(cell) > options.tolerance and chance < 1.0 - level


def _gaps(comparison: Mapping[str, Any], cell: Mapping[str, Any] | None, options: GateOptions) -> list[str]:
    """Why the comparison proves nothing; empty if it may."""
    found: list[str] = []
    for field, words in (
        ("only_a", "only in the base run"),
        ("only_b", "only in the new run"),
        ("changed", "with the same id but other content"),
    ):
        if comparison[field]:
            found.append(f"sessions do not match: {_plural(len(comparison[field]))} {words}")
    if cell is None:
        found.append(f"no {options.metric} in this comparison: nobody asked the judge, or sessions have fewer turns")
    elif cell["difference"] is None or cell["low"] is None:
        found.append(f"{cell['metric']}@{cell['turn']} is not scored in both runs on two or more sessions")
    elif (share := covered(cell)) < options.coverage:
        found.append(
            f"coverage {100 * share:.1f} % is below {100 * options.coverage:g} %: verdicts of "
            f"{cell['metric']}@{cell['turn']} are missing in {_plural(cell['missing'])}"
        )
    return found


def covered(cell: Mapping[str, Any]) -> float:
    """Share of the sessions in which no verdict that the number needs is missing, in [0, 1]."""
    known, missing = cell["n"], cell["missing"]
    return known / (known + missing) if known + missing else 0.0


def _passed(cell: Mapping[str, Any], options: GateOptions) -> Sequence[str]:
    lead = _said(cell, "got worse, but not beyond the tolerance" if harm(cell) > 0 else "did not get worse")
    if harm(cell) > options.tolerance:
        lead = _said(cell, "is not shown to have got worse")
    mde = cell["mde"]
    if mde is None or mde <= options.tolerance:
        return (lead,)
    return lead, f"{_plural(cell['n'])} show a change of {mde:.1f} points in 80 of 100 cases, smaller ones less often"


def _said(cell: Mapping[str, Any], verb: str) -> str:
    adjusted = cell.get("p_holm")
    chance = f"p {cell['p']:.4f}" + (f", by Holm {adjusted:.4f}" if adjusted not in (None, cell["p"]) else "")
    return (
        f"{cell['metric']}@{cell['turn']} {verb}: {cell['a']:.1f} to {cell['b']:.1f}, "
        f"{cell['difference']:+.1f} points, interval {cell['low']:+.1f} to {cell['high']:+.1f}, {chance}"
    )


def _plural(count: int) -> str:
    return f"{count:,} session" + ("" if count == 1 else "s")
