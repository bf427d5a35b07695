"""What a watch has found so far: ``watch.json``."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from micebench.comparison.gate import GateOptions
from micebench.engine.run_reader import Run
from micebench.errors import RunError, one_line
from micebench.monitor.checkpoints import Kind
from micebench.store.forms import first_fault, is_finite
from micebench.store.journal import parse_json
from micebench.store.keys import content_key
from micebench.store.manifest import write_atomically

FILE = "watch.json"
Outcome = Literal["passed", "regressed", "incomplete", "drifted", "broken"]


_NUMBERS = ("value", "low", "high", "difference")


def _numbers(cell: dict[str, Any]) -> dict[str, Any]:
    for name in _NUMBERS:
        number = cell.get(name)
        if number is not None and not is_finite(number):
            raise ValueError(f"{name} is no number")
    return cell


def _comparable(cell: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(cell.get("metric"), str) or "difference" not in cell:
        raise ValueError("no cell of a comparison")
    return cell


def _measured(value: dict[str, Any]) -> dict[str, Any]:
    if "value" not in value:
        raise ValueError("no value")
    return value


def _scored(value: dict[str, Any]) -> dict[str, Any]:
    if value["value"] is None:
        raise ValueError("the base run has no value")
    return value


Numbers = Annotated[dict[str, Any], AfterValidator(_numbers)]
Value = Annotated[Numbers, AfterValidator(_measured)]


class Pending(BaseModel):
    """A checkpoint that is being evaluated.

    Attributes:
        name: of its folder.
        label: under which its run is kept: the name, with a number where a folder's content has been replaced.
        step: the last number in the name.
        signature: what its files looked like; `held`, what those look like that are held while it is evaluated.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    label: str
    kind: Kind
    step: int | None
    signature: str
    held: str


class Entry(Pending):
    """A checkpoint that has been evaluated.

    Attributes:
        outcome: of the gate; broken: it could not be evaluated.
        reasons: sentences for people, the decisive one first.
        cell: the guarded cell of the comparison with the base; None where there is none.
        value: the guarded number of its own run: ``{"value", "low", "high", "n", "of", ...}``.
    """

    outcome: Outcome
    reasons: list[str]
    cell: Annotated[Numbers, AfterValidator(_comparable)] | None = None
    value: Value | None = None


class WatchLog(BaseModel):
    """Everything a watch knows.

    Attributes:
        base: path of the base run; `base_key` identifies its content.
        value: the guarded number of the base run.
        entries: in the order of evaluation.
        stopped: the stop has been told for the entries that are there.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal[1] = 1
    base: str
    base_key: str
    model: str
    task: str
    judge: str
    gate: GateOptions
    metric: str
    turn: str
    value: Annotated[Value, AfterValidator(_scored)]
    entries: list[Entry] = []
    pending: Pending | None = None
    stopped: bool = False

    def known(self) -> set[tuple[str, str]]:
        """(name, signature) of what has been evaluated."""
        return {(entry.name, entry.signature) for entry in self.entries}

    def label(self, name: str) -> str:
        """A label nobody has yet: ``best``, ``best-2`` ..."""
        taken = {entry.label for entry in self.entries}
        tried, number = name, 1
        while tried in taken:
            number += 1
            tried = f"{name}-{number}"
        return tried

    def save(self, folder: Path) -> None:
        """Write atomically and durably. Raises RunError if the disk refuses."""
        text = json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        write_atomically(folder / FILE, text.encode(), durable=True)


def read_log(folder: Path) -> WatchLog | None:
    """None where nothing was watched yet. Raises RunError: damaged, or of another version."""
    path = folder / FILE
    try:
        return WatchLog.model_validate(parse_json(path.read_bytes()))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        fault = first_fault(error)
    except (OSError, ValueError) as error:
        fault = f"cannot be read ({one_line(error, 200)})"
    raise RunError(f"{path}: {fault}; give another --out to watch from the beginning")


def open_log(base: Run, out: Path, gate: GateOptions) -> WatchLog:
    """What was found so far, or an empty log. Raises RunError: another watch is kept there."""
    manifest = base.manifest
    numbers = base.summary()["metrics"].get(gate.name, {})
    turn = gate.metric.partition("@")[2] or max(numbers, key=int, default="")
    turn = str(int(turn)) if turn else ""
    if turn not in numbers or numbers[turn]["value"] is None:
        raise RunError(f"{base.path}: {gate.metric} is not measured; give another --metric")
    key = content_key([manifest.model_dump(mode="json"), gate.model_dump()])
    there = read_log(out)
    if there is not None and there.base_key != key:
        raise RunError(
            f"{out} holds another watch: {there.gate.metric}, tolerance {there.gate.tolerance:g}, base {there.base}; "
            "give another --out"
        )
    return there or WatchLog(
        base=str(base.path),
        base_key=key,
        model=manifest.model,
        task=manifest.task,
        judge=str(manifest.judge),
        gate=gate,
        metric=gate.name,
        turn=turn,
        value=numbers[turn],
    )


def failures_in_a_row(entries: Sequence[Entry]) -> int:
    """How many of the last checkpoints regressed; those that prove nothing are passed over."""
    count = 0
    for entry in reversed(entries):
        if entry.outcome == "passed":
            break
        count += entry.outcome == "regressed"
    return count
