"""Which rows of a table belong to one session: the unit of all statistics."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from micebench.metrics.verdict_table import IntArray, VerdictTable


@dataclass(frozen=True)
class Clusters:
    """Rows sorted by track and session; session i owns rows order[starts[i] : starts[i + 1]].

    Attributes: order (R,); starts (S + 1,); ids, tracks (S,) str; names: the tracks, sorted;
    group (S,) index of each session's track in names, non-decreasing.
    """

    order: IntArray
    starts: IntArray
    ids: tuple[str, ...]
    names: tuple[str, ...]
    group: IntArray

    @property
    def sessions(self) -> int:
        return len(self.ids)

    def first_rows(self, groups: Sequence[int]) -> IntArray:
        """One row of each session of these tracks."""
        return self.order[self.starts[:-1]][np.isin(self.group, groups)]


def clusters(table: VerdictTable) -> Clusters:
    """Group the rows of each session. The order of a table's rows never matters to any result.

    Raises:
        ValueError: repeats of one session that differ in track, number of turns or edit types.
    """
    order = np.lexsort((table.sessions, table.tracks))
    ids, tracks = table.sessions[order], table.tracks[order]
    new = np.ones(len(ids), dtype=np.bool_)
    new[1:] = (ids[1:] != ids[:-1]) | (tracks[1:] != tracks[:-1])
    starts = np.flatnonzero(new)
    unique = ids[starts]
    alike = len(set(unique.tolist())) == len(unique)
    if alike and len(starts) < len(ids):
        first = order[starts][np.cumsum(new) - 1]
        alike = bool((table.turns[order] == table.turns[first]).all()) and bool(
            (table.edit_types[order] == table.edit_types[first]).all()
        )
    if not alike:
        raise ValueError("repeats of one session differ in their track, number of turns or edit types")
    names, group = np.unique(tracks[starts], return_inverse=True)
    return Clusters(
        order,
        np.append(starts, len(ids)),
        tuple(str(name) for name in unique),
        tuple(str(name) for name in names),
        group.astype(np.int64),
    )
