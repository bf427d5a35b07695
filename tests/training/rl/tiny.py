"""A miniature with random weights and recipes that are through in seconds."""

import torch

from micebench.cards import EditorCard
from micebench.training.rl.recipe import RlRecipe
from micebench.training.supervised.model_builder import build_autoencoder, build_editor, build_pipeline, save_pipeline
from tests.training.supervised.tiny import tiny_recipe


def tiny_editor(folder, **options):
    """The card of a pipeline of the embedded world, saved in `folder`."""
    recipe = tiny_recipe()
    torch.manual_seed(0)
    autoencoder, editor = (
        build_autoencoder(recipe.autoencoder),
        build_editor(recipe, recipe.autoencoder.latent_channels),
    )
    save_pipeline(build_pipeline(autoencoder, editor, recipe.text), folder)
    return EditorCard(
        id="tiny",
        description="x",
        domain="mini",
        editor="diffusers",
        batch=16,
        weights=str(folder),
        options={
            "pipeline": "FluxKontextPipeline",
            "steps": 4,
            "call": {"max_sequence_length": recipe.text.tokens},
            **options,
        },
    )


def tiny_rl(method="nft", **changes):
    """Two sessions, two rollouts, three iterations."""
    sampling = {"kind": "cps", "window": 2} if method == "grpo" else {}
    fields = {
        "id": "tiny-rl",
        "model": "tiny",
        "task": "mice-mini-train",
        "iterations": 3,
        "rollout": {"sessions": 2, "group": 3, "sampling": sampling},
        "advantages": {"weights": {"CC": 1.0}},  # random weights never follow an instruction
        "learn": {"lr": 1e-3, "batch": 8, "micro": 3, "warmup": 2, "min_advantage": 0.0},
        method: {"kl": 0.1},
        "precision": "no",
        "checkpoint_every": 1,
    }
    return RlRecipe(**{**fields, **changes})
