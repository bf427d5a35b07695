"""The policy: an editor that is sampled as evaluation samples it, and the velocity that learning moves.

Sampling is the card's own pipeline called by the card's own editor; only the sampler is exchanged, and the
denoiser's arguments are kept (`Trace`). Learning calls the same denoiser with the same arguments, but for latents
and time. Mixed precision is the caller's: sample and learn under the same autocast, or ratios are not 1.
"""

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from micebench.cards import EditorCard
from micebench.editors.base import Edited, EditRequest
from micebench.training.rl.policies.checks import check_card, check_pipeline
from micebench.training.rl.policies.lora import LoraOptions, LoraWeights
from micebench.training.rl.policies.recording_editor import RecordingEditor
from micebench.training.rl.samplers import SamplingPlan
from micebench.training.rl.policies.trajectories import Trace, collate, shape_of
from micebench.training.rl.policies.weights import Copy, FullWeights, Weights, Which

if TYPE_CHECKING:
    from micebench.editors.base import EditResult

__all__ = ["Policy", "Trace", "shape_of"]


class Policy:
    """An editor of a card whose denoiser learns; text encoders and autoencoder never do."""

    def __init__(
        self,
        card: EditorCard,
        lora: LoraOptions | None,
        *,
        copies: Collection[Copy],
        device: torch.device | str | None = None,
        checkpointing: bool = False,
    ) -> None:
        """Load the card's pipeline.

        Args:
            lora: learn a LoRA of this kind; None: all weights of the denoiser.
            copies: earlier selves that are kept. With a LoRA the reference is there anyway: the model without it.
            device: in place of the card's.
            checkpointing: recompute activations in the backward pass: less memory, a third more time.

        Raises:
            CardError: the card cannot be loaded, or cannot be learnt from as it is; with the remedy.
        """
        if device is not None:
            card = card.model_copy(update={"options": {**card.options, "device": str(device)}})
        check_card(card, full=lora is None)
        self.editor = RecordingEditor(card)
        pipeline: Any = self.editor.pipeline
        check_pipeline(card, self.editor.options, pipeline)
        for part in pipeline.components.values():
            if isinstance(part, torch.nn.Module):
                part.requires_grad_(False)
        self.denoiser: torch.nn.Module = pipeline.transformer
        self.weights: Weights = FullWeights(pipeline, copies) if lora is None else LoraWeights(pipeline, lora, copies)
        if checkpointing:
            pipeline.transformer.enable_gradient_checkpointing()

    def parameters(self) -> list[torch.nn.Parameter]:
        """All that learns, and nothing else."""
        return self.weights.parameters()

    @torch.no_grad()
    def sample(
        self,
        requests: Sequence[EditRequest],
        plan: SamplingPlan,
        starts: Sequence[int],
        *,
        weights: Which = "current",
    ) -> "list[tuple[EditResult | Edited, Trace | None]]":
        """Edit; results as of the card's editor, the trace is None where there is no image.

        Args:
            starts: per request the first stochastic step; see `draw_windows`.
        """
        with self.weights.speaking(weights):
            return self.editor.sample(requests, plan, starts)

    def velocity(
        self,
        x: torch.Tensor,
        sigma: torch.Tensor,
        traces: Sequence[Trace],
        *,
        weights: Which = "current",
        module: torch.nn.Module | None = None,
    ) -> torch.Tensor:
        """What the denoiser predicts for other latents in the place of the recorded ones.

        Args:
            x: (B, N, C) noisy latents.
            sigma: (B,) noise levels in [0, 1].
            traces: B of them, all of one `shape_of`.
            weights: gradients flow for `current` only.
            module: what `denoiser` is wrapped in, if it is (DistributedDataParallel).

        Returns:
            (B, N, C) float32, noise minus clean latents.
        """
        learns = weights == "current"
        with self.weights.speaking(weights) as denoiser, nullcontext() if learns else torch.no_grad():
            called = module if module is not None and learns else denoiser
            predicted = called(**collate(traces, x, sigma, self.device))[0]
        return predicted[:, : x.shape[1]].float()

    @property
    def device(self) -> torch.device:
        """Where the denoiser is."""
        return next(self.denoiser.parameters()).device

    def move_old(self, decay: float) -> None:
        """old <- decay old + (1 - decay) current; 0 makes them equal."""
        self.weights.move_old(decay)

    def state_dict(self) -> dict[str, dict[str, torch.Tensor]]:
        """All that learns and all copies, by name of the copy, then of the tensor; not cloned."""
        return self.weights.state_dict()

    def load_state_dict(self, state: dict[str, dict[str, torch.Tensor]]) -> None:
        """What `state_dict` gave, of a policy made with the same arguments."""
        self.weights.load_state_dict(state)

    def save(self, folder: Path) -> None:
        """Write what evaluation loads: a LoRA for ``--adapter``, or a pipeline for ``--model`` and ``--weights``."""
        self.weights.save(folder)
