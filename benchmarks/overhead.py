"""What engine, store and judge cost on top of an editor: whole run over bare editor time.

    python benchmarks/overhead.py [--edit-ms 20] [--limit N]

The editor sleeps for a fixed time per edit and then does what `identity` or `oracle` would do, outside the
clock: results are prepared before. Imports and the making of the sessions are not counted.
Prints one JSON line; `ratio` is the number to watch (goal: <= 1.05).
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from micebench.editors.base import EditRequest


class Sleeper:
    """Takes a fixed time per edit and returns prepared images."""

    batch = 64

    def __init__(self, prepared: dict[tuple[str, int], Image.Image], edit_s: float) -> None:
        self.prepared = prepared
        self.edit_s = edit_s
        self.busy_s = 0.0

    def edit(self, requests: Sequence[EditRequest]) -> list[Image.Image]:
        start = time.perf_counter()
        time.sleep(self.edit_s * len(requests))
        edited = [self.prepared[request.session_id, request.turn] for request in requests]
        self.busy_s += time.perf_counter() - start
        return edited


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edit-ms", type=float, default=20.0)
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--task", default="mice-mini")
    options = parser.parse_args()

    from micebench.engine.evaluate import execute
    from micebench.engine.job import Job, Options, make_job
    from micebench.execution.images import decode_png

    folder = Path(tempfile.mkdtemp(prefix="micebench-overhead-"))
    try:
        # The first run makes the images (the oracle's) and warms everything up.
        oracle = make_job(options.task, "oracle", None, Options(limit=options.limit), folder / "oracle")
        reference = execute(oracle)
        prepared = prepare(reference, decode_png)
        sleeper = Sleeper(prepared, options.edit_ms / 1000)
        job = make_job(options.task, sleeper, None, Options(limit=options.limit), folder / "sleeper")
        sessions = oracle.sessions()

        class Loaded(Job):
            def sessions(self):
                return sessions

        timed = Loaded(job.task, job.editor, job.judge, job.options, job.out)
        start = time.perf_counter()
        finished = execute(timed)
        total_s = time.perf_counter() - start
        edits = sum(1 for _ in finished.edits())
        print(json.dumps(report(finished, edits, total_s, sleeper.busy_s)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def prepare(run, decode) -> dict[tuple[str, int], Image.Image]:
    """(session, turn) -> image of a finished run."""
    return {(edit.session, edit.turn): decode(run.blob(edit.image)) for edit in run.edits() if edit.image}


def report(run, edits: int, total_s: float, busy_s: float) -> dict[str, object]:
    """Ratio, and where the time beside the editor went."""
    stages = {}
    for line in (run.path / "log.jsonl").read_text().splitlines():
        event = json.loads(line)
        if "seconds" in event:
            stages[event["event"]] = event["seconds"]
    stages["edits_beside_editor"] = round(stages.pop("edits") - busy_s, 3)
    return {
        "benchmark": "overhead",
        "ratio": round(total_s / busy_s, 4),
        "edits": edits,
        "editor_s": round(busy_s, 3),
        "total_s": round(total_s, 3),
        "beside_editor_ms_per_edit": round(1000 * (total_s - busy_s) / edits, 3),
        "stages_s": stages,
    }


if __name__ == "__main__":
    main()
