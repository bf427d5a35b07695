"""Does the judge still answer as it did? Its golden items, scored again before and after a run's verdicts."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from micebench.engine.golden import GoldenSet, golden_of
from micebench.errors import EndpointError, RunError, one_line
from micebench.execution.judge_calls import Unit, answers
from micebench.judges.base import Judge
from micebench.store.forms import Share, first_fault
from micebench.store.journal import parse_json
from micebench.store.run_dir import RunDir, write_json

if TYPE_CHECKING:
    from micebench.engine.run_reader import Run
    from micebench.registry.sources import JudgeSource

Scores = Mapping[str, float]
"""Item id -> score; items whose call failed are not in it."""
_ROUNDING = 1e-9
_STRICT = ConfigDict(extra="forbid", strict=True)
_Change = Annotated[float, Field(ge=-1.0, le=1.0, allow_inf_nan=False)]


class DriftCheck:
    """Scores a judge's golden items around the verdicts of one run, and keeps what came out in ``drift.json``.

    Nothing is asked where there is nothing to judge. What was scored before the first verdict is kept when a run is
    resumed; what was scored after the last one is scored anew when verdicts are added. No clock time is kept.
    """

    def __init__(self, run: RunDir, source: "JudgeSource", *, wanted: bool = True) -> None:
        """Args: wanted: False: ask nothing. Raises CardError: golden items that cannot be used."""
        self._path = run.drift
        self._key = _key(source.id, source.identity)
        self._head = {"judge": source.id, "judge_hash": source.identity}
        self._golden = golden_of(source) if wanted else None
        self._judging = False

    def calls(self, *, judging: bool) -> int:
        """How many golden items will be scored, whether or not there is something to judge."""
        if self._golden is None:
            return 0
        there = self._record(self._golden)
        times = (1 if there else 2) if judging else int(there is not None and there["end"] is None)
        return times * len(self._golden.items)

    def before(self, judge: Judge) -> None:
        """To be called before the first verdict that is asked for. Raises EndpointError as judging would."""
        self._judging = True
        golden = self._golden
        if golden is not None and self._record(golden) is None:
            self._keep(golden, _scored(judge, golden), None)

    def after(self, judge: Callable[[], Judge]) -> None:
        """To be called when there is nothing left to judge. A server that is gone by then leaves the check open."""
        golden = self._golden
        there = self._record(golden) if golden is not None else None
        if golden is None or there is None or not (self._judging or there["end"] is None):
            return
        try:
            self._keep(golden, there["start"], _scored(judge(), golden))
        except EndpointError:
            return  # all verdicts are there; the same command asks again

    def _record(self, golden: GoldenSet) -> dict[str, Any] | None:
        there = _load(self._path).get(self._key)
        return there if there is not None and there["golden"] == golden.sha256 else None

    def _keep(self, golden: GoldenSet, start: Mapping[str, Any], end: Mapping[str, Any] | None) -> None:
        record = self._head | {"golden": golden.sha256, "items": len(golden.items)} | _measured(golden, start, end)
        write_json(self._path, {"judges": dict(sorted({**_load(self._path), self._key: record}.items()))})


def read_drift(run: "Run") -> dict[str, Any] | None:
    """What is known about the drift of the run's judge; None where it carries no golden items, or was not asked.

    Returns:
        ``{"judge", "judge_hash", "golden": sha256 of the items, "items": n,
        "start", "end": {"scores": {ITEM: score}, "missing": {ITEM: "status: reason"}} (end: None if still open),
        "changes": {"stored to start" | "stored to end" | "start to end": {METRIC: mean change}},
        "shift": largest absolute one of them | None, "largest": largest absolute change of a single item | None,
        "coverage": share of items scored both times, "limit": as the items say, "drifted": bool}``

    Raises:
        RunError: the file is damaged.
    """
    manifest = run.manifest
    if manifest.judge is None or manifest.judge_hash is None:
        return None
    return _load(RunDir(run.path).drift).get(_key(manifest.judge, manifest.judge_hash))


def drifted(first: "Run", second: "Run") -> bool:
    """Whether the judge of two runs drifted during either, or between the end of the first and the second's start."""
    records = [read_drift(run) for run in (first, second)]
    if any(record is not None and record["drifted"] for record in records):
        return True
    one, other = records
    if one is None or other is None or one["golden"] != other["golden"]:
        return False
    changes = _changes((one["end"] or one["start"])["scores"], other["start"]["scores"])
    return _largest(changes.values()) > one["limit"] + _ROUNDING


def _key(judge: str, identity: str) -> str:
    return f"{judge}-{identity[:8]}"


class _Scores(BaseModel):
    model_config = _STRICT

    scores: dict[str, Share]
    missing: dict[str, str]


class _Record(BaseModel):
    """What is kept about one judge: see `read_drift`."""

    model_config = _STRICT

    judge: str
    judge_hash: str
    golden: str
    items: int = Field(ge=1)
    start: _Scores
    end: _Scores | None
    changes: dict[str, dict[str, _Change]]
    shift: Share | None
    largest: Share | None
    coverage: Share
    limit: Share
    drifted: bool


class _File(BaseModel):
    model_config = _STRICT

    judges: dict[str, _Record]


def _load(path: Path) -> dict[str, dict[str, Any]]:
    try:
        fields = parse_json(path.read_bytes())
        _File.model_validate(fields)
    except FileNotFoundError:
        return {}
    except ValidationError as error:
        fault = first_fault(error)
    except (OSError, ValueError) as error:
        fault = str(error)
    else:
        return fields["judges"]
    raise RunError(f"{path}: cannot be read ({one_line(fault, 200)}); delete it, no number depends on it")


def _scored(judge: Judge, golden: GoldenSet) -> dict[str, Any]:
    """A failed call is no score: it is kept with its reason."""
    asked = [(Unit(0, item.question.turn, item.question.metric, "", ""), item.question) for item in golden.items]
    said = [(item.id, verdict) for item, verdict in zip(golden.items, answers(judge, asked), strict=True)]
    return {
        "scores": {name: verdict.value for name, verdict in said if verdict.value is not None},
        "missing": {name: f"{v.status.value}: {v.reason}"[:300] for name, v in said if v.value is None},
    }


def _measured(golden: GoldenSet, start: Mapping[str, Any], end: Mapping[str, Any] | None) -> dict[str, Any]:
    stored: Scores = {item.id: item.score for item in golden.items}
    pairs = {"stored to start": (stored, start["scores"])}
    if end is not None:
        pairs |= {"stored to end": (stored, end["scores"]), "start to end": (start["scores"], end["scores"])}
    changes = {name: _changes(*pair) for name, pair in pairs.items()}
    single = [abs(b[item] - a[item]) for a, b in pairs.values() for item in a.keys() & b.keys()]
    both = set(start["scores"]) & set(end["scores"]) if end is not None else set[str]()
    means = [change for by_metric in changes.values() for change in by_metric.values()]
    return {
        "start": start,
        "end": end,
        "changes": changes,
        "shift": _largest(means) if means else None,
        "largest": max(single) if single else None,
        "coverage": len(both) / len(golden.items),
        "limit": golden.limit,
        "drifted": _largest(means) > golden.limit + _ROUNDING,
    }


def _changes(before: Scores, after: Scores) -> dict[str, float]:
    """Metric -> mean change over the items that both have."""
    by_metric: dict[str, list[float]] = {}
    for item, score in before.items():
        if item in after:
            by_metric.setdefault(item.rpartition("/")[2], []).append(after[item] - score)
    return {metric: sum(found) / len(found) for metric, found in sorted(by_metric.items())}


def _largest(changes: Iterable[float]) -> float:
    return max(map(abs, changes), default=0.0)
