"""Several runs against one base: comparisons whose p values know of each other, and the gate over all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from micebench.comparison.gate import Decision, GateOptions, decide, guarded, worst
from micebench.comparison.paired_runs import Comparison, compare
from micebench.engine.drift import drifted
from micebench.engine.run_reader import Run, open_run
from micebench.errors import RunError


@dataclass(frozen=True)
class Gated:
    """One guarded number of one new run; `comparison` is None where the runs cannot be compared."""

    new: Path
    options: GateOptions
    comparison: Comparison | None
    decision: Decision

    def to_json(self) -> dict[str, Any]:
        """``{"new", "metric", "tolerance", "coverage", "outcome", "code", "reasons", "cell"}``."""
        return {"new": str(self.new), **self.options.model_dump(mode="json"), **self.decision.to_json()}


@dataclass(frozen=True)
class GateResult:
    """The gate over all new runs and guarded numbers, in the order given; the worst decides."""

    base: Path
    rows: tuple[Gated, ...]

    @property
    def decision(self) -> Decision:
        """The decision of the row with the highest code, the first of equals."""
        return worst(row.decision for row in self.rows)

    @property
    def comparisons(self) -> list[Comparison]:
        """One for each new run that can be compared, in the order given."""
        return list({row.new: row.comparison for row in self.rows if row.comparison is not None}.values())

    def to_json(self) -> dict[str, Any]:
        """``{"outcome", "code", "base", "decisions": [...]}``."""
        return {
            "outcome": self.decision.outcome,
            "code": self.decision.code,
            "base": str(self.base),
            "decisions": [row.to_json() for row in self.rows],
        }


def compare_all(
    base: Run | Path | str,
    new: Sequence[Run | Path | str],
    *,
    seed: int = 0,
    together: Sequence[GateOptions] = (),
) -> list[Comparison]:
    """Each of `new` compared with `base`, in order, with ``"p_holm"`` adjusted over them.

    Args:
        together: numbers that decide something jointly; their tests are one Holm family over all of `new`.

    Raises:
        RunError: see `compare`.
    """
    first = base if isinstance(base, Run) else open_run(base)
    found = [compare(first, other, seed=seed) for other in new]
    _adjust(found, together)
    return found


def gate(
    base: Run | Path | str, new: Sequence[Run | Path | str], options: Sequence[GateOptions], *, seed: int = 0
) -> GateResult:
    """Decide every guarded number of every new run. A run that cannot be compared is incomplete, never an error.

    Raises:
        RunError: `base` is no run.
    """
    first = base if isinstance(base, Run) else open_run(base)
    compared: list[tuple[Path, Comparison | RunError, bool]] = []
    for other in new:
        path = other.path if isinstance(other, Run) else Path(other)
        try:
            run = other if isinstance(other, Run) else open_run(other)
            compared.append((path, compare(first, run, seed=seed), drifted(first, run)))
        except RunError as error:
            compared.append((path, error, False))
    _adjust([found for _, found, _ in compared if isinstance(found, Comparison)], options)
    return GateResult(
        first.path,
        tuple(_gated(path, found, drift, one) for path, found, drift in compared for one in options),
    )


def _gated(path: Path, found: Comparison | RunError, drift: bool, options: GateOptions) -> Gated:
    if isinstance(found, RunError):
        return Gated(path, options, None, Decision("incomplete", 2, (str(found),), None))
    return Gated(path, options, found, decide(found.to_json(), options, drift=drift))


def _adjust(found: Sequence[Comparison], together: Sequence[GateOptions]) -> None:
    from micebench.metrics.holm import adjust

    cells = [cell for one in found for options in together if (cell := guarded(one.to_json(), options)) is not None]
    adjust([one.numbers for one in found], {("metrics", cell["metric"], cell["turn"]) for cell in cells})
