"""The processes of a training: one, or several that each hold the whole model and share sessions and gradients."""

import os
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs

from micebench.errors import MicebenchError, RunError
from micebench.training.rl.recipe import RlRecipe
from micebench.training.common.work_dir import accelerator_for

_PATIENCE = timedelta(days=1)
"""One process validates, or waits for a slow judge, while the others wait for it; the default is minutes."""

_SHARDED = {
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
}


def join_processes(recipe: RlRecipe, work: Path, device: str | None) -> Accelerator:
    """The accelerator of this process, connected to the others of its launch.

    Raises:
        RunError: a launch that this cannot be trained with, with the remedy.
    """
    for variable, sharding in _SHARDED.items():
        if os.environ.get(variable, "false").lower() == "true":
            raise RunError(
                f"{sharding} shards the denoiser over the processes, and here each of them rolls out sessions of its "
                "own, with calls of its own: launch without it, with a recipe that has a lora and checkpointing: "
                "true; quantize the model (options.quantization) if it still does not fit"
            )
    handlers = [
        InitProcessGroupKwargs(timeout=_PATIENCE),
        # what a last block does to text tokens reaches no output, and so no gradient
        DistributedDataParallelKwargs(find_unused_parameters=True),
    ]
    accelerator = accelerator_for(work, recipe.precision, device, handlers)
    launched, joined = int(os.environ.get("WORLD_SIZE", "1")), accelerator.num_processes
    if launched != joined:
        raise RunError(f"{launched} processes were launched, but they have no GPU to meet on; give --device cpu")
    if recipe.rollout.sessions % joined:
        raise RunError(f"rollout.sessions is {recipe.rollout.sessions}; give a multiple of the {joined} processes")
    return accelerator


def raise_together(accelerator: Accelerator, fault: MicebenchError | None) -> None:
    """Raises in every process if there is a fault in one, so that none waits for another in vain."""
    if accelerator.num_processes > 1:
        faults = torch.tensor([fault is not None], device=accelerator.device)
        everyones = accelerator.gather(faults)
        if fault is None and bool(everyones.any()):  # type: ignore[union-attr]
            fault = RunError("another process has stopped, for the reason it names")
    if fault is not None:
        raise fault
