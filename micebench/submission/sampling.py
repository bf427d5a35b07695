"""Which sessions are looked at again, and how likely that finds what was altered."""

import hashlib
import math
from collections.abc import Sequence
from fractions import Fraction

EDITED_SHARE = 0.05
"""The share of altered sessions that detection probabilities are stated for."""


def commitment(edits: bytes, verdicts: bytes) -> str:
    """sha256 over everything that was edited and judged: the seed of a bundle's own sample.

    Whoever wants other sessions must change an edit or a verdict, and gets sessions they have not chosen.
    """
    return commitment_of(hashlib.sha256(edits).hexdigest(), hashlib.sha256(verdicts).hexdigest())


def commitment_of(edits_sha256: str, verdicts_sha256: str) -> str:
    """The same from the sha256 (hex) of the two files."""
    return hashlib.sha256(bytes.fromhex(edits_sha256) + bytes.fromhex(verdicts_sha256)).hexdigest()


def drawn(sessions: Sequence[str], count: int, seed: str) -> list[str]:
    """`count` of the ids (all, if there are no more), in their own order; those whose hash with the seed is least."""
    places = sorted(range(len(sessions)), key=lambda place: (_hash(seed, sessions[place]), place))
    return [sessions[place] for place in sorted(places[:count])]


def detection_probability(sessions: int, looked_at: int, share: float = EDITED_SHARE) -> float:
    """Chance that a random sample holds at least one altered session: hypergeometric, without replacement.

    Args:
        sessions: N, in all.
        looked_at: n, of those.
        share: x, of the sessions that were altered; at least one is, so 1 - C(N - xN, n) / C(N, n).
    """
    altered = min(sessions, max(1, math.ceil(share * sessions - 1e-9)))
    missed = Fraction(math.comb(sessions - altered, looked_at), math.comb(sessions, looked_at))
    return float(1 - missed)


def _hash(seed: str, session: str) -> bytes:
    return hashlib.sha256(f"{seed} {session}".encode("utf-8", "surrogatepass")).digest()
