"""Plain counts: where sessions fail first, and what became of the verdicts."""

import numpy as np

from micebench.metrics.outcomes import earlier_instructions, marginal_success, one_image_success, scores
from micebench.metrics.verdict_table import STATUS_CODES, UNKNOWN, VerdictTable


def first_failures(table: VerdictTable) -> dict[str, int]:
    """Rows (session x repeat) by the turn that failed first.

    "none": all turns succeeded. "undetermined": a turn without a verdict comes before the first scored
    failure, or before the end of a session without one. Where each image is asked about all instructions so far
    (`one_image_success`), a turn fails if its image fails any of them.
    """
    histogram = {str(turn): 0 for turn in range(1, table.width + 1)} | {"none": 0, "undetermined": 0}
    if "IF" not in table.values:
        return histogram | {"undetermined": table.rows}
    following = scores(table, "IF")
    earlier = earlier_instructions(table)
    turns = one_image_success(following, earlier) if earlier else marginal_success(following)
    succeeded = turns.defined & (turns.value > 0.5)
    leading = np.logical_and.accumulate(succeeded, axis=1).sum(axis=1)
    done = leading >= table.turns
    histogram["none"] = int(done.sum())
    rows = np.flatnonzero(~done)
    failed = turns.defined[rows, leading[rows]]
    histogram["undetermined"] = int((~failed).sum())
    for turn, count in zip(*np.unique(leading[rows][failed], return_counts=True), strict=True):
        histogram[str(int(turn) + 1)] = int(count)
    return histogram


def coverage(table: VerdictTable) -> dict[str, dict[str, int]]:
    """Number of verdicts by metric and status, over all turns that the sessions have."""
    found: dict[str, dict[str, int]] = {}
    for metric in sorted(table.status):
        count = np.bincount(table.status[metric][table.exists], minlength=len(STATUS_CODES))
        found[metric] = {name: int(count[code]) for code, name in enumerate(STATUS_CODES)}
    return found


def missing(table: VerdictTable) -> tuple[int, int]:
    """(verdicts, sessions): unknown verdicts of turns that exist, and the sessions that have any.

    Unknown: never judged, unparsed, refused or failed; also where an edit failed, so that there is no image to judge.
    """
    unknown = [np.isin(status, UNKNOWN) & table.exists for status in table.status.values()]
    if not unknown:
        return 0, 0
    rows = np.logical_or.reduce(unknown).any(axis=1)
    return int(sum(one.sum() for one in unknown)), len(np.unique(table.sessions[rows]))
