"""The exposure gap: what an editor loses because it works on its own outputs.

    gap(k) = marginal success of turn k from the reference state - M_k from the editor's own output of turn k-1

An editor is trained on clean inputs and used on its own (exposure bias; Bengio et al. 2015, "Scheduled Sampling for
Sequence Prediction with Recurrent Neural Networks"). The two runs edit the same turns with the same words, so they
are compared session by session. At turn 1 both start from the source: there the gap can only be sampling noise.
"""

import re
from typing import Any

import numpy as np

from micebench.metrics.intervals import Resampling
from micebench.metrics.paired import match, paired
from micebench.metrics.verdict_table import MISSING, VerdictTable

_ALONE = re.compile(r"(?P<session>.+)\.t(?P<turn>[1-9]\d*)")


def turn_id(session: str, turn: int) -> str:
    """Id of turn `turn` (1-based) of a session, as a session of its own: ``plain-0007.t2``."""
    return f"{session}.t{turn}"


def exposure_gap(own: VerdictTable, reference: VerdictTable, how: Resampling | None = None) -> dict[str, Any]:
    """The gap by turn and by edit type, in percentage points.

    Args:
        own: whole sessions, each turn on the editor's own output. Sessions that `reference` lacks do not count.
        reference: the same turns as sessions of one turn, ids as from `turn_id`.

    Returns:
        ``{"n_sessions", "level", "resamples", "permutations", "seed", "turns": {TURN: CELL},
        "edit_types": {type: CELL}}`` with CELL = ``{"reference", "own", "gap", "low", "high", "p", "mde", "n",
        "of"}``: the two marginal successes on what is scored in both, their difference with its BCa interval over
        sessions, permutation p and minimum detectable effect, see `micebench.metrics.paired`. n counts sessions,
        for edit types (all turns) edits.

    Raises:
        ValueError: an id of `reference` names no turn, verdicts on IF are lacking, or no session has all its turns
            in both, with the same track and edit types.
    """
    joined = _join(reference)
    if not match(_following(own), joined).shared:
        raise ValueError("no session of the run has the turns of the reference run")
    numbers = paired(_following(own), joined, how=how)
    return {
        "n_sessions": numbers["n_paired"],
        **{name: numbers[name] for name in ("level", "resamples", "permutations", "seed")},
        "turns": {turn: _cell(cell) for turn, cell in numbers["metrics"]["marginal_success"].items()},
        "edit_types": {kind: _cell(cell) for kind, cell in numbers["edit_types"].items()},
    }


def _cell(cell: dict[str, Any]) -> dict[str, Any]:
    rest = {name: cell[name] for name in ("low", "high", "p", "mde", "n", "of")}
    return {"reference": cell["b"], "own": cell["a"], "gap": cell["difference"], **rest}


def _following(table: VerdictTable) -> VerdictTable:
    """The same table with nothing but IF; a metric over turns 1..k would mean nothing for turns taken alone."""
    if "IF" not in table.values:
        raise ValueError("the exposure gap needs instruction-following verdicts (IF)")
    return VerdictTable(
        table.sessions,
        table.tracks,
        table.edit_types,
        table.turns,
        {"IF": table.values["IF"]},
        {"IF": table.status["IF"]},
    )


def _join(reference: VerdictTable) -> VerdictTable:
    """One-turn sessions ``S.t1 .. S.tK`` (each as often as it was repeated) as rows of S with K turns.

    A session that lacks a turn is left out: nothing is known of the edit that was to be made there.
    """
    source = _following(reference)
    rows: dict[tuple[str, int], dict[int, int]] = {}  # (session, repeat) -> turn -> row
    seen: dict[str, int] = {}
    for row, name in enumerate(source.sessions.tolist()):
        named = _ALONE.fullmatch(name)
        if named is None or source.turns[row] != 1:
            raise ValueError(
                f"session {name!r} is no single turn of another session; expected ids like plain-0007.t2"
            )
        repeat = seen[name] = seen.get(name, -1) + 1
        rows.setdefault((named["session"], repeat), {})[int(named["turn"])] = row
    order = sorted(key for key, found in rows.items() if max(found) == len(found))  # no turn is lacking
    turns = np.array([max(rows[key]) for key in order], dtype=np.int64)
    shape = (len(order), int(turns.max(initial=1)))
    kinds = np.full(shape, "", dtype=source.edit_types.dtype)
    values, status = np.zeros(shape), np.full(shape, MISSING, dtype=np.int8)
    for place, key in enumerate(order):
        for turn, row in rows[key].items():
            kinds[place, turn - 1] = source.edit_types[row, 0]
            values[place, turn - 1] = source.values["IF"][row, 0]
            status[place, turn - 1] = source.status["IF"][row, 0]
    tracks = np.array([source.tracks[rows[key][1]] for key in order], dtype=np.str_)
    names = np.array([session for session, _ in order], dtype=np.str_)
    return VerdictTable(names, tracks, kinds, turns, {"IF": values}, {"IF": status})
