"""What it is worth to RL on a CPU that freed memory is kept for the next step.

    python benchmarks/freed_memory.py [--model kontext] [--edits 192] [--rounds 3]

Processes that differ in one call only (`micebench.utils.malloc.keep_freed_memory`) take turns at the same edits, made
under bf16 autocast as rollouts are; loading and a first batch are not counted. `ratio` is the seconds of those that
do not make it over those that do, of medians; `faults` are minor page faults per edit. Linux with glibc.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from statistics import median
from time import perf_counter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="kontext", help="an editor of rendered scenes")
    parser.add_argument("--edits", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", choices=("default", "kept"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(child(options.model, options.edits, keep=options.child == "kept")))
        return
    found: dict[str, list[dict[str, float]]] = {"default": [], "kept": []}
    for _ in range(options.rounds):
        for how, said in found.items():
            command = [sys.executable, __file__, "--model", options.model, "--edits", str(options.edits)]
            done = subprocess.run([*command, "--child", how], check=True, stdout=subprocess.PIPE, text=True)
            said.append(json.loads(done.stdout))
    seconds = {how: median(one["seconds"] for one in said) for how, said in found.items()}
    print(
        json.dumps(
            {
                "benchmark": "freed_memory",
                "ratio": round(seconds["default"] / seconds["kept"], 2),
                "seconds": {how: round(spent, 2) for how, spent in seconds.items()},
                "faults": {how: round(median(one["faults"] for one in said)) for how, said in found.items()},
                "peak_mib": {how: round(median(one["peak_mib"] for one in said)) for how, said in found.items()},
                "edits": options.edits,
                "rounds": options.rounds,
                "model": options.model,
                "cpus": os.cpu_count(),
                "load": round(os.getloadavg()[0], 1),
            }
        )
    )


def child(model: str, edits: int, *, keep: bool) -> dict[str, float]:
    """Seconds and page faults of the edits, in this process."""
    import torch

    from micebench.cards import EditorCard, load_card
    from micebench.editors.base import EditRequest
    from micebench.editors.diffusers import DiffusersEditor
    from micebench.tasks.load import iter_sessions, load_task, load_task_card
    from micebench.utils.malloc import keep_freed_memory

    if keep:
        keep_freed_memory()
    card = load_card(EditorCard, model)
    editor = DiffusersEditor(card)
    sessions = list(iter_sessions(load_task(load_task_card("mice-mini"), limit=edits)))
    requests = [
        EditRequest(session.id, 1, (session.turns[0].instruction,), (session.image.open(),), seed)
        for seed, session in enumerate(sessions)
    ]
    with torch.autocast("cpu", torch.bfloat16):
        editor.edit(requests[: card.batch])
        faults, started = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, perf_counter()
        for first in range(0, len(requests), card.batch):
            editor.edit(requests[first : first + card.batch])
    seconds, used = perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": seconds,
        "faults": (used.ru_minflt - faults) / len(requests),
        "peak_mib": used.ru_maxrss / 1024,
    }


if __name__ == "__main__":
    main()
