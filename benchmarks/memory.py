"""Peak memory of a run of 5,000 sessions over one of 500.

    python benchmarks/memory.py [--small 500] [--large 5000] [--model identity]

Each run is a process of its own: task made, edited, judged, summarised. Prints one JSON line; `ratio` is the
number to watch (goal: <= 1.1).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

CARD = """
id: {name}
description: benchmark
domain: mini
loader: mini
options: {{split: train, turns: 3, counts: {{cm: {each}, cu: {each}, plain: {each}}}, seed: 0}}
judge: exact
turns: 3
"""
RUN = """
import json, resource, sys
from pathlib import Path
from micebench.engine.evaluate import evaluate

name, model, folder = sys.argv[1:]
run = evaluate(name, model, cards=[Path(folder)], out=Path(folder) / "run")
peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"sessions": run.manifest.n_sessions, "peak_kib": peak_kib}))
"""


def measure(sessions: int, model: str) -> dict[str, int]:
    """Peak resident memory of one run, in KiB."""
    with tempfile.TemporaryDirectory(prefix="micebench-memory-") as folder:
        card = Path(folder) / "tasks" / "benchmark" / "task.yaml"
        card.parent.mkdir(parents=True)
        card.write_text(CARD.format(name="benchmark", each=sessions // 3))
        ended = subprocess.run(
            [sys.executable, "-c", RUN, "benchmark", model, folder], capture_output=True, text=True, check=True
        )
        return json.loads(ended.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=500)
    parser.add_argument("--large", type=int, default=5000)
    parser.add_argument("--model", default="identity")
    options = parser.parse_args()
    small, large = measure(options.small, options.model), measure(options.large, options.model)
    ratio = round(large["peak_kib"] / small["peak_kib"], 4)
    print(json.dumps({"benchmark": "memory", "ratio": ratio, "small": small, "large": large}))


if __name__ == "__main__":
    main()
