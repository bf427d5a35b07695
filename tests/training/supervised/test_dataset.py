"""Every word has a token, every batch depends on its number alone, and no test scene is ever shown."""

from itertools import islice

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import numpy as np

from micebench.mini.generate import HELD_OUT, plans, split_of
from micebench.sessions import TRACKS
from micebench.training.supervised.recipe import FlowRecipe
from micebench.training.supervised.dataset import Batches, batches, examples
from micebench.training.supervised.tokenizer import EOS_ID, PAD_ID, build_tokenizer, vocabulary


def test_nothing_that_is_said_is_unknown():
    tokenizer = build_tokenizer(64)
    unknown = tokenizer.convert_tokens_to_ids("<unk>")
    for split in ("train", "test"):
        for track in ("plain", "cm", "cu"):
            for plan in islice(plans(split, track, 3, 0), 60):
                for step in plan.steps:
                    ids = tokenizer(step.instruction).input_ids
                    assert unknown not in ids, step.instruction
                    assert ids[-1] == EOS_ID
    padded = tokenizer("Remove it", padding="max_length", max_length=8).input_ids
    assert padded[2:] == [EOS_ID] + [PAD_ID] * 5


def test_the_letter_a_is_not_the_article():
    assert {"A", "a"} <= set(vocabulary())


def test_a_batch_depends_on_its_number_alone():
    data = Batches(1, [FlowRecipe(steps=4, batch=4), FlowRecipe(steps=2, batch=4, tracks=("cm",))])
    straight = list(batches(data, 0, workers=0))
    later = list(batches(data, 3, workers=1))
    for a, b in zip(straight[3:], later, strict=True):
        assert a["prompt"] == b["prompt"]
        assert np.array_equal(a["source"], b["source"])
        assert np.array_equal(a["target"], b["target"])
    assert straight[0]["prompt"] != straight[1]["prompt"]


def test_training_shows_no_test_scene_and_no_held_out_look():
    drawn = list(islice(examples("train", 3, FlowRecipe(steps=1), "last"), 300))
    for example in drawn:
        assert not {thing.kind for thing in example.target.things} & HELD_OUT
    sources = [example.source for example in drawn]
    assert sum(split_of(source) == "train" for source in sources) > len(sources) / 3  # turns 2, 3 start elsewhere


def test_history_tells_what_a_later_turn_needs():
    def prompts(context):
        drawn = islice(examples("train", 5, FlowRecipe(steps=1, tracks=TRACKS), context), 400)
        return [example.prompt for example in drawn]

    pronouns = ("it", "them")
    assert not any(set(prompt.split()) & set(pronouns) for prompt in prompts("last"))
    told = [prompt for prompt in prompts("history") if set(prompt.split()) & set(pronouns)]
    assert len(told) > 40
    assert all(". " in prompt for prompt in told)


def test_a_prompt_that_is_too_long_keeps_its_end():
    tokenizer = build_tokenizer(4)
    kept = tokenizer("Change the background to night. Remove it", truncation=True, max_length=4).input_ids
    assert tokenizer.decode(kept) == ". Remove it </s>"


def test_rarer_types_are_rarer():
    def share(weights):
        drawn = list(islice(examples("train", 4, FlowRecipe(steps=1, weights=weights), "last"), 600))
        return sum(example.edit_type == "background_change" for example in drawn) / len(drawn)

    assert share({"background_change": 0.1}) < share({}) / 3
