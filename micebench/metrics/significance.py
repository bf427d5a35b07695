"""Sign-flip permutation test of a paired difference: the two runs of a session are exchangeable under H0."""

from collections.abc import Sequence

import numpy as np

from micebench.metrics.intervals import Pieces, Target
from micebench.metrics.verdict_table import FloatArray

_FLIPS_PER_BLOCK = 1 << 21
_TIE = 1e-9


def permutation_p(pieces: Pieces, targets: Sequence[Target], permutations: int, seed: int) -> list[FloatArray]:
    """Two-sided p of each target's cells: (1 + #{|T*| >= |T|}) / (1 + permutations).

    `pieces` yields numerators [a, b] and equal denominators for both, (sessions, 2 m); each permutation swaps
    a and b in every session with probability 1/2, for all cells alike. The test is exact (level alpha has at
    most alpha false alarms) for any statistic of the sums. 1.0 where the statistic is undefined.
    """
    rng = np.random.default_rng([seed, 1])  # not the bootstrap's stream
    moved: dict[int, FloatArray] = {}
    sums: dict[int, FloatArray] = {}
    for group, numerators, denominators in pieces():
        size, width = numerators.shape
        m = width // 2
        change = numerators[:, m:] - numerators[:, :m]
        here = moved.setdefault(group, np.zeros((permutations, m)))
        sums[group] = sums.get(group, 0.0) + np.stack([numerators.sum(axis=0), denominators.sum(axis=0)])
        block = max(1, _FLIPS_PER_BLOCK // size)
        for start in range(0, permutations, block):
            rows = min(block, permutations - start)
            bits = np.unpackbits(rng.integers(0, 256, (rows, -(-size // 8)), dtype=np.uint8), axis=1)
            here[start : start + rows] += bits[:, :size].astype(np.float64) @ change
    chances: list[FloatArray] = []
    for groups, statistic in targets:
        whole = np.sum([sums[group] for group in groups], axis=0)
        shift = np.sum([moved[group] for group in groups], axis=0)
        numerators = whole[0] + np.concatenate([shift, -shift], axis=1)
        observed = np.abs(statistic(whole[0], whole[1]))
        denominators = np.broadcast_to(whole[1], numerators.shape)
        permuted = np.abs(statistic(np.maximum(numerators, 0.0), denominators))
        as_far = np.count_nonzero(permuted >= observed - _TIE, axis=0)
        chance = (1.0 + as_far) / (1.0 + permutations)
        chances.append(np.where(np.isnan(observed), 1.0, chance))
    return chances
