"""NaN or infinity in a pipeline fails that edit alone; it never becomes an image."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from micebench.editors.base import Edited  # noqa: E402
from micebench.editors.diffusers import DiffusersEditor  # noqa: E402
from micebench.editors.diffusers.finite import call_pipeline  # noqa: E402
from tests.editors.conftest import difference, request  # noqa: E402
from tests.editors.tiny_pipelines import OPTIONS  # noqa: E402

BAD = [float("nan"), float("inf"), float("-inf")]
ALL = sorted(OPTIONS)


def spoil_latents(editor: DiffusersEditor, value: float, item: int) -> None:
    """One latent of one item of every batch has the value when it reaches the decoder."""
    decode = editor.pipeline.vae.decode

    def spoilt(latents, *arguments, **options):
        latents = latents.clone()
        latents[item].view(-1)[0] = value
        return decode(latents, *arguments, **options)

    editor.pipeline.vae.decode = spoilt


def spoil_pixels(editor: DiffusersEditor, value: float, item: int) -> None:
    """One decoded value of one item of every batch is this value."""
    decode = editor.pipeline.vae.decode

    def spoilt(*arguments, **options):
        decoded = decode(*arguments, **options)
        decoded[0][item].view(-1)[0] = value
        return decoded

    editor.pipeline.vae.decode = spoilt


def assert_failed(result: object) -> None:
    assert isinstance(result, Edited)
    assert result.image is None
    assert result.failed.startswith("the pipeline's result has NaN or infinite values")


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("spoil", [spoil_latents, spoil_pixels])
def test_only_the_item_with_such_a_value_fails(tiny_card, tiny_editor, spoil, value):
    requests = [request(number=number) for number in range(3)]
    editor = DiffusersEditor(tiny_card())
    spoil(editor, value, item=1)
    first, bad, last = editor.edit(requests)
    assert_failed(bad)
    good = tiny_editor().edit(requests)
    assert difference(first, good[0]) == difference(last, good[2]) == 0


@pytest.mark.parametrize("name", ALL)
def test_weights_that_are_nan_make_no_image(tiny_card, name):
    editor = DiffusersEditor(tiny_card(name))
    denoiser = editor.pipeline.unet if hasattr(editor.pipeline, "unet") else editor.pipeline.transformer
    with torch.no_grad():
        for parameter in denoiser.parameters():
            parameter.fill_(float("nan"))
    assert_failed(editor.edit([request()])[0])


@pytest.mark.parametrize("name", ALL)
def test_finite_results_are_those_of_diffusers_to_the_bit(tiny_editor, name, monkeypatch):
    ours = tiny_editor(name).edit([request()])[0]

    def plainly(pipeline, **arguments):
        output = pipeline(**arguments, output_type="pil")
        return output.images, output

    monkeypatch.setattr("micebench.editors.diffusers.editor.call_pipeline", plainly)
    assert difference(ours, tiny_editor(name).edit([request()])[0]) == 0


def test_a_value_that_turns_nan_after_decoding_is_noticed(tiny_card):
    editor = DiffusersEditor(tiny_card())
    real = editor.pipeline.image_processor.postprocess

    def postprocess(*arguments, **options):
        images = real(*arguments, **options)
        images[0, 0, 0, 0] = np.nan
        return images

    editor.pipeline.image_processor.postprocess = postprocess
    assert_failed(editor.edit([request()])[0])


def test_the_decoder_is_left_as_it_was(tiny_editor):
    editor = tiny_editor()
    editor.edit([request()])
    assert "decode" not in vars(editor.pipeline.vae)
    with pytest.raises(TypeError):
        call_pipeline(editor.pipeline, no_such_argument=1)
    assert "decode" not in vars(editor.pipeline.vae)
