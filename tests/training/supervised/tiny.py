"""A recipe so small that it trains in seconds: real classes, few channels."""

from micebench.training.supervised.recipe import (
    AutoencoderRecipe,
    FlowRecipe,
    Recipe,
    TextRecipe,
    TransformerRecipe,
    ValidationRecipe,
)


def tiny_recipe(steps: int = 8, autoencoder_steps: int = 4, **changes) -> Recipe:
    """`steps` of flow matching; and, of a model from nothing, 12 steps to refine it."""
    parts = {
        "id": "tiny",
        "autoencoder": AutoencoderRecipe(channels=(16, 16, 16), latent_channels=4, steps=autoencoder_steps, batch=8),
        "transformer": TransformerRecipe(double_blocks=1, single_blocks=1, heads=2, head_dim=16, rope_axes=(4, 6, 6)),
        "text": TextRecipe(width=16, t5_layers=1, heads=2, tokens=24, pooled_tokens=24),
        "flow": FlowRecipe(steps=steps, batch=8, warmup=2),
        "refine": None if "start" in changes else FlowRecipe(steps=12, batch=8, warmup=2, tracks=("cm",)),
        "validation": ValidationRecipe(every=10, sessions=3, inference_steps=2),
        "checkpoint_every": 5,
    }
    return Recipe(**{**parts, **changes})
