"""Tiny random models of the real classes, saved and loaded as a user's would be."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from micebench.errors import CardError
from micebench.judges.models.base import Box, Detect, Embed, Failure
from micebench.judges.models.dino import Dino, DinoOptions
from micebench.judges.models.grounding_dino import GroundingDino, GroundingDinoOptions
from micebench.judges.protocols.consistency.regions import background_mask
from micebench.judges.protocols.consistency.similarity import (
    object_similarity,
    patchwise_similarity,
    pooled_similarity,
)
from tests.judges.models import tiny_models as tiny
from tests.judges.models.tiny_models import Broken, Photo, noise, portrait

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def detector(folder: Path) -> GroundingDino:
    saved = tiny.grounding_dino(folder / "grounding-dino")
    return GroundingDino(GroundingDinoOptions(repo=str(saved), short_px=128, long_px=256, floor=0.05, device="cpu"))


@pytest.fixture(scope="module", params=["dinov3", "dinov2"])
def features(request: pytest.FixtureRequest, folder: Path) -> Dino:
    saved = getattr(tiny, request.param)(folder / request.param)
    return Dino(DinoOptions(repo=str(saved), size_px=112, device="cpu"))


def test_a_detection_bears_one_of_the_asked_names_as_asked_and_lies_in_the_image(detector) -> None:
    names = ("Tabby Cat.", "red chair", "Umbrella")
    (found,) = detector.detect([Detect(Photo(noise(0, (120, 90))), names)])
    assert found
    assert len({detection.name for detection in found}) > 1
    for detection in found:
        assert detection.name in names
        assert 0.05 < detection.score <= 1
        box = detection.box
        assert 0 <= box.left <= box.right <= 1
        assert 0 <= box.top <= box.bottom <= 1


def test_a_score_is_the_best_match_among_the_tokens_of_its_name(detector) -> None:
    """Computed again from the model's raw output, by token ids instead of by character offsets."""
    import torch

    photo = Photo(noise(3, (128, 128)))
    (found,) = detector.detect([Detect(photo, ("red chair", "cat"))])
    text = detector._tokenizer("red chair . cat .", return_tensors="pt")
    pixels = (np.asarray(photo.picture, np.float32) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    with torch.no_grad():
        output = detector._model(pixel_values=torch.tensor(pixels.transpose(2, 0, 1)[None]).float(), **text)
    matches = output.logits[0].sigmoid().numpy()
    ids = text["input_ids"][0].tolist()
    columns = {
        name: [ids.index(detector._tokenizer.convert_tokens_to_ids(word)) for word in name.split()]
        for name in ("red chair", "cat")
    }
    expected = []
    for row in matches:
        scores = {name: row[places].max() for name, places in columns.items()}
        best = max(scores, key=lambda name: scores[name])
        if scores[best] > 0.05:
            expected.append((best, scores[best]))
    assert [detection.name for detection in found] == [name for name, _ in expected]
    assert [detection.score for detection in found] == pytest.approx([score for _, score in expected], abs=1e-4)


def test_batching_changes_no_detection(detector) -> None:
    requests = [
        Detect(Photo(noise(1)), ("cat", "dog")),
        Detect(Photo(noise(2)), ("red wooden chair", "hat", "umbrella")),
        Detect(Photo(noise(1, (64, 100))), ("hat",)),
        Detect(Photo(noise(4)), ("grey tabby cat",)),
    ]
    together = detector.detect(requests)
    for request, found in zip(requests, together, strict=True):
        (alone,) = detector.detect([request])
        assert [one.name for one in alone] == [one.name for one in found]
        assert [one.score for one in alone] == pytest.approx([one.score for one in found], abs=1e-4)


def test_a_caption_beyond_the_text_limit_is_asked_in_parts(detector) -> None:
    names = tuple(f"{a} {b}" for a in ("red", "grey", "wooden") for b in ("cat", "dog", "hat", "chair"))
    queries = detector.queries(names)
    assert len(queries) > 1
    assert tuple(name for query in queries for name in query.names) == names
    assert all(len(detector._tokenizer(query.caption)["input_ids"]) <= 24 for query in queries)
    (found,) = detector.detect([Detect(Photo(noise(0)), names)])
    assert {detection.name for detection in found} <= set(names)
    (failure,) = detector.detect([Detect(Photo(noise(0)), ("cat", "cat " * 40))])
    assert isinstance(failure, Failure)
    assert "too long" in failure.reason


def test_what_fails_fails_alone(detector, features) -> None:
    found = detector.detect(
        [Detect(Broken(), ("cat",)), Detect(Photo(noise(0)), ("cat",)), Detect(Photo(noise(0)), ())]
    )
    assert isinstance(found[0], Failure)
    assert isinstance(found[1], tuple)
    assert found[2] == ()
    maps = features.embed([Embed(Broken()), Embed(Photo(noise(0)))])
    assert isinstance(maps[0], Failure)
    assert "truncated" in maps[0].reason
    assert not isinstance(maps[1], Failure)


def test_out_of_memory_halves_the_batch(features, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    whole, sizes = features._model, []

    class Small:
        def __call__(self, pixel_values):
            sizes.append(len(pixel_values))
            if len(pixel_values) > 2:
                raise torch.OutOfMemoryError("tried to allocate much")
            return whole(pixel_values=pixel_values)

    monkeypatch.setattr(features, "_model", Small())
    requests = [Embed(Photo(noise(seed))) for seed in range(5)]
    small = features.embed(requests)
    monkeypatch.undo()
    for one, other in zip(small, features.embed(requests), strict=True):
        np.testing.assert_allclose(one.patches, other.patches, atol=1e-4)
    assert sizes == [5, 2, 3, 1, 2]


def test_sizes_follow_the_published_preprocessing(detector) -> None:
    published = GroundingDinoOptions(repo=detector.options.repo)
    full = object.__new__(GroundingDino)
    full.options = published
    assert full.seen_size((512, 512)) == (800, 800)
    assert full.seen_size((640, 480)) == (1066, 800)
    assert full.seen_size((480, 640)) == (800, 1066)
    assert full.seen_size((2000, 500)) == (1332, 333)


def test_the_same_image_is_alike_and_another_is_not(features) -> None:
    photo, cropped, other = portrait(), portrait().crop((0, 0, 200, 200)), noise(0)
    same, again, part, else_ = features.embed([Embed(Photo(image)) for image in (photo, photo, cropped, other)])
    everything = np.ones((64, 64), bool)
    assert object_similarity(same, again, class_share=0.5) == pytest.approx(1, abs=1e-5)
    assert patchwise_similarity(same, again, everything, patch_floor=0.5) == pytest.approx(1, abs=1e-5)
    assert object_similarity(same, part, class_share=0.5) < 0.99
    assert object_similarity(same, else_, class_share=0.5) < 0.9


def test_patches_keep_the_image_s_proportions_and_see_all_of_it(features) -> None:
    wide, tall, square = features.embed([Embed(Photo(noise(0, size))) for size in ((200, 100), (50, 200), (70, 70))])
    side = 112 / features._patch
    assert square.patches.shape[:2] == (round(side), round(side))
    assert wide.patches.shape[1] == pytest.approx(2 * wide.patches.shape[0], abs=1)
    assert tall.patches.shape[0] == pytest.approx(4 * tall.patches.shape[1], abs=2)
    assert wide.covers == Box(0, 0, 1, 1)
    squashed = Dino(features.options.model_copy(update={"aspect": "squash"}))
    assert squashed.embed([Embed(Photo(noise(0, (200, 100))))])[0].patches.shape[:2] == (round(side), round(side))


def test_a_mask_goes_through_the_same_geometry_as_the_image(features) -> None:
    """Spoil the right half: masked to the left half the difference is small, masked to the right it is large."""
    photo = portrait().resize((224, 112))
    spoilt = photo.copy()
    spoilt.paste(noise(7, (112, 112)), (112, 0))
    before, after = features.embed([Embed(Photo(photo)), Embed(Photo(spoilt))])
    left, right = (background_mask([box], photo.size) for box in (Box(0.5, 0, 1, 1), Box(0, 0, 0.499, 1)))
    kept, lost = (patchwise_similarity(before, after, mask, patch_floor=0.5) for mask in (left, right))
    assert kept > lost + 0.1


def test_registers_are_never_patches(features) -> None:
    """Upstream takes every token after the first for a patch; here the registers stand apart, and it matters."""
    import torch

    photo = noise(5, (112, 112))
    (found,) = features.embed([Embed(Photo(photo))])
    pixels = (np.asarray(photo, np.float32) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    with torch.no_grad():
        tokens = features._model(pixel_values=torch.tensor(pixels.transpose(2, 0, 1)[None]).float())
    tokens = tokens.last_hidden_state[0].numpy()
    rows, columns = found.patches.shape[:2]
    assert len(tokens) == 1 + 4 + rows * columns
    np.testing.assert_allclose(found.registers, tokens[1:5], atol=1e-4)
    np.testing.assert_allclose(found.patches.reshape(-1, 32), tokens[5:], atol=1e-4)
    # Read upstream's way the first row of "patches" starts with registers, and a mask selects other tokens.
    spoilt = photo.copy()
    spoilt.paste(noise(6, (56, 112)), (56, 0))
    (other,) = features.embed([Embed(Photo(spoilt))])
    mask = background_mask([Box(0.5, 0, 1, 1)], photo.size)
    right, upstream = (
        pooled_similarity(found, other, mask, patch_floor=0.5, registers_as_patches=flag) for flag in (False, True)
    )
    assert abs(right - upstream) > 1e-4


def test_weights_are_pinned_or_a_folder() -> None:
    with pytest.raises(ValidationError, match="revision"):
        DinoOptions(repo="facebook/dinov2-with-registers-base")
    with pytest.raises(ValidationError, match="revision"):
        DinoOptions(repo="facebook/dinov2-with-registers-base", revision="main")
    assert DinoOptions(repo="facebook/dinov2-with-registers-base", revision=SHA).folder is None


def test_weights_that_are_not_there_are_one_line_with_the_remedy(
    folder: Path, features: Dino, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CardError, match=r"hf download nobody/nothing --revision 0123456789ab") as caught:
        Dino(DinoOptions(repo="nobody/nothing", revision=SHA))
    assert "\n" not in str(caught.value)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "dinov3_vit"}))
    with pytest.raises(CardError, match="not a folder AutoModel can load") as caught:
        Dino(DinoOptions(repo=str(tmp_path)))
    assert "\n" not in str(caught.value)
    with pytest.raises(CardError, match="not a folder AutoModelForZeroShotObjectDetection can load"):
        GroundingDino(GroundingDinoOptions(repo=features.options.repo))


def test_a_gated_repository_says_where_to_accept_its_licence(monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers
    from huggingface_hub.errors import GatedRepoError

    def refuse(*_: object, **__: object) -> None:
        response: Any = SimpleNamespace(headers={}, request=None)
        try:
            raise GatedRepoError("403: access is restricted", response=response)
        except GatedRepoError as error:
            raise OSError("You are trying to access a gated repo.") from error

    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", refuse)
    with pytest.raises(CardError, match=r"accept its licence at https://huggingface\.co/facebook/dinov3"):
        Dino(DinoOptions(repo="facebook/dinov3-vitb16-pretrain-lvd1689m", revision=SHA))


def test_a_photograph_of_one_pixel_is_no_accident(detector, features) -> None:
    dot = Photo(Image.new("RGB", (1, 1)))
    assert isinstance(features.embed([Embed(dot)])[0].patches, np.ndarray)
    assert isinstance(detector.detect([Detect(dot, ("cat",))])[0], tuple)
