"""From the verdicts of a row (session x repeat) to what each metric says about it, turn by turn.

An `Outcome` says for every row and turn k whether the metric is determined there, and its value. Success
means IF > 0.5. Verdicts without a value follow three-valued logic and are never replaced by one; the bounds
come from asking the same functions again with the unknown verdicts at their worst and best.
"""

from typing import Literal, NamedTuple

import numpy as np

from micebench.metrics.verdict_table import OK, UNKNOWN, BoolArray, FloatArray, VerdictTable
from micebench.verdicts import MEASURES, earlier_following, instruction_asked

Consistency = Literal["edival", "mice"]
Side = Literal["value", "at_least", "at_most"]
"""value: verdicts as they are; at_least, at_most: the unknown ones make the metric smallest, largest."""


class Scores(NamedTuple):
    """Verdicts of one metric, (R, T) each: `ok` has a value, `value` in [0, 1], `exists` has the turn."""

    ok: BoolArray
    value: FloatArray
    exists: BoolArray


class Outcome(NamedTuple):
    """`defined` (R, T) and `value` (R, T) in [0, 1], 0.0 where not defined."""

    defined: BoolArray
    value: FloatArray


def scores(table: VerdictTable, metric: str, fill: float | None = None) -> Scores:
    """One metric's verdicts; with `fill`, every unknown verdict (not n/a, not invalid) has that value."""
    status, exists = table.status[metric], table.exists
    ok, value = status == OK, table.values[metric]
    if fill is not None:
        unknown = np.isin(status, UNKNOWN) & exists
        ok, value = ok | unknown, np.where(unknown, fill, value)
    return Scores(ok, value, exists)


def direct(verdicts: Scores) -> Outcome:
    """The value itself, where there is one."""
    return Outcome(verdicts.ok, np.where(verdicts.ok, verdicts.value, 0.0))


def marginal_success(following: Scores) -> Outcome:
    """Turn k succeeds, whatever happened before it."""
    return Outcome(following.ok, (following.ok & (following.value > 0.5)).astype(np.float64))


def turn_success(following: Scores) -> Outcome:
    """Turns 1..k all succeed (EdiVal's image success).

    Failed if any scored turn <= k failed, succeeded if all of them are scored and succeeded, else
    undetermined: a turn without a verdict is no success, and no failure either.
    """
    failed = np.logical_or.accumulate(following.ok & (following.value <= 0.5), axis=1)
    complete = np.logical_and.accumulate(following.ok, axis=1)
    defined = following.exists & (failed | complete)
    return Outcome(defined, (defined & ~failed).astype(np.float64))


def one_image_success(following: Scores, earlier: dict[int, Scores]) -> Outcome:
    """Turns 1..k all succeed in image k itself (EdiVal's image success, singlepass).

    For images that do not follow from one another: `earlier` holds, by number of the instruction, what was said
    about it in the images of later turns. Three-valued as `turn_success`.
    """
    failed = following.ok & (following.value <= 0.5)
    complete = following.ok.copy()
    for number, said in earlier.items():
        failed[:, number:] |= (said.ok & (said.value <= 0.5))[:, number:]
        complete[:, number:] &= said.ok[:, number:]
    defined = following.exists & (failed | complete)
    return Outcome(defined, (defined & ~failed).astype(np.float64))


def earlier_instructions(table: VerdictTable, fill: float | None = None) -> dict[int, Scores]:
    """Number of an instruction -> its IF in the images of later turns; empty unless a run asked for them."""
    numbers = sorted(number for metric in table.values if (number := instruction_asked(metric)))
    return {number: scores(table, earlier_following(number), fill) for number in numbers}


def mean_of_parts(first: Scores, second: Scores) -> Outcome:
    """Content consistency of the `mice` variant: per item the mean of the available parts."""
    count = first.ok.astype(np.int64) + second.ok
    total = np.where(first.ok, first.value, 0.0) + np.where(second.ok, second.value, 0.0)
    return Outcome(count > 0, total / np.maximum(count, 1))


def cumulative_awareness(prefix: Scores) -> Outcome:
    """Running minimum of the prefix verdicts g(1)..g(k).

    A prefix without a verdict leaves k and all later turns undetermined, unless some scored prefix <= k is
    already 0: then the minimum is 0 whatever the missing ones would have been.
    """
    lowest = np.minimum.accumulate(np.where(prefix.ok, prefix.value, np.inf), axis=1)
    complete = np.logical_and.accumulate(prefix.ok, axis=1)
    defined = prefix.exists & (complete | (lowest <= 0.0))
    return Outcome(defined, np.where(defined, lowest, 0.0))


def collapse(destroyed: Scores) -> Outcome:
    """Two consecutive turns <= k are destroyed (verdict > 0.5); absorbing (LME-Bench).

    Determined if such a pair is scored, or if no completion of the verdicts without a value could make one;
    a row without any scored turn <= k is out. At k = 1 nothing can have collapsed: 0.
    """
    sure = destroyed.ok & (destroyed.value > 0.5)
    maybe = sure | ~destroyed.ok
    pair, possible = np.zeros_like(sure), np.zeros_like(sure)
    pair[:, 1:] = sure[:, 1:] & sure[:, :-1]
    possible[:, 1:] = maybe[:, 1:] & maybe[:, :-1]
    collapsed = np.logical_or.accumulate(pair, axis=1)
    safe = ~np.logical_or.accumulate(possible, axis=1)
    seen = np.logical_or.accumulate(destroyed.ok, axis=1)
    defined = destroyed.exists & seen & (collapsed | safe)
    return Outcome(defined, (defined & collapsed).astype(np.float64))


def quality_drift(quality: Scores) -> Outcome:
    """1 - quality, quality being relative to the source image (turn 0)."""
    return Outcome(quality.ok, np.where(quality.ok, 1.0 - quality.value, 0.0))


def outcomes(table: VerdictTable, consistency: Consistency, side: Side = "value") -> dict[str, Outcome]:
    """Every outcome the table's metrics allow.

    Keys: marginal_success, turn_success, consistency (`mice`) or consistency.object and
    consistency.background (`edival`), global_awareness, cumulative_awareness, collapse, quality_drift, and the
    measures under their own names.
    """
    fill = {"value": None, "at_least": 0.0, "at_most": 1.0}[side]
    found: dict[str, Outcome] = {}
    if "IF" in table.values:
        following = scores(table, "IF", fill)
        found["marginal_success"] = marginal_success(following)
        earlier = earlier_instructions(table, fill)
        found["turn_success"] = one_image_success(following, earlier) if earlier else turn_success(following)
    parts = {part: scores(table, part, fill) for part in ("CC.object", "CC.background") if part in table.values}
    if consistency == "edival":
        found |= {part.replace("CC", "consistency"): direct(verdicts) for part, verdicts in parts.items()}
    elif parts:
        both = tuple(parts.values())
        found["consistency"] = mean_of_parts(both[0], both[-1]) if len(both) == 2 else direct(both[0])
    if "GA" in table.values:
        prefix = scores(table, "GA", fill)
        found["global_awareness"] = direct(prefix)
        found["cumulative_awareness"] = cumulative_awareness(prefix)
    if "destroyed" in table.values:
        found["collapse"] = collapse(scores(table, "destroyed", fill))
    if "quality" in table.values:
        # Drift falls as quality rises, so its smallest value needs the unknown qualities at 1.
        found["quality_drift"] = quality_drift(scores(table, "quality", None if fill is None else 1.0 - fill))
    return found | {name: direct(scores(table, name, fill)) for name in MEASURES if name in table.values}
