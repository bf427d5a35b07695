"""Out of memory costs speed, not edits; what cannot be edited costs itself alone."""

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from micebench.editors.base import Edited  # noqa: E402
from micebench.editors.diffusers import DiffusersEditor  # noqa: E402
from tests.editors.conftest import difference, request  # noqa: E402


class Limited:
    """A pipeline with room for `most` images that raises `error` for more, and always for the prompt "fail"."""

    def __init__(self, pipeline, most: int, error: Exception):
        self.pipeline, self.most, self.error = pipeline, most, error
        self.batches = []

    def __getattr__(self, name):
        return getattr(self.pipeline, name)

    def __call__(self, **arguments):
        self.batches.append(len(arguments["prompt"]))
        if self.batches[-1] > self.most:
            raise self.error
        if "fail" in arguments["prompt"]:
            raise ValueError("cannot be\nedited")
        return self.pipeline(**arguments)


def limited(card, most: int, error: Exception) -> tuple[DiffusersEditor, Limited]:
    editor = DiffusersEditor(card)
    editor.pipeline = pipeline = Limited(editor.pipeline, most, error)
    return editor, pipeline


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("CUDA error: out of memory")]
)
def test_the_batch_is_halved_until_it_fits(tiny_card, tiny_editor, error):
    editor, pipeline = limited(tiny_card(), 2, error)
    requests = [request(number=number) for number in range(5)]
    edited = editor.edit(requests)
    assert pipeline.batches == [5, 2, 2, 1]
    assert all(isinstance(result, Edited) and result.usage == {"batch_halved_to": 2} for result in edited)
    for result, unlimited in zip(edited, tiny_editor().edit(requests), strict=True):
        assert difference(result.image, unlimited) <= 2
    editor.edit(requests)
    assert pipeline.batches[4:] == [2, 2, 1], "the limit is remembered"


def test_what_does_not_fit_alone_is_a_failed_edit(tiny_card):
    editor, pipeline = limited(tiny_card(), 0, torch.OutOfMemoryError("CUDA out of memory. Tried ..."))
    small, large = editor.edit([request(number=0), request(number=1, width=128, height=128)])
    assert pipeline.batches == [1, 1]
    assert small.image is None
    assert small.failed.startswith("out of memory at 100 x 72 pixels")
    assert large.failed.startswith("out of memory at 128 x 128 pixels")


def test_a_failing_item_fails_alone(tiny_card):
    editor, pipeline = limited(tiny_card(), 9, RuntimeError())
    first, bad, last = editor.edit([request(number=0), request("fail", number=1), request(number=2)])
    assert pipeline.batches == [3, 1, 1, 1]
    assert bad == Edited(None, failed="ValueError: cannot be edited")
    assert first.size == last.size == (100, 72)


def test_a_blanked_image_is_a_refusal(tiny_card):
    editor = DiffusersEditor(tiny_card())
    real = editor.pipeline

    def checked(**arguments):
        return SimpleNamespace(images=real(**arguments).images, nsfw_content_detected=[False, True])

    checked.image_processor = real.image_processor
    editor.pipeline = checked
    kept, blanked = editor.edit([request(number=0), request(number=1)])
    assert kept.size == (100, 72)
    assert blanked.image is None
    assert "safety checker" in blanked.refused
