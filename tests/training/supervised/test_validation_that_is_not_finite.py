"""A model in training whose edits are NaN is not validated as one that paints black."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from micebench.errors import RunError  # noqa: E402
from micebench.training.supervised.model_builder import build_autoencoder, build_editor, build_pipeline  # noqa: E402
from micebench.training.supervised.validate import validate  # noqa: E402
from tests.training.supervised.tiny import tiny_recipe  # noqa: E402


def test_a_diverged_training_stops_with_one_line():
    recipe = tiny_recipe()
    editor = build_editor(recipe, recipe.autoencoder.latent_channels)
    pipeline = build_pipeline(build_autoencoder(recipe.autoencoder), editor, recipe.text)
    with torch.no_grad():
        for parameter in pipeline.transformer.parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(RunError, match="validation: the pipeline's result has NaN or infinite values; the training"):
        validate(pipeline, recipe)
