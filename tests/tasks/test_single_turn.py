"""MagicBrush's all-turn setting: the same turns, each from the ground truth before it."""

import json

import pytest
from PIL import Image

from micebench.cards import TaskCard, load_card
from micebench.errors import CardError
from micebench.tasks.load import open_sessions


@pytest.fixture
def folder(tmp_path):
    images = tmp_path / "images" / "7"
    images.mkdir(parents=True)
    for number, name in enumerate(("input", "out1", "out2", "mask1", "mask2")):
        Image.new("RGB", (4, 4), (number * 40, 0, 0)).save(images / f"{name}.png")
    turns = [
        {"input": "input.png", "mask": "mask1.png", "output": "out1.png", "instruction": "first"},
        {"input": "out1.png", "mask": "mask2.png", "output": "out2.png", "instruction": "second"},
    ]
    (tmp_path / "edit_sessions.json").write_text(json.dumps({"7": turns}))
    return tmp_path


def red(image):
    return image.open().getpixel((0, 0))[0]


def test_all_turn_and_final_turn(folder):
    whole = list(open_sessions(load_card(TaskCard, "magicbrush"), folder))
    apart = list(open_sessions(load_card(TaskCard, "magicbrush-all-turn"), folder))
    assert [(one.id, len(one.turns), red(one.image)) for one in whole] == [("7", 2, 0)]
    assert [(one.id, len(one.turns), red(one.image)) for one in apart] == [("7.t1", 1, 0), ("7.t2", 1, 40)]
    for one, turn in zip(apart, whole[0].turns, strict=True):
        alone = one.turns[0]
        assert (alone.number, alone.instruction) == (1, turn.instruction)
        assert red(alone.target_image) == red(turn.target_image)
        assert red(alone.mask_image) == red(turn.mask_image)


def test_an_unknown_start_is_refused(folder):
    card = load_card(TaskCard, "magicbrush").model_copy(update={"options": {"start": "middle"}})
    with pytest.raises(CardError, match="start is 'middle'"):
        list(open_sessions(card, folder))
