"""Every known pipeline class edits photographs over three turns, at their size, as instruction and image say."""

import io
import json

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

from PIL import Image

import micebench
from micebench.cards import DataSource, TaskCard
from micebench.editors.base import EditRequest
from micebench.editors.diffusers import DiffusersEditor
from micebench.editors.diffusers.pipeline_specs import HABITS
from tests.editors.conftest import difference, photograph, request
from tests.editors.tiny_pipelines import TINY


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A task of two sessions with images of either orientation, and its folder."""
    folder = tmp_path_factory.mktemp("photos")
    said = ["Remove the red cup", "Paint the wall green", "Add a dog on the left"]
    with (folder / "sessions.jsonl").open("w") as file:
        for number, (width, height) in enumerate([(100, 72), (66, 130)]):
            photograph(width, height, seed=number).save(folder / f"{number}.png")
            file.write(json.dumps({"id": f"p{number}", "image": f"{number}.png", "instructions": said}) + "\n")
    card = TaskCard(
        id="photos",
        description="two photographs",
        domain="photo",
        loader="jsonl",
        data=DataSource(files=["sessions.jsonl"]),
        judge=None,
        turns=3,
    )
    return card, folder


def test_every_known_class_is_tested():
    assert set(TINY) == set(HABITS)


@pytest.mark.parametrize("name", TINY)
def test_three_turns_at_the_size_of_the_photograph(tiny_card, photos, tmp_path, name):
    task, folder = photos
    run = micebench.evaluate(task, tiny_card(name, steps=1, context="last"), data=folder, out=tmp_path / "run")
    assert run.failures() == []
    edits = list(run.edits())
    assert len(edits) == 6
    images = {(e.session, e.turn): Image.open(io.BytesIO(run.blob(e.image))) for e in edits}
    assert {key: image.size for key, image in images.items()} == {
        (f"p{number}", turn): size for number, size in enumerate([(100, 72), (66, 130)]) for turn in (1, 2, 3)
    }
    for number in range(2):
        assert difference(images[f"p{number}", 1], images[f"p{number}", 2]) > 0


@pytest.mark.parametrize("name", TINY)
def test_instruction_image_and_seed_make_the_result(tiny_editor, name):
    editor = tiny_editor(name)
    one = request("Remove the red cup")
    first = editor.edit([one])[0]
    assert difference(first, editor.edit([one])[0]) == 0
    other_words = EditRequest("s", 1, ("Add a dog on the left",), one.images, one.seed)
    other_image = EditRequest("s", 1, one.instructions, (photograph(seed=9),), one.seed)
    other_seed = EditRequest("s", 1, one.instructions, one.images, 9)
    for changed in (other_words, other_image, other_seed):
        assert difference(first, editor.edit([changed])[0]) > 0


class Spied:
    """A pipeline that remembers what it was called with."""

    def __init__(self, pipeline):
        self.pipeline = pipeline
        self.calls = []

    def __getattr__(self, name):
        return getattr(self.pipeline, name)

    def __call__(self, **arguments):
        self.calls.append(arguments)
        return self.pipeline(**arguments)


def spied(card) -> tuple[DiffusersEditor, Spied]:
    editor = DiffusersEditor(card)
    editor.pipeline = spy = Spied(editor.pipeline)
    return editor, spy


def test_pipelines_that_cannot_batch_are_called_one_by_one(tiny_card):
    editor, spy = spied(tiny_card("Flux2KleinPipeline"))
    edited = editor.edit([request(number=number) for number in range(3)])
    assert [call["prompt"] for call in spy.calls] == ["Remove the red cup"] * 3
    assert difference(edited[0], edited[1]) > 0


def test_kontext_batches_no_more_than_its_card_says(tiny_card):
    editor, spy = spied(tiny_card(max_batch=2))
    editor.edit([request(number=number) for number in range(3)])
    assert [len(call["image"]) for call in spy.calls] == [2, 1]


@pytest.mark.parametrize("name", [name for name, habit in HABITS.items() if habit.references])
def test_the_source_can_be_shown_beside_the_last_image(tiny_card, tiny_editor, name):
    editor, spy = spied(tiny_card(name, references="source_and_last", context="history"))
    source, last = photograph(seed=1), photograph(seed=2)
    words = ("Remove the red cup", "Now paint it green")
    shown = editor.edit([EditRequest("s", 2, words, (source, last), seed=0)])[0]
    images = spy.calls[0].get("image") or spy.calls[0]["input_images"]
    assert len(images) == 2
    assert difference(images[1].resize(last.size), last) < difference(images[0].resize(last.size), last)
    assert "Remove the red cup. Now paint it green" in spy.calls[0]["prompt"]
    assert difference(shown, tiny_editor(name).edit([EditRequest("s", 2, words, (last,), seed=0)])[0]) > 0
    editor.edit([EditRequest("s", 1, words[:1], (source,), seed=0)])
    assert len(spy.calls[1].get("image") or spy.calls[1]["input_images"]) == 1


def test_the_prompt_follows_its_template(tiny_card):
    editor, spy = spied(tiny_card(prompt="Edit: {instruction} Keep {everything} else."))
    editor.edit([request("Remove it.")])
    assert spy.calls[0]["prompt"] == ["Edit: Remove it. Keep {everything} else."]


def test_a_result_may_keep_the_size_it_was_made_at(tiny_card):
    resolution = {"area": 64 * 64}
    made = [DiffusersEditor(tiny_card(resolution=resolution, output=kept)) for kept in ("kept", "input")]
    sizes = [editor.edit([request(width=200, height=100)])[0].size for editor in made]
    assert sizes == [(92, 44), (200, 100)]
