"""The metrics again, from the formulas in the documentation, with nothing but loops over dicts.

A row is {"session", "track", "turns", "types": [..], "verdicts": {(metric, turn): (status, value)}}.
Everything is in shares of one; None where undefined.
"""

from itertools import pairwise

UNKNOWN = ("missing", "error", "unparsed", "refused")
NAMES = (
    "marginal_success",
    "turn_success",
    "content_consistency",
    "overall",
    "global_awareness",
    "cumulative_awareness",
    "collapse",
    "quality_drift",
)


def rows_of(table):
    from micebench.metrics.verdict_table import STATUS_CODES

    rows = []
    for r in range(len(table.sessions)):
        verdicts = {}
        for metric in table.values:
            for k in range(1, int(table.turns[r]) + 1):
                status = STATUS_CODES[table.status[metric][r, k - 1]]
                verdicts[metric, k] = (status, float(table.values[metric][r, k - 1]))
        rows.append(
            {
                "session": str(table.sessions[r]),
                "track": str(table.tracks[r]),
                "turns": int(table.turns[r]),
                "types": [str(t) for t in table.edit_types[r]],
                "verdicts": verdicts,
            }
        )
    return rows


def filled(rows, value):
    """The same rows with every unknown verdict replaced."""
    return [
        {
            **row,
            "verdicts": {
                place: ("ok", value) if status in UNKNOWN else (status, scored)
                for place, (status, scored) in row["verdicts"].items()
            },
        }
        for row in rows
    ]


def verdict(row, metric, k):
    status, value = row["verdicts"].get((metric, k), ("missing", 0.0))
    return value if status == "ok" else None


def prefix(row, metric, k):
    return [verdict(row, metric, j) for j in range(1, k + 1)]


def row_marginal(row, k):
    y = verdict(row, "IF", k)
    return None if y is None else float(y > 0.5)


def row_turn_success(row, k):
    ys = prefix(row, "IF", k)
    if any(y is not None and y <= 0.5 for y in ys):
        return 0.0
    return None if None in ys else 1.0


def row_cumulative(row, k):
    gs = prefix(row, "GA", k)
    if 0.0 in gs:
        return 0.0
    return None if None in gs else min(gs)


def row_collapse(row, k):
    ds = prefix(row, "destroyed", k)
    if all(d is None for d in ds):
        return None
    for first, second in pairwise(ds):
        if first is not None and second is not None and first > 0.5 and second > 0.5:
            return 1.0
    for first, second in pairwise(ds):
        if (first is None or first > 0.5) and (second is None or second > 0.5):
            return None
    return 0.0


def row_drift(row, k):
    q = verdict(row, "quality", k)
    return None if q is None else 1.0 - q


def row_mice(row, k):
    parts = [verdict(row, m, k) for m in ("CC.object", "CC.background")]
    parts = [p for p in parts if p is not None]
    return sum(parts) / len(parts) if parts else None


ROW = {
    "marginal_success": row_marginal,
    "turn_success": row_turn_success,
    "object": lambda row, k: verdict(row, "CC.object", k),
    "background": lambda row, k: verdict(row, "CC.background", k),
    "mice": row_mice,
    "global_awareness": lambda row, k: verdict(row, "GA", k),
    "cumulative_awareness": row_cumulative,
    "collapse": row_collapse,
    "quality_drift": row_drift,
}


def by_session(rows, name, k):
    """session -> mean over its repeats; only sessions that have turn k and are determined."""
    found = {}
    for row in rows:
        if row["turns"] < k:
            continue
        value = ROW[name](row, k)
        if value is not None:
            found.setdefault(row["session"], []).append(value)
    return {session: sum(values) / len(values) for session, values in found.items()}


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else None


def metric(rows, name, k, consistency):
    """(value, n) of a metric at turn k."""
    if name == "overall":
        s, n = metric(rows, "turn_success", k, consistency)
        c, m = metric(rows, "content_consistency", k, consistency)
        return (None if s is None or c is None else (s * c) ** 0.5), min(n, m)
    if name == "content_consistency":
        if consistency == "mice":
            items = by_session(rows, "mice", k)
            return mean(items.values()), len(items)
        parts = [by_session(rows, part, k) for part in ("object", "background")]
        means = [mean(part.values()) for part in parts if part]
        return mean(means), len(set(parts[0]) | set(parts[1]))
    scored = by_session(rows, name, k)
    return mean(scored.values()), len(scored)


def bounds(rows, name, k, consistency):
    flip = name == "quality_drift"
    low = metric(filled(rows, 1.0 if flip else 0.0), name, k, consistency)[0]
    high = metric(filled(rows, 0.0 if flip else 1.0), name, k, consistency)[0]
    known = [x for x in (low, high, metric(rows, name, k, consistency)[0]) if x is not None]
    return (min(known), max(known)) if known else (None, None)


def edit_type(rows, kind, turns):
    """(value, n, of) of one edit type's success over these turns; a session's edit counts once."""
    scored, having = {}, set()
    for row in rows:
        for k in turns:
            if k <= row["turns"] and row["types"][k - 1] == kind:
                having.add((row["session"], k))
                value = row_marginal(row, k)
                if value is not None:
                    scored.setdefault((row["session"], k), []).append(value)
    return mean(sum(v) / len(v) for v in scored.values()), len(scored), len(having)


def first_failures(rows, width):
    found = {str(k): 0 for k in range(1, width + 1)} | {"none": 0, "undetermined": 0}
    for row in rows:
        where = "none"
        for k in range(1, row["turns"] + 1):
            success = row_marginal(row, k)
            if success is None:
                where = "undetermined"
                break
            if success == 0.0:
                where = str(k)
                break
        found[where] += 1
    return found
