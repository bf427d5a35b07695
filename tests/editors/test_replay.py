"""Replay: each image is found at its place, a missing one is named, and other images are another model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from micebench.cards import EditorCard
from micebench.cli import build_app
from micebench.editors.base import Edited, EditRequest
from micebench.editors.replay import Replay, replay_card
from micebench.engine.evaluate import evaluate
from micebench.errors import CardError, RunError
from tests.editors.fake_image_server import as_bytes
from tests.toy import Meter, toy_cards


def picture(number: int, size: tuple[int, int] = (8, 8)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))


def save(path: Path, number: int, size: tuple[int, int] = (8, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(number, size).save(path)


def replay(folder: Path, **options: Any) -> Replay:
    card = EditorCard(id="r", description="x", domain="any", editor="x:Y", options=options, weights=str(folder))
    return Replay(card)


def one(editor: Replay, session: str, turn: int, size: tuple[int, int] = (8, 8)) -> Edited:
    (edited,) = editor.edit([EditRequest(session, turn, ("x",), (Image.new("RGB", size),), seed=1)])
    return edited


def same(edited: Edited, number: int) -> bool:
    assert edited.image is not None, edited.failed
    return np.array_equal(np.asarray(edited.image), np.asarray(picture(number)))


def test_edivals_layout_and_session_folders_are_found_unasked(tmp_path: Path) -> None:
    save(tmp_path / "7_input_raw_turn_1.png", 1)
    save(tmp_path / "7_input_raw_turn_2.png", 2)
    save(tmp_path / "8/1.webp", 3)
    editor = replay(tmp_path)
    assert same(one(editor, "7", 1), 1)
    assert same(one(editor, "7", 2), 2)
    assert one(editor, "8", 1).image is not None
    assert one(editor, "7", 3).failed == f"no image 7_input_raw_turn_3 or 7/3 in {tmp_path}"


def test_a_pattern_may_pad_and_count_from_zero(tmp_path: Path) -> None:
    save(tmp_path / "cm/test/abc/turn01.png", 1)
    save(tmp_path / "abc-0.jpg", 2)
    assert same(one(replay(tmp_path, pattern="{session}/turn{turn:02d}"), "cm/test/abc", 1), 1)
    assert one(replay(tmp_path, pattern="{name}-{turn0}.jpg"), "cm/test/abc", 1).image is not None
    save(tmp_path / "0012_1.png", 3)
    assert same(one(replay(tmp_path, pattern="{session:0>4}_{turn}"), "12", 1), 3)
    edited = one(replay(tmp_path, pattern="{session:d}_{turn}"), "12", 1)
    assert edited.failed.startswith("pattern '{session:d}_{turn}' does not fit session '12'")


@pytest.mark.parametrize(
    "session", ["../secret", "a/../../secret", "/etc", "..", "a//b", "..\\secret", "C:", "a\0b", "", "."]
)
def test_no_session_id_leads_out_of_the_folder(tmp_path: Path, session: str) -> None:
    save(tmp_path / "secret/1.png", 1)
    (tmp_path / "images").mkdir()
    edited = one(replay(tmp_path / "images"), session, 1)
    assert edited.image is None
    assert "cannot be part of a path" in edited.failed


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("{session.__class__}/{turn}", "unknown field 'session.__class__'"),
        ("{session}/{step}", "unknown field 'step'"),
        ("{session}.png", "tell sessions and turns apart"),
        ("{turn}.png", "tell sessions and turns apart"),
    ],
)
def test_bad_patterns_are_named(tmp_path: Path, pattern: str, said: str) -> None:
    with pytest.raises(CardError, match=said):
        replay(tmp_path, pattern=pattern)


def test_what_is_no_image_or_not_one_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.png").write_text("hello")
    save(tmp_path / "a/2.png", 1)
    save(tmp_path / "a/2.jpg", 1)
    (tmp_path / "a/3.png").write_bytes(as_bytes(picture(1))[:-30])
    (tmp_path / "a/4.png").mkdir()
    editor = replay(tmp_path)
    assert one(editor, "a", 1).failed == f"{tmp_path}/a/1.png: it is no readable PNG, JPEG or WebP image"
    assert one(editor, "a", 2).failed == f"a/2.png and a/2.jpg in {tmp_path} are all images of this turn"
    assert one(editor, "a", 3).failed == f"{tmp_path}/a/3.png: it is no readable PNG, JPEG or WebP image"
    assert one(editor, "a", 4).failed.startswith("no image")


def test_photographs_are_replayed_upright_and_without_hidden_colours(tmp_path: Path) -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    (tmp_path / "a").mkdir()
    sideways = np.zeros((8, 8, 3), np.uint8)
    sideways[0] = 255  # the stored top row is the right column, upright
    Image.fromarray(sideways).save(tmp_path / "a/1.png", exif=tags)
    Image.new("RGBA", (8, 8), (9, 9, 9, 0)).save(tmp_path / "a/2.png")
    editor = replay(tmp_path)
    upright = np.asarray(one(editor, "a", 1).image)
    assert upright[:, -1].min() == 255
    assert upright[:, :-1].max() == 0
    assert np.asarray(one(editor, "a", 2).image).min() == 255


def test_another_size_is_scaled_but_not_squashed_unless_told(tmp_path: Path) -> None:
    save(tmp_path / "a/1.png", 1, (16, 16))
    save(tmp_path / "a/2.png", 1, (16, 10))
    scaled = one(replay(tmp_path), "a", 1).image
    assert isinstance(scaled, Image.Image)
    assert scaled.size == (8, 8)
    assert (
        "16 x 10 pixels, but the input has 8 x 8; fit: stretch would squash it"
        in one(replay(tmp_path), "a", 2).failed
    )
    stretched = one(replay(tmp_path, fit="stretch"), "a", 2).image
    assert isinstance(stretched, Image.Image)
    assert stretched.size == (8, 8)
    assert "16 x 16 pixels, but the input has 8 x 8" in one(replay(tmp_path, fit="exact"), "a", 1).failed


def test_a_table_of_images_is_read_by_its_columns(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = {
        "id": ["a", "a", "b", "b"],
        "step": [0, 1, 0, 0],
        "picture": [picture(1), picture(2), picture(3), picture(4)],
    }
    features = datasets.Features(
        {"id": datasets.Value("string"), "step": datasets.Value("int64"), "picture": datasets.Image()}
    )
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "t.parquet"))
    columns = {"session": "id", "turn": "step", "image": "picture"}
    editor = replay(tmp_path, columns=columns, first_turn=0)
    assert same(one(editor, "a", 1), 1)
    assert same(one(editor, "a", 2), 2)
    assert one(editor, "a", 3).failed.startswith("no image for session 'a' turn 3 of ")
    assert one(editor, "b", 1).failed.startswith("2 images for session 'b' turn 1 of ")
    with pytest.raises(CardError, match="no column 'image'; it has id, step, picture"):
        replay(tmp_path, columns={"session": "id", "turn": "step"})


def toy_folder(folder: Path, missing: tuple[str, ...] = ()) -> None:
    for number in range(6):
        for turn in range(1, 4):
            if f"s{number:03d}/{turn}" not in missing:
                save(folder / f"s{number:03d}/{turn}.png", 10 * number + turn)


def test_a_folder_is_a_model_and_missing_images_are_failures(tmp_path: Path) -> None:
    cards = [toy_cards(tmp_path / "cards")]
    images = tmp_path / "My Model" / "multipass"
    toy_folder(images, missing=("s001/2", "s003/1"))
    out = tmp_path / "run"
    run = evaluate("toy", f"replay:{images}", out=out, judge=Meter(), cards=cards)
    assert run.manifest.model == "replay-my-model-multipass"
    assert [failure[:3] for failure in run.failures()] == [("s001", 0, 2), ("s003", 0, 1)]
    assert run.failures()[0].reason == f"no image s001_input_raw_turn_2 or s001/2 in {images}"
    assert run.summary()["edits"] == {"ok": 12, "failed": 2, "refused": 0, "unreached": 3}
    made = {(edit.session, edit.turn): edit.image for edit in run.edits() if edit.image}
    decoded = np.asarray(Image.open(run._dir.blobs.path(made["s005", 3])))
    assert np.array_equal(decoded, np.asarray(picture(53)))
    evaluate("toy", f"replay:{images}", out=out, judge=Meter(), cards=cards)
    moved = tmp_path / "elsewhere" / "My Model"
    moved.parent.mkdir()
    moved = images.parent.rename(moved) / "multipass"
    evaluate("toy", f"replay:{moved}", out=out, judge=Meter(), cards=cards)
    save(moved / "s000/1.png", 99)
    with pytest.raises(RunError, match="the model card or code has changed since"):
        evaluate("toy", f"replay:{moved}", out=out, judge=Meter(), cards=cards)


def test_singlepass_images_are_made_from_the_source(tmp_path: Path) -> None:
    (tmp_path / "x/singlepass").mkdir(parents=True)
    assert replay_card(tmp_path / "x/singlepass", "photo").context == "composed"
    with pytest.raises(CardError, match="holds singlepass: give --model replay:"):
        replay_card(tmp_path / "x", "photo")
    with pytest.raises(CardError, match="no such folder"):
        replay_card(tmp_path / "y", "photo")


def test_the_command_line_takes_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from typer.testing import CliRunner

    cards = toy_cards(tmp_path / "cards")
    toy_folder(tmp_path / "images")
    words = ["run", "--model", f"replay:{tmp_path / 'images'}", "--task", "toy", "--cards", str(cards)]
    result = CliRunner().invoke(build_app(), [*words, "--out", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    page = (tmp_path / "run/report/index.html").read_text()
    assert f"--model replay:{tmp_path / 'images'}" in page
