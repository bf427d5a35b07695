"""What engine, judge and store cost beside a real model: a whole run of `kontext` over the model's own time.

    python benchmarks/engine_share.py [--limit 192] [--rounds 2]

The floor is a plain loop: the same editor, the same batches, every turn fed with the output of the last, nothing
stored and nothing judged. Floor and run take turns in one process; the making of the sessions and the loading of
the model are in neither. Prints one JSON line; `share` is the number to watch (goal: <= 0.1).
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from micebench.editors.base import EditRequest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="kontext")
    parser.add_argument("--limit", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()

    from micebench import load_task
    from micebench.engine.evaluate import evaluate
    from micebench.engine.job import Options, make_job
    from micebench.tasks.dataset import iter_sessions

    job = make_job("mice-mini", options.model, None, Options(limit=options.limit), None)
    editor = job.editor.build()
    editor.batch = job.batch
    sessions = list(iter_sessions(load_task("mice-mini").select(range(options.limit))))
    floor(editor, sessions[:64], job.batch)  # warm up
    floors, wholes = [], []
    for number in range(options.rounds):
        floors.append(floor(editor, sessions, job.batch))
        with tempfile.TemporaryDirectory(prefix="micebench-share-") as folder:
            start = time.perf_counter()
            evaluate("mice-mini", editor, limit=options.limit, batch=job.batch, out=Path(folder) / str(number))
            wholes.append(time.perf_counter() - start)
    share = [1 - small / large for small, large in zip(floors, wholes, strict=True)]
    edits = sum(len(session.turns) for session in sessions)
    said = {
        "benchmark": "engine_share",
        "model": options.model,
        "share": round(statistics.mean(share), 4),
        "shares": [round(value, 4) for value in share],
        "edits": edits,
        "floor_s": [round(value, 2) for value in floors],
        "run_s": [round(value, 2) for value in wholes],
    }
    print(json.dumps(said))


def floor(editor, sessions: Sequence, batch: int) -> float:
    """Seconds of the bare model over whole sessions."""
    start = time.perf_counter()
    for first in range(0, len(sessions), batch):
        part = sessions[first : first + batch]
        images = [session.image.open() for session in part]
        for turn in range(1, max(len(session.turns) for session in part) + 1):
            images = editor.edit(
                [
                    EditRequest(session.id, turn, (session.turns[turn - 1].instruction,), (image,), seed=turn)
                    for session, image in zip(part, images, strict=True)
                ]
            )
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
