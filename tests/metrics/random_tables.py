"""Verdict tables with everything that can go wrong in them."""

import numpy as np

from micebench.metrics.verdict_table import MISSING, OK, STATUS_CODES, VerdictTable
from micebench.verdicts import METRICS

KINDS = ("", "subject_add", "color_alter", "text_change")


def random_table(seed, sessions=20, width=4, repeats=1, scored=0.7, metrics=METRICS):
    """Uneven turn counts, three tracks, repeats in shuffled rows, and every status; ties and extremes."""
    rng = np.random.default_rng(seed)
    turns = rng.integers(1, width + 1, sessions)
    tracks = rng.choice(["cm", "cu", "plain"], sessions)
    kinds = rng.choice(KINDS, (sessions, width))
    rows = np.repeat(np.arange(sessions), repeats)
    rng.shuffle(rows)
    exists = np.arange(width)[None, :] < turns[rows][:, None]
    values, status = {}, {}
    for metric in metrics:
        codes = np.where(
            rng.random((len(rows), width)) < scored,
            OK,
            rng.integers(1, len(STATUS_CODES), (len(rows), width)),
        )
        codes = np.where(exists, codes, MISSING).astype(np.int8)
        raw = rng.choice([0.0, 0.25, 0.5, 0.75, 1.0, 1 / 3, rng.random()], (len(rows), width))
        status[metric], values[metric] = codes, np.where(codes == OK, raw, 0.0)
    names = np.array([f"s{i:03d}" for i in range(sessions)])
    return VerdictTable(names[rows], tracks[rows], kinds[rows], turns[rows], values, status)


def plain_table(success, **others):
    """All turns scored: `success` and others are (sessions, turns) arrays; others by metric, _ for a dot."""
    arrays = {"IF": np.asarray(success, float)}
    arrays |= {name.replace("_", "."): np.asarray(array, float) for name, array in others.items()}
    shape = arrays["IF"].shape
    return VerdictTable(
        sessions=np.array([f"s{i:04d}" for i in range(shape[0])]),
        tracks=np.full(shape[0], "plain"),
        edit_types=np.full(shape, ""),
        turns=np.full(shape[0], shape[1]),
        values=arrays,
        status={name: np.full(shape, OK, dtype=np.int8) for name in arrays},
    )
