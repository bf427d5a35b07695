"""MT-EditFlow by flow-GRPO: how an iteration's edits are learnt from.

Whole sessions are sampled with a window of stochastic steps in every edit; each of these steps is an action with a
density, and PPO's clipped ratio makes those of good turns more likely (Liu et al. 2025; multi-turn: MT-EditFlow,
arXiv 2606.01985).
"""

from collections.abc import Sequence
from typing import Any

import torch

from micebench.training.rl.minibatches import Batch
from micebench.training.rl.losses import gaussian_kl, grpo_loss
from micebench.training.rl.policies.diffusion import Policy
from micebench.training.rl.recipe import GrpoRecipe
from micebench.training.rl.samplers import SamplingPlan, log_prob, transition
from micebench.training.rl.policies.weights import Copy, Which


class Grpo:
    """The method; `sampled_by` names the weights that roll out."""

    sampled_by: Which = "current"
    positives_only = False

    def __init__(self, part: GrpoRecipe, plan: SamplingPlan, advantage_clip: float) -> None:
        self.part, self.plan, self.clip = part, plan, advantage_clip
        self.draws = plan.window
        self.copies: Sequence[Copy] = ("reference",) if part.kl else ()

    def losses(self, policy: Policy, module: Any, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """(B,) losses and numbers for the log."""
        traces, device = batch.traces, policy.device
        steps = [trace.start + draw for trace, draw in zip(traces, batch.draws, strict=True)]

        def at(draws_on: int) -> torch.Tensor:
            return torch.stack([t.latents[d + draws_on] for t, d in zip(traces, batch.draws, strict=True)]).to(device)  # type: ignore[index]

        def level(ahead: int) -> torch.Tensor:
            return torch.stack([t.sigmas[s + ahead] for t, s in zip(traces, steps, strict=True)]).to(device)

        x, x_next, sigma = at(0), at(1), level(0)
        second = torch.stack([trace.sigmas[1] for trace in traces]).to(device)
        old = torch.stack([t.log_probs[d] for t, d in zip(traces, batch.draws, strict=True)]).to(device)  # type: ignore[index]

        def moved(v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return transition(self.plan.kind, x, v, sigma, level(1), self.plan.noise_level, second)

        mean, std = moved(policy.velocity(x, sigma, traces, module=module))
        loss, ratio = grpo_loss(
            log_prob(x_next, mean, std),
            old,
            batch.advantages.to(device),
            clip_low=self.part.clip_low,
            clip_high=self.part.clip_high,
            advantage_clip=self.clip,
        )
        said = {"ratio": ratio.ratio.item(), "ratio_off": ratio.off.item(), "ratio_clipped": ratio.clipped.item()}
        if self.part.kl:
            with torch.no_grad():
                reference, _ = moved(policy.velocity(x, sigma, traces, weights="reference"))
            distance = gaussian_kl(mean, reference, std)
            loss = loss + self.part.kl * distance
            said["kl"] = distance.mean().item()
        return loss, said

    def after_iteration(self, policy: Policy, steps: int) -> None:
        """Nothing: the policy that learns is the one that samples."""
