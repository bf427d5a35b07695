"""Text embeddings are kept where they depend on the prompt alone: fewer calls of the encoder, the same images."""

import inspect
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from micebench.editors.diffusers import DiffusersEditor  # noqa: E402
from micebench.editors.diffusers.embeddings import remember_prompts  # noqa: E402
from micebench.editors.diffusers.pipeline_specs import HABITS  # noqa: E402
from micebench.errors import CardError  # noqa: E402
from tests.editors.conftest import difference, request  # noqa: E402
from tests.editors.tiny_pipelines import OPTIONS  # noqa: E402

CUP, DOG = "Remove the red cup", "Add a dog on the left"
GUIDED = {"Flux2KleinPipeline": {"guidance_scale": 4.0}}  # with a negative prompt of its own


def counted(editor: DiffusersEditor) -> list[int]:
    """Prompts of each call of the text encoders, from here on."""
    calls: list[int] = []
    for name in ("text_encoder", "text_encoder_2"):
        if (encoder := getattr(editor.pipeline, name, None)) is not None:
            encoder.register_forward_pre_hook(
                lambda _, args, kwargs: calls.append(len(args[0] if args else kwargs["input_ids"])), with_kwargs=True
            )
    return calls


@pytest.mark.parametrize("name", [name for name, habit in HABITS.items() if habit.embeddings])
def test_the_same_images_for_fewer_calls(tiny_card, name):
    call = OPTIONS[name]["call"] | GUIDED.get(name, {})
    encoders = len(HABITS[name].embeddings)
    kept, plain = (
        DiffusersEditor(tiny_card(name, steps=1, call=call, **more)) for more in ({}, {"text_cache_mib": 0})
    )
    requests = [request(said, number=number) for number, said in enumerate((CUP, DOG, CUP, CUP))]
    calls = counted(kept), counted(plain)
    for one in requests:
        assert difference(kept.edit([one])[0], plain.edit([one])[0]) == 0
    prompts = 3 if name in GUIDED else 2  # the negative one is asked for with every edit, and encoded once
    assert calls[0] == [1] * prompts * encoders
    assert len(calls[1]) == len(requests) * encoders * (2 if name in GUIDED else 1)


def test_in_a_batch_only_what_is_new_is_encoded_each_by_itself(tiny_card, tiny_editor):
    """So that an embedding is the same whoever the neighbours are, and whichever run was interrupted."""
    editor = DiffusersEditor(tiny_card())
    calls = counted(editor)
    alone = [editor.edit([request(said, number=number)])[0] for number, said in enumerate((CUP, DOG))]
    assert calls == [1, 1] * 2
    said = (CUP, DOG, "Paint the wall green", DOG)
    together = editor.edit([request(words, number=number) for number, words in enumerate(said)])
    assert calls[4:] == [1, 1]
    assert max(difference(a, b) for a, b in zip(alone, together, strict=False)) <= 2
    assert difference(together[1], together[3]) > 8


def test_only_embeddings_of_the_prompt_alone_are_kept():
    for name, habit in HABITS.items():
        encode = getattr(getattr(diffusers, name), "encode_prompt", None)
        arguments = inspect.signature(encode).parameters if encode else {}
        assert set(habit.embeddings) <= set(arguments)
        if "image" in arguments:
            assert not habit.embeddings, name


def test_a_size_that_has_no_effect_is_named(tiny_card):
    with pytest.raises(CardError, match="text_cache_mib: QwenImageEditPipeline keeps no text embeddings"):
        DiffusersEditor(tiny_card("QwenImageEditPipeline", text_cache_mib=64))


class Encoder:
    """``encode_prompt`` of a pipeline whose embeddings take half a MiB each."""

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def __call__(self, prompt, prompt_embeds=None, device=None, second=None):
        if prompt_embeds is None:
            self.encoded += prompt
            prompt_embeds = torch.stack([torch.full((1 << 17,), float(len(said))) for said in prompt])
        return prompt_embeds, torch.zeros(len(prompt_embeds), 3)


def remembered(mib: int):
    pipeline = SimpleNamespace(encode_prompt=(encoder := Encoder()))
    remember_prompts(pipeline, ["prompt_embeds"], mib)
    return pipeline.encode_prompt, encoder.encoded


def test_memory_is_bounded_and_the_longest_unused_goes_first():
    encode, encoded = remembered(1)  # room for two
    for said in ("a", "bb", "a", "ccc", "a", "bb"):
        encode(prompt=said)
    assert encoded == ["a", "bb", "ccc", "bb"]
    encode, encoded = remembered(1)
    embeds, other = encode(prompt=["a", "bb", "ccc", "a"])  # more than there is room for
    assert [row[0].item() for row in embeds] == [1.0, 2.0, 3.0, 1.0]
    assert len(other) == 4


def test_what_else_is_asked_makes_another_embedding():
    encode, encoded = remembered(8)
    for second in (None, "x", "x", None):
        encode(prompt="a", second=second)
    assert encoded == ["a", "a"]
    given = torch.ones(1, 4)
    assert encode(prompt=None, prompt_embeds=given)[0] is given
