"""MT-EditFlow by DiffusionNFT: how an iteration's edits are learnt from.

The old policy samples whole sessions with a deterministic sampler; each turn's final latents are noised anew, and the
velocity is pulled towards turns with a positive advantage and pushed from the others (`losses.nft_loss`). Once per
iteration the old policy follows (Zheng et al. 2025; multi-turn: MT-EditFlow, arXiv 2606.01985).
"""

from collections.abc import Sequence
from typing import Any

import torch

from micebench.errors import RunError
from micebench.training.rl.minibatches import Batch
from micebench.training.rl.losses import nft_loss, old_policy_decay, velocity_kl
from micebench.training.rl.policies.diffusion import Policy
from micebench.training.rl.recipe import NftRecipe
from micebench.training.rl.policies.trajectories import Trace
from micebench.training.rl.policies.weights import Copy, Which
from micebench.store.keys import derive_seed


class Nft:
    """The method; `sampled_by` names the weights that roll out."""

    sampled_by: Which = "old"

    def __init__(self, part: NftRecipe, advantage_clip: float) -> None:
        self.part, self.clip = part, advantage_clip
        self.draws = part.draws
        self.positives_only = part.positives_only
        self.copies: Sequence[Copy] = ("old", "reference") if part.kl else ("old",)

    def losses(self, policy: Policy, module: Any, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """(B,) losses and numbers for the log."""
        traces, device = batch.traces, policy.device
        clean = torch.stack([trace.clean for trace in traces]).to(device)
        sigma, noise = _noised(batch, self.part.sigma_range)
        sigma, noise = sigma.to(device), noise.to(device)
        level = sigma[:, None, None]
        x = (1 - level) * clean + level * noise
        with torch.no_grad():
            v_old = policy.velocity(x, sigma, traces, weights="old")
        v = policy.velocity(x, sigma, traces, module=module)
        loss = nft_loss(
            v,
            v_old,
            x,
            clean,
            sigma,
            batch.advantages.to(device),
            beta=self.part.beta,
            clip=self.clip,
            changed=_changed(traces, clean),
            changed_share=self.part.changed_share,
        )
        said = {"distance_to_old": velocity_kl(v.detach(), v_old).mean().item()}
        if self.part.kl:
            with torch.no_grad():
                reference = policy.velocity(x, sigma, traces, weights="reference")
            distance = velocity_kl(v, reference)
            loss = loss + self.part.kl * distance
            said["kl"] = distance.mean().item()
        return loss, said

    def after_iteration(self, policy: Policy, steps: int) -> None:
        """The old policy follows."""
        policy.move_old(old_policy_decay(steps, self.part.old_policy))


def _noised(batch: Batch, within: tuple[float, float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise levels (B,) of the sampler's own grid, different ones for the draws of an edit, and noise like clean.

    Raises RunError if the grid has no level in [low, high).
    """
    low, high = within
    levels: list[torch.Tensor] = []
    noises: list[torch.Tensor] = []
    for trace, draw, seed in zip(batch.traces, batch.draws, batch.seeds, strict=True):
        grid = trace.sigmas[:-1][(trace.sigmas[:-1] >= low) & (trace.sigmas[:-1] < high)]
        if not len(grid):
            known = ", ".join(f"{float(sigma):.3g}" for sigma in trace.sigmas[:-1])
            raise RunError(f"nft.sigma_range [{low:g}, {high:g}) holds none of the sampler's noise levels {known}")
        order = torch.randperm(len(grid), generator=torch.Generator().manual_seed(seed))
        own = torch.Generator().manual_seed(derive_seed("rl noise", "", draw, 0, seed))
        levels.append(grid[order[draw % len(grid)]])
        noises.append(torch.randn(trace.clean.shape, generator=own))
    return torch.stack(levels), torch.stack(noises)


def _changed(traces: Sequence[Trace], clean: torch.Tensor) -> torch.Tensor | None:
    """(B, N) tokens that differ from the image edited; None where tokens do not correspond to its own."""
    if any(trace.context.shape != trace.clean.shape for trace in traces):
        return None
    context = torch.stack([trace.context for trace in traces]).to(clean)
    return (context - clean).square().mean(-1) > 0.01
