"""From rewards of rollouts to advantages: how much better a rollout did than the others of its session.

S sessions, G rollouts of each, T turns; a group is the G rollouts of one session (at one turn, where turns are kept
apart). Neither sessions nor turns are ever pooled in a mean: later turns are harder, and a common mean would tell the
policy that first turns are good and last turns bad.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from micebench.errors import MicebenchError

_ROUNDING = 1e-12
"""Rewards in [0, 1] that differ by less are equal: sums in another order differ by that much."""

Aggregation = Literal["per_turn", "mean", "last", "product", "return_to_go"]


class AdvantageOptions(BaseModel):
    """What MT-EditFlow (2606.01985) varies: where rewards are fused, how turns are, and who shares an advantage."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fusion: Literal["advantage", "reward"] = Field(
        default="advantage", description="sum metrics after normalising each (reward: before, once)"
    )
    aggregation: Aggregation = Field(default="per_turn", description="how a trajectory's rewards become its score")
    broadcast: bool = Field(default=True, description="one advantage per rollout, for all of its turns")
    weights: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default={"IF": 0.8, "CC": 0.2}, description="per metric; at 0 it is judged and logged, not learnt from"
    )
    normalize: Literal["group", "global", "none"] = Field(
        default="global", description="divide by the group's standard deviation, by that of all groups, or not"
    )
    epsilon: float = Field(default=1e-4, gt=0, description="added to the standard deviation")
    clip: float = Field(default=5.0, gt=0, description="largest advantage")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.broadcast and self.aggregation == "return_to_go":
            raise ValueError("aggregation return_to_go gives every turn its own advantage: set broadcast to false")
        if not self.broadcast and self.aggregation in ("mean", "last", "product"):
            raise ValueError(f"aggregation {self.aggregation} gives one number per rollout: set broadcast to true")
        if not any(self.weights.values()):
            raise ValueError("weights: give at least one metric a weight above 0")
        return self


@dataclass(frozen=True, slots=True)
class Advantages:
    """Attributes:
    values: (S, G, T) float64 in [-clip, clip]; 0 where unused.
    used: (S, G, T) bool, what may be learnt from.
    statistics: name -> number, for logs.
    """

    values: Tensor
    used: Tensor
    statistics: dict[str, float]


def advantages(rewards: Mapping[str, Tensor], failed: Tensor, options: AdvantageOptions) -> Advantages:
    """Advantages of every rollout at every turn.

    Args:
        rewards: metric -> (S, G, T) in [0, 1]; NaN where there is nothing to measure. Metrics without a weight only
            appear in the statistics.
        failed: (S, G, T) bool, the judge gave no answer there: never a number, out of every mean, and unused. Where a
            score needs several turns (mean, product, return_to_go, broadcast per_turn), one failed turn of them
            leaves the rollout without that score. `last` needs the last turn alone: a failed earlier turn is
            unused, and the rollout's other turns keep their advantage.

    Raises:
        MicebenchError: a weighted metric has no rewards.
    """
    for metric in options.weights.keys() - rewards.keys():
        raise MicebenchError(f"weights: no rewards of {metric!r}; the judge gives {', '.join(sorted(rewards))}")
    known = {metric: reward.double().masked_fill(failed, torch.nan) for metric, reward in rewards.items()}
    ends = _ends(torch.stack([failed, *(~reward.isnan() for reward in known.values())]).any(0))
    weights: Mapping[str, float] = {metric: weight for metric, weight in options.weights.items() if weight}
    scores = {metric: known[metric] for metric in weights}
    if options.fusion == "reward":
        scores, weights = {"fused": _fuse(scores, weights)}, {"fused": 1.0}

    total = torch.zeros(failed.shape, dtype=torch.float64)
    measured = torch.zeros_like(failed)
    statistics: dict[str, float] = {}
    for name, score in scores.items():
        deviations, flat = _deviations(_over_turns(score, failed, ends, options.aggregation))
        normalized = deviations / _scale(deviations, flat, options)
        total = total + weights[name] * normalized.nan_to_num(0.0)  # (S, G, 1) scores are spread over the turns here
        measured = measured | ~normalized.isnan()
        statistics[f"flat_groups/{name}"] = _share(flat, ~deviations.isnan().all(1, keepdim=True))
    if options.broadcast:
        total, measured = _broadcast(total, measured, failed, options.aggregation)
    measured = measured & ~failed  # a score that needs no failed turn is still not learnt from at one
    values = torch.where(measured, total, 0.0)
    statistics |= {
        "flat_groups": _share((values == 0).all(1), measured.any(1)),
        "masked": 1 - measured.double().mean().item(),
        "clipped": _share(values.abs() > options.clip, measured),
        "size": values.abs().sum().item() / max(1, int(measured.sum())),
    }
    for metric, reward in known.items():
        for turn in range(reward.shape[-1]):
            if (there := reward[..., turn][~reward[..., turn].isnan()]).numel():
                statistics[f"reward/{metric}/turn_{turn + 1}"] = there.mean().item()
    return Advantages(values.clamp(-options.clip, options.clip), measured, statistics)


def _fuse(scores: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Weighted mean over the metrics that are there; NaN where none is."""
    shares = {metric: (~score.isnan()).double() * weights[metric] for metric, score in scores.items()}
    summed = sum(shares[metric] * score.nan_to_num(0.0) for metric, score in scores.items())
    return torch.as_tensor(summed) / torch.as_tensor(sum(shares.values()))


def _ends(there: Tensor) -> Tensor:
    """(S, 1, 1) the last turn of each session, which may be shorter than T: the last with a reward or a failure."""
    turns = torch.arange(there.shape[-1])
    return torch.where(there.any(1), turns, 0).amax(-1)[:, None, None]


def _over_turns(score: Tensor, failed: Tensor, ends: Tensor, aggregation: Aggregation) -> Tensor:
    """(S, G, T) -> (S, G, T), or (S, G, 1) where a rollout has one score; NaN where there is none."""
    if aggregation == "per_turn":
        return score
    if aggregation == "last":
        return score.gather(-1, ends.expand(*score.shape[:2], 1))
    if aggregation == "mean":
        return score.nanmean(-1, keepdim=True).masked_fill(failed.any(-1, keepdim=True), torch.nan)
    there = ~score.isnan()
    if aggregation == "product":
        whole = torch.where(there, score, 1.0).prod(-1, keepdim=True)
        return whole.masked_fill(~there.any(-1, keepdim=True) | failed.any(-1, keepdim=True), torch.nan)
    rest = _from_here(score.nan_to_num(0.0))
    return rest.masked_fill((_from_here(there.double()) == 0) | (_from_here(failed.double()) > 0), torch.nan)


def _from_here(values: Tensor) -> Tensor:
    """Sums over this turn and all later ones."""
    return values.flip(-1).cumsum(-1).flip(-1)


def _deviations(score: Tensor) -> tuple[Tensor, Tensor]:
    """(S, G, K) differences from the group's mean, exactly 0 in groups without spread; and (S, 1, K), which are."""
    there = ~score.isnan()
    highest = score.masked_fill(~there, -torch.inf).amax(1, keepdim=True)
    lowest = score.masked_fill(~there, torch.inf).amin(1, keepdim=True)
    flat = highest - lowest <= _ROUNDING
    deviations = score - score.nanmean(1, keepdim=True)
    return torch.where(flat & there, 0.0, deviations), flat


def _scale(deviations: Tensor, flat: Tensor, options: AdvantageOptions) -> Tensor | float:
    """What deviations are divided by: (S, 1, K) per group, or (1, 1, K) over all groups that have any spread.

    A group without spread says nothing, so it does not make the others' advantages larger either.
    """
    if options.normalize == "none":
        return 1.0
    if options.normalize == "group":
        return deviations.square().nanmean(1, keepdim=True).sqrt() + options.epsilon
    telling = deviations.masked_fill(flat, torch.nan).flatten(0, 1)
    return telling.square().nanmean(0).nan_to_num(0.0).sqrt() + options.epsilon


def _broadcast(total: Tensor, measured: Tensor, failed: Tensor, aggregation: Aggregation) -> tuple[Tensor, Tensor]:
    """One advantage per rollout for all turns; of per-turn advantages, their mean over the turns."""
    if aggregation != "per_turn":
        return total, measured  # equal in all turns already
    count = measured.sum(-1, keepdim=True)
    mean = total.sum(-1, keepdim=True) / count.clamp(min=1)
    return mean.expand_as(total), ((count > 0) & ~failed.any(-1, keepdim=True)).expand_as(measured)


def _share(what: Tensor, among: Tensor) -> float:
    return (what & among).sum().item() / max(1, int(among.sum()))
