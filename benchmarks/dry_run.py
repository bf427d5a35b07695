"""A dry run of the real MICE-Bench annotations: everything but the weights, the photographs and the VLM is real.

    python benchmarks/dry_run.py --data DIR [--keep RUN]

DIR holds cm/test_metadata.jsonl and cu/test_metadata.jsonl; images are not needed: pieces of the sample photographs
that scikit-learn, scikit-image and matplotlib install stand in for them, at 64 pixels. A random FLUX.1 Kontext of a
few thousand parameters edits; the `mice` judge works on a random Grounding DINO, a random DINOv3 and a loopback
server whose answers follow from the requests, and which is busy, declines or rambles now and then (tests/dryrun).
The run is killed (kill -9) in the middle of its edits and again in the middle of its verdicts, and resumed.
Fails if a journaled edit or verdict was made twice, or if a question with a journaled answer was asked again.
Prints one JSON line; `asked_again` are the questions whose answers a kill had lost, or kept from being written.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.end_to_end.command import finish, journal, kill, line, lines
from tests.end_to_end.scripted_verdicts import Opinions, marks
from tests.end_to_end.stand_ins import rows, with_models, with_photographs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the annotations")
    parser.add_argument("--keep", type=Path, help="where the run stays; else it is deleted")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="micebench-dry-") as folder, Opinions().running() as vlm:
        result = dry_run(
            options.data, Path(folder), options.keep.resolve() if options.keep else Path(folder) / "run", vlm
        )
    print(json.dumps(result))


def dry_run(annotations: Path, folder: Path, run: Path, vlm: Opinions) -> dict:
    """Edit and judge all of it with two kills; what came of it, and how long it took."""
    data = with_photographs(annotations, folder / "data")
    command = line(with_models(folder / "cards", data, vlm.url, batch=48), data, run)
    turns = sum(len(row["instruction"]) for _, row in rows(data))
    start = time.perf_counter()
    kept = {}
    for room, middle in (("edits", turns // 2), ("verdicts", 2 * turns)):
        assert kill(command, lambda room=room, middle=middle: lines(run, room) >= middle), f"no kill in the {room}"
        kept[room] = lines(run, room)
        print(f"killed after {time.perf_counter() - start:.0f} s with {kept[room]} {room}", file=sys.stderr)
    answered, before = marks(journal(run, "verdicts")), vlm.asked.copy()
    last = finish(command)
    seconds = time.perf_counter() - start
    assert last.returncode == 0, last.stderr
    print(last.stdout, file=sys.stderr)
    again = {mark for mark in before if vlm.asked[mark] > before[mark]}
    assert not again & answered, "a question was asked again although its answer was in the journal"
    for room in ("edits", "verdicts"):
        made = [record["key"] for record in journal(run, room)]
        assert len(made) == len(set(made)), f"{len(made) - len(set(made))} of the {room} were made twice"
    summary = json.loads((run / "summary.json").read_text())
    return {
        "benchmark": "dry_run",
        "sessions": summary["n_sessions"],
        "edits": summary["edits"],
        "verdicts": {
            metric: {status: number for status, number in statuses.items() if number}
            for metric, statuses in summary["coverage"].items()
        },
        "journaled_at_the_kills": kept,
        "questions": len(vlm.asked),
        "requests": vlm.asked.total(),
        "asked_again": len(again),
        "seconds": round(seconds),
    }


if __name__ == "__main__":
    main()
