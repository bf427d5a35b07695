"""What a training run is: one YAML file, checked, hashed into every checkpoint."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from micebench.cards import check_fields, recipe_fields
from micebench.instructions import EditType
from micebench.sessions import Track

Context = Literal["last", "history"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AutoencoderRecipe(_Part):
    """`AutoencoderKL`, trained to give clean pictures back from slightly soiled ones.

    Soiling the input (and the latents) makes encode-decode a projection onto clean scenes, so that small errors
    do not add up when an editor reads its own outputs turn after turn.
    """

    channels: tuple[int, ...] = (32, 64, 64)
    latent_channels: int = 16
    steps: int = Field(ge=1)
    batch: int = Field(default=8, ge=2, description="images; many small steps learn textures faster than few large")
    lr: float = 2e-3
    warmup: int = 50
    soil: float = Field(default=0.015, description="largest noise (std, of [0, 1]) added to the input")
    latent_noise: float = Field(default=0.05, description="noise added to latents, in units of their std")
    kl: float = 1e-6


class TransformerRecipe(_Part):
    """`FluxTransformer2DModel`."""

    double_blocks: int = 3
    single_blocks: int = 5
    heads: int = 3
    head_dim: int = 64
    rope_axes: tuple[int, int, int] = (16, 24, 24)


class TextRecipe(_Part):
    """Word-level vocabulary; a small T5 encoder and a small CLIP text model, learned along."""

    width: int = 128
    t5_layers: int = 2
    clip_layers: int = 1
    heads: int = 4
    tokens: int = Field(default=48, description="max_sequence_length of every prompt; a longer one loses its start")
    pooled_tokens: int = Field(default=48, description="positions of the CLIP text model; it sees the prompt's end")


class FlowRecipe(_Part):
    """A round of flow matching on latents of edits."""

    steps: int = Field(ge=1)
    batch: int = Field(default=64, ge=1)
    lr: float = 1.2e-3
    final_lr_share: float = Field(default=0.05, description="cosine decay ends at this share of lr")
    warmup: int = 100
    clip_norm: float = 1.0
    weight_decay: float = 0.01
    ema: float = 0.998
    sigma_mean: float = Field(default=1.0, description="noise level = sigmoid(mean + std * normal)")
    sigma_std: float = 1.2
    changed_share: float = Field(default=0.5, description="share of the loss on tokens the edit changes")
    context_noise: float = Field(default=0.05, description="largest noise on the context latents")
    weights: dict[EditType, float] = Field(
        default_factory=dict, description="how often a type is kept, relative to the others; 1 if not named"
    )
    tracks: tuple[Track, ...] = Field(
        default=("plain", "plain", "plain", "cm", "cu"), description="where edits come from; each entry as often"
    )


class ValidationRecipe(_Part):
    """Single edits of the validation split, from reference states, judged by the exact judge."""

    every: int = Field(default=500, ge=1)
    sessions: int = Field(default=60, ge=1)
    inference_steps: int = Field(default=8, ge=1)


class Recipe(_Part):
    """A whole training run, from nothing (`autoencoder`) or from another model's weights (`start`)."""

    id: str
    description: str = ""
    seed: int = 0
    start: str | None = Field(default=None, description="model, or path of a saved pipeline, to go on from")
    context: Context = Field(default="last", description="what a prompt says: see `EditRequest`")
    autoencoder: AutoencoderRecipe | None = None
    transformer: TransformerRecipe = TransformerRecipe()
    text: TextRecipe = TextRecipe()
    flow: FlowRecipe
    refine: FlowRecipe | None = Field(default=None, description="a second round, from the average of the first")
    validation: ValidationRecipe = ValidationRecipe()
    checkpoint_every: int = Field(default=250, ge=1)

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.start is None) == (self.autoencoder is None):
            raise ValueError("give either start (a model to go on from) or autoencoder (a model from nothing)")
        return self

    @property
    def rounds(self) -> tuple[FlowRecipe, ...]:
        """The rounds of flow matching, in order."""
        return (self.flow,) if self.refine is None else (self.flow, self.refine)


def round_of(rounds: Sequence[FlowRecipe], step: int) -> tuple[FlowRecipe, int]:
    """The round a step (from 0, over all rounds) belongs to, and its number in that round."""
    for part in rounds[:-1]:
        if step < part.steps:
            return part, step
        step -= part.steps
    return rounds[-1], step


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe, on top of its base if it names one. Raises CardError with file, field and reason."""
    return check_fields(recipe_fields(path), Recipe, where=str(path))
