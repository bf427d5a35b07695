"""What an RL run is: one YAML file (on top of its bases), checked, kept with the run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from micebench.cards import check_fields, recipe_fields, recipe_path
from micebench.cards.recipes import ID_PATTERN, MAX_ID
from micebench.training.rl.advantages import AdvantageOptions
from micebench.training.rl.policies.lora import LoraOptions
from micebench.training.rl.losses import Decay
from micebench.training.rl.samplers import SamplingPlan


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RolloutRecipe(_Part):
    """How sessions are rolled out: `sessions` x `group` rollouts, every turn of each."""

    sessions: int = Field(ge=1, description="sessions (groups) per iteration, over all processes")
    group: int = Field(ge=2, description="rollouts per session")
    sampling: SamplingPlan = SamplingPlan()
    missing_limit: float = Field(default=0.05, ge=0, lt=1, description="a larger share without an answer stops")


class LearnRecipe(_Part):
    """How an iteration's edits are learnt from."""

    batch: int = Field(default=64, ge=1, description="edits per optimizer step, over all processes")
    micro: int = Field(default=32, ge=1, description="edits per forward pass of one process")
    lr: float = Field(gt=0)
    warmup: int = Field(default=30, ge=1, description="optimizer steps")
    weight_decay: float = Field(default=0.01, ge=0)
    clip_norm: float = Field(default=1.0, gt=0, allow_inf_nan=True, description="largest gradient norm; .inf: any")
    min_advantage: float = Field(default=0.05, ge=0, description="edits with a smaller |advantage| are left out")
    ema: float = Field(default=0.99, ge=0, lt=1, description="average of the weights: what is validated and kept")


class NftRecipe(_Part):
    """DiffusionNFT (Zheng et al. 2025): the forward process, no trajectories, no likelihoods."""

    beta: float = Field(default=1.0, gt=0, description="how far the implicit policies reach beyond the old one")
    old_policy: Decay | Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.5, description="share of itself that the old policy keeps: a constant, or a schedule over steps"
    )
    draws: int = Field(default=1, ge=1, description="noise levels per edit")
    sigma_range: tuple[float, float] = Field(
        default=(0.0, 1.0),
        description="learn at the sampler's noise levels in [low, high); at 1 there is only noise, and the "
        "error is the size of the sample and says nothing about it",
    )
    changed_share: float = Field(default=0.5, ge=0, le=1, description="share of the loss on tokens the edit changes")
    kl: float = Field(default=0.0, ge=0, description="weight of the velocity distance to the start")
    positives_only: bool = Field(default=False, description="control: learn from advantages above zero alone")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.sigma_range
        if not 0 <= low < high <= 1:
            raise ValueError(f"sigma_range is [{low}, {high}); give 0 <= low < high <= 1")
        return self


class GrpoRecipe(_Part):
    """Flow-GRPO (Liu et al. 2025): PPO on the stochastic steps of the sampler."""

    clip_low: float = Field(default=1e-4, gt=0)
    clip_high: float = Field(default=1e-4, gt=0)
    kl: float = Field(default=0.0, ge=0, description="weight of the exact Gaussian KL to the start")


class ValidationRecipe(_Part):
    """Held-out sessions, the judge they are scored by, and how often; compared with the start, paired."""

    task: str
    judge: str | None = Field(default=None, description="None: the task's own")
    every: int = Field(default=20, ge=1, description="iterations")
    limit: int | None = Field(default=None, ge=1, description="the first so many sessions")


class RlRecipe(_Part):
    """Post-training of an editor with judges as rewards.

    The model's own card says context, prompt, size and precision; training samples as evaluation does, except for
    what `options` and `rollout.sampling` change.
    """

    id: str = Field(pattern=ID_PATTERN, max_length=MAX_ID)
    description: str = ""
    seed: int = Field(default=0, ge=-(2**63), lt=2**63)
    model: str
    options: dict[str, Any] = Field(
        default_factory=dict, description="in place of the model card's options, e.g. a smaller resolution"
    )
    task: str = Field(description="train sessions")
    allow_test: bool = Field(default=False, description="train, or choose checkpoints, on a test split after all")
    judge: str | None = Field(default=None, description="gives the rewards; None: the task's own")
    iterations: int = Field(ge=1)
    rollout: RolloutRecipe
    advantages: AdvantageOptions = AdvantageOptions()
    learn: LearnRecipe
    nft: NftRecipe | None = None
    grpo: GrpoRecipe | None = None
    lora: LoraOptions | None = Field(default=None, description="None: all weights of the denoiser")
    checkpointing: bool = Field(default=False, description="gradient checkpointing")
    precision: Literal["no", "bf16", "fp16"] = "bf16"
    validation: ValidationRecipe | None = None
    checkpoint_every: int = Field(default=10, ge=1, description="iterations")

    @model_validator(mode="after")
    def _one_method(self) -> Self:
        if (self.nft is None) == (self.grpo is None):
            raise ValueError("give one method: nft or grpo")
        sampling = self.rollout.sampling
        if self.grpo and (sampling.kind == "euler" or not sampling.window):
            raise ValueError("grpo needs stochastic steps: rollout.sampling.kind sde or cps, and a window")
        if self.nft and sampling.window:
            raise ValueError("nft learns from final images alone: leave rollout.sampling.window at 0")
        return self


def load_rl_recipe(name: str | Path, changes: Mapping[str, Any] | None = None) -> RlRecipe:
    """Read and check a recipe, on top of its base if it names one.

    Args:
        name: id of a recipe that ships, or the path of a YAML file.
        changes: fields that replace the file's, at the top level; None values are left out.

    Raises:
        CardError: file, field and reason.
    """
    path = recipe_path(name)
    fields = recipe_fields(path)
    fields |= {key: value for key, value in (changes or {}).items() if value is not None}
    return check_fields(fields, RlRecipe, where=str(path))
