"""What a session's rollouts keep to learn from, against storing every denoising step.

    python benchmarks/rl_memory.py [--model kontext] [--group 8] [--turns 3] [--window 2]

A row each for NFT, which keeps the final latents alone, and for GRPO, which keeps the w + 1 latents of its window and
the final ones:

- **measured** on `--model`: one session of mice-mini-train is rolled out, and the memory that the tensors of its
  traces hold on to is added up, each storage once. Storing every step is measured as well: a window over all steps
  but the last, and the final latents, are all n + 1.
- **computed** for FLUX.1-Kontext-dev at 1024 x 1024 from the shapes of its tensors, without its weights: latents
  (1024 / 16)^2 = 4096 tokens of 64 channels, as many of the image shown, 512 tokens of 4096 channels of the prompt
  (the pipeline's default), a pooled prompt of 768. Latents are float32, what the denoiser is shown bfloat16. Position
  ids and noise levels are one for all and left out.

The latents are what a window saves; the rest of a trace (the image shown, the prompt) is the same either way, and is
counted in `trace_bytes`. A table goes to stderr, one JSON line to stdout; `ratio` is latents of every step over ours
(goal: (n + 1) / (w + 2) with a window, n + 1 without).
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from micebench.cards import EditorCard, load_card
from micebench.tasks.dataset import iter_sessions
from micebench.tasks.load import load_task
from micebench.training.rl.policies.diffusion import Policy
from micebench.training.rl.policies.trajectories import Trace
from micebench.training.rl.rollout import RolloutSpec, roll_out
from micebench.training.rl.samplers import SamplingPlan

KONTEXT_STEPS, KONTEXT_SIDE = 28, 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="kontext", help="an editor of rendered scenes")
    parser.add_argument("--group", type=int, default=8, help="rollouts of the session")
    parser.add_argument("--turns", type=int, default=3, help="of the computed row; the measured session has 3")
    parser.add_argument("--window", type=int, default=2, help="stochastic steps of GRPO")
    options = parser.parse_args()
    rows = [*measured(options), *computed(options)]
    show(rows)
    print(json.dumps({"benchmark": "rl_memory", "rows": rows}))


def measured(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Bytes of the traces of one session, by each method and by storing every step."""
    policy = Policy(load_card(EditorCard, options.model), None, copies=(), device="cpu")
    steps = policy.editor.steps(SamplingPlan())
    every = rolled_out(policy, SamplingPlan(kind="cps", window=steps - 1), steps, options.group)
    everything, latents = stored(every), stored(every, latents=True)
    rows = []
    for method, plan in (("nft", SamplingPlan()), ("grpo", SamplingPlan(kind="cps", window=options.window))):
        traces = rolled_out(policy, plan, steps, options.group)
        rows.append(
            row("measured", method, options.model, len(traces), steps, plan.window)
            | compared(stored(traces, latents=True), latents, stored(traces), everything)
        )
    return rows


def rolled_out(policy: Policy, plan: SamplingPlan, steps: int, group: int) -> list[Trace]:
    """The traces of one session."""
    session = list(iter_sessions(load_task("mice-mini-train").select([0])))
    spec = RolloutSpec(group, "last", plan, steps, seed=0)
    rollouts = roll_out(lambda requests, starts: policy.sample(requests, plan, starts), session, spec, iteration=0)
    return [trace for row in rollouts.traces[0] for trace in row if trace is not None]


def stored(traces: Iterable[Trace], *, latents: bool = False) -> int:
    """Bytes of all storages that the traces (or their latents) hold on to, each counted once."""
    seen: dict[int, int] = {}
    for trace in traces:
        names = ("clean", "latents") if latents else Trace.__dataclass_fields__
        for tensor in tensors([getattr(trace, name) for name in names]):
            storage = tensor.untyped_storage()
            seen[storage.data_ptr()] = storage.nbytes()
    return sum(seen.values())


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """All in a value, however deep."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        yield from tensors(tuple(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from tensors(part)


def computed(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The same for FLUX.1-Kontext-dev, from shapes."""
    tokens, edits = (KONTEXT_SIDE // 16) ** 2, options.group * options.turns
    latent, shown = tokens * 64 * 4, tokens * 64 * 2 + 512 * 4096 * 2 + 768 * 2 + 4  # and its guidance, float32
    rows = []
    for method, window in (("nft", 0), ("grpo", options.window)):
        kept = edits * latent * (window + 2 if window else 1)
        every = edits * latent * (KONTEXT_STEPS + 1)
        rest = edits * shown
        rows.append(
            row("computed", method, f"FLUX.1-Kontext-dev, {KONTEXT_SIDE} px", edits, KONTEXT_STEPS, window)
            | compared(kept, every, kept + rest, every + rest)
        )
    return rows


def row(how: str, method: str, model: str, edits: int, steps: int, window: int) -> dict[str, Any]:
    return {"how": how, "method": method, "model": model, "edits": edits, "steps": steps, "window": window}


def compared(kept: int, every: int, kept_all: int, every_all: int) -> dict[str, Any]:
    return {
        "latent_bytes": kept,
        "every_step_latent_bytes": every,
        "ratio": round(every / kept, 2),
        "trace_bytes": kept_all,
        "every_step_trace_bytes": every_all,
        "trace_ratio": round(every_all / kept_all, 2),
    }


def show(rows: list[dict[str, Any]]) -> None:
    """The table."""
    head = f"{'edits':>22}{'steps':>6}{'latents':>12}{'every step':>12}{'ratio':>7}{'with rest':>12}{'ratio':>7}"
    print(head, file=sys.stderr)
    for said in rows:
        numbers = f"{said['edits']:>6}{said['steps']:>6}{mib(said['latent_bytes'])}"
        numbers += f"{mib(said['every_step_latent_bytes'])}{said['ratio']:>7.2f}"
        numbers += f"{mib(said['trace_bytes'])}{said['trace_ratio']:>7.2f}"
        print(f"{said['how']:10}{said['method']:6}{numbers}  {said['model']}", file=sys.stderr)


def mib(count: int) -> str:
    return f"{count / 2**20:>8.2f} MiB"


if __name__ == "__main__":
    main()
