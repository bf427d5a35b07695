"""What a training run is: one YAML file, checked, hashed into every checkpoint."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from micebench.cards import check_fields, recipe_fields
from micebench.cards.recipes import ID_PATTERN, MAX_ID
from micebench.instructions import EDIT_TYPES, EditType
from micebench.sessions import TRACKS, Track

Context = Literal["last", "history"]
Positive = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class AutoencoderRecipe(_Part):
    """`AutoencoderKL`, trained to give clean pictures back from slightly soiled ones.

    Soiling the input (and the latents) makes encode-decode a projection onto clean scenes, so that small errors
    do not add up when an editor reads its own outputs turn after turn.
    """

    channels: tuple[Annotated[int, Field(ge=16, multiple_of=16)], ...] = Field(
        default=(32, 64, 64), min_length=1, max_length=4, description="each level but the first halves the image"
    )
    latent_channels: int = Field(default=16, ge=1)
    steps: int = Field(ge=1)
    batch: int = Field(default=8, ge=2, description="images; many small steps learn textures faster than few large")
    lr: float = Field(default=2e-3, gt=0)
    warmup: int = Field(default=50, ge=1)
    soil: float = Field(default=0.015, description="largest noise (std, of [0, 1]) added to the input")
    latent_noise: float = Field(default=0.05, description="noise added to latents, in units of their std")
    kl: float = 1e-6


class TransformerRecipe(_Part):
    """`FluxTransformer2DModel`."""

    double_blocks: int = Field(default=3, ge=1)
    single_blocks: int = Field(default=5, ge=0)
    heads: int = Field(default=3, ge=1)
    head_dim: int = Field(default=64, ge=1)
    rope_axes: tuple[Positive, Positive, Positive] = (16, 24, 24)

    @model_validator(mode="after")
    def _axes_fill_a_head(self) -> Self:
        if sum(self.rope_axes) != self.head_dim or any(axis % 2 for axis in self.rope_axes):
            raise ValueError(
                f"rope_axes {list(self.rope_axes)}: give even numbers that add up to head_dim {self.head_dim}"
            )
        return self


class TextRecipe(_Part):
    """Word-level vocabulary; a small T5 encoder and a small CLIP text model, learned along."""

    width: int = Field(default=128, ge=1)
    t5_layers: int = Field(default=2, ge=1)
    clip_layers: int = Field(default=1, ge=1)
    heads: int = Field(default=4, ge=1)
    tokens: int = Field(
        default=48, ge=1, description="max_sequence_length of every prompt; a longer one loses its start"
    )
    pooled_tokens: int = Field(
        default=48, ge=1, description="positions of the CLIP text model; it sees the prompt's end"
    )

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


class FlowRecipe(_Part):
    """A round of flow matching on latents of edits."""

    steps: int = Field(ge=1)
    batch: int = Field(default=64, ge=1)
    lr: float = Field(default=1.2e-3, gt=0)
    final_lr_share: float = Field(default=0.05, ge=0, le=1, description="cosine decay ends at this share of lr")
    warmup: int = Field(default=100, ge=1)
    clip_norm: float = Field(default=1.0, gt=0, allow_inf_nan=True)
    weight_decay: float = Field(default=0.01, ge=0)
    ema: float = Field(default=0.998, ge=0, lt=1)
    sigma_mean: float = Field(default=1.0, description="noise level = sigmoid(mean + std * normal)")
    sigma_std: float = Field(default=1.2, ge=0)
    changed_share: float = Field(default=0.5, ge=0, le=1, description="share of the loss on tokens the edit changes")
    context_noise: float = Field(default=0.05, description="largest noise on the context latents")
    weights: dict[EditType, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict, description="how often a type is kept, relative to the others; 1 if not named"
    )
    tracks: tuple[Track, ...] = Field(
        default=("plain", "plain", "plain", "cm", "cu"),
        min_length=1,
        description="where edits come from; each entry as often",
    )

    @model_validator(mode="after")
    def _something_is_kept(self) -> Self:
        if not any(self.weights.get(kind, 1.0) for kind in EDIT_TYPES):
            raise ValueError("weights: give at least one edit type a weight above 0")
        return self


class ValidationRecipe(_Part):
    """Single edits of the validation split, from reference states, judged by the exact judge."""

    every: int = Field(default=500, ge=1)
    sessions: int = Field(default=60, ge=1)
    inference_steps: int = Field(default=8, ge=1)


class Recipe(_Part):
    """A whole training run, from nothing (`autoencoder`) or from another model's weights (`start`)."""

    id: str = Field(pattern=ID_PATTERN, max_length=MAX_ID)
    description: str = ""
    seed: int = Field(default=0, ge=-(2**63), lt=2**63)
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
        if self.context == "history" and self.validation.sessions < len(TRACKS):
            raise ValueError(
                f"validation.sessions: context history is validated on {len(TRACKS)} tracks; give as many"
            )
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
