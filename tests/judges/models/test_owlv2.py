"""OWLv2 keeps the detectors' contract; a tiny random model of the real class, saved and loaded as a user's is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from micebench.cards import JudgeCard
from micebench.errors import CardError
from micebench.judges.models.base import Box, Detect, Detection, Failure
from micebench.judges.models.boxes import area, iou
from micebench.judges.models.factory import build
from micebench.judges.models.grounding_dino import GroundingDino, GroundingDinoOptions
from micebench.judges.models.owlv2 import Owlv2, Owlv2Options, squared
from tests.judges.models import tiny_models as tiny
from tests.judges.models.tiny_models import Broken, Photo, noise

SIDE, PATCH = 64, 8
NAMES = ("Tabby Cat.", "red chair", "hat")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.owlv2(tmp_path_factory.mktemp("models") / "owlv2", SIDE, PATCH)


@pytest.fixture(scope="module")
def detector(folder: Path) -> Owlv2:
    return Owlv2(Owlv2Options(repo=str(folder), device="cpu"))


def found(detector: Owlv2, image: Image.Image, names: tuple[str, ...]) -> tuple[Detection, ...]:
    (answer,) = detector.detect([Detect(Photo(image), names)])
    assert isinstance(answer, tuple)
    return answer


def test_a_detection_bears_one_of_the_asked_names_as_asked_and_lies_in_the_image(detector) -> None:
    detections = found(detector, noise(0, (120, 90)), NAMES)
    assert len({detection.name for detection in detections}) > 1
    assert len(detections) < (SIDE // PATCH) ** 2, "a quarter of the square is padding; its boxes are no finds"
    for detection in detections:
        assert detection.name in NAMES
        assert 0.1 < detection.score <= 1
        box = detection.box
        assert 0 <= box.left < box.right <= 1
        assert 0 <= box.top < box.bottom <= 1


def test_scores_and_boxes_are_those_of_the_model_asked_in_one_piece(detector) -> None:
    """Image and texts through ``Owlv2ForObjectDetection.forward`` together, which has no kept halves."""
    import torch

    image = noise(3, (SIDE, SIDE))
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    pixels = ((np.asarray(image, np.float32) / 255 - mean) / std).transpose(2, 0, 1)[None]
    prompts = ["a photo of a tabby cat", "a photo of a red chair", "a photo of a hat"]
    text = detector._tokenizer(prompts, padding="max_length", max_length=40, return_tensors="pt")
    with torch.no_grad():
        output = detector._model(pixel_values=torch.tensor(pixels).float(), **text)
    scores = output.logits[0].sigmoid().numpy()
    centres = output.pred_boxes[0].numpy()
    rows = [row for row in range(len(scores)) if scores[row].max() > 0.1]
    detections = found(detector, image, NAMES)
    assert [one.name for one in detections] == [NAMES[int(scores[row].argmax())] for row in rows]
    assert [one.score for one in detections] == pytest.approx([float(scores[row].max()) for row in rows], abs=1e-4)
    for one, (x, y, width, height) in zip(detections, centres[rows], strict=True):
        edges = np.clip([x - width / 2, y - height / 2, x + width / 2, y + height / 2], 0, 1)
        assert [one.box.left, one.box.top, one.box.right, one.box.bottom] == pytest.approx(list(edges), abs=1e-4)


@pytest.fixture(scope="module")
def red_finder(tmp_path_factory: pytest.TempPathFactory) -> Owlv2:
    """Planted weights: a patch that is red proposes a box of two by two patches around its lower right corner."""
    import torch
    from transformers import Owlv2ForObjectDetection

    folder = tiny.owlv2(tmp_path_factory.mktemp("models") / "red", SIDE, PATCH)
    model: Any = Owlv2ForObjectDetection.from_pretrained(folder)
    head = model.class_head
    with torch.no_grad():
        vision = model.owlv2.vision_model
        vision.embeddings.position_embedding.weight.zero_()
        for layer in vision.encoder.layers:  # a patch knows itself alone
            layer.self_attn.out_proj.weight.zero_()
        colours = torch.tensor([[1.9, -1.5, -1.5], [0.3, 0.3, 0.3], [-1.8, -1.8, -1.5]])  # red, grey, the padding
        pixels = colours[:, :, None, None].expand(3, 3, SIDE, SIDE)
        red, grey, black = model.image_embedder(pixels)[0][:, 0, 0]
        away = torch.stack([red - grey, red - black])
        direction = torch.linalg.lstsq(away, torch.full((2, 1), 20.0)).solution[:, 0]
        head.logit_shift.weight.copy_(direction[None])
        head.logit_shift.bias.copy_(10 - direction @ red)
        head.logit_scale.weight.zero_()
        head.logit_scale.bias.zero_()
        for parameter in model.box_head.parameters():
            parameter.zero_()
        double, single = (torch.logit(torch.tensor(share * PATCH / SIDE)) for share in (2.0, 1.0))
        model.box_head.dense2.bias[2:] = double - single
    model.save_pretrained(folder)
    return Owlv2(Owlv2Options(repo=str(folder), device="cpu", floor=0.5))


@pytest.mark.parametrize(
    ("size", "corner"), [((200, 100), (75, 50)), ((100, 200), (25, 125)), ((160, 160), (80, 20)), ((64, 24), (8, 8))]
)
def test_a_box_comes_back_in_shares_of_the_image_not_of_its_padded_square(red_finder, size, corner) -> None:
    """A red square of two by two patches, on the grid of patches, which is laid over the padded square."""
    side = 2 * max(size) * PATCH // SIDE
    image = Image.new("RGB", size, (140, 140, 140))
    image.paste((255, 0, 0), (*corner, corner[0] + side, corner[1] + side))
    (left, top), (width, height) = corner, size
    planted = Box(left / width, top / height, (left + side) / width, min(1.0, (top + side) / height))
    detections = found(red_finder, image, ("cat",))
    assert len(detections) == 4, "one box for each red patch"
    assert max(iou(detection.box, planted) for detection in detections) > 0.97
    assert all(iou(detection.box, planted) > 0.1 for detection in detections)


def test_padding_is_black_below_and_at_the_right() -> None:
    wide = np.asarray(squared(Image.new("RGB", (40, 20), (255, 255, 255)), SIDE))
    tall = np.asarray(squared(Image.new("RGB", (20, 40), (255, 255, 255)), SIDE))
    half = SIDE // 2
    assert wide.shape == tall.shape == (SIDE, SIDE, 3)
    assert wide[: half - 1].min() == 255
    assert wide[half + 1 :].max() == 0
    np.testing.assert_array_equal(wide.transpose(1, 0, 2), tall)


def test_the_floor_is_a_threshold_on_the_same_detections(folder: Path, detector) -> None:
    image = noise(5, (90, 120))
    low = found(detector, image, NAMES)
    middle = sorted(detection.score for detection in low)[len(low) // 2]
    high = found(Owlv2(Owlv2Options(repo=str(folder), device="cpu", floor=middle)), image, NAMES)
    assert high == tuple(detection for detection in low if detection.score > middle)
    assert 0 < len(high) < len(low)


def test_names_do_not_change_each_others_scores(detector) -> None:
    image = noise(1, (96, 96))
    apart = {name: {one.box: one.score for one in found(detector, image, (name,))} for name in NAMES}
    for one in found(detector, image, NAMES):
        assert one.score == pytest.approx(apart[one.name][one.box], abs=1e-4)
        assert all(one.score >= scores.get(one.box, 0.0) - 1e-4 for scores in apart.values())


def test_what_fails_fails_alone(detector) -> None:
    fine, dot = Photo(noise(0)), Photo(Image.new("RGB", (1, 1)))
    answers = detector.detect(
        [
            Detect(Broken(), ("cat",)),
            Detect(fine, ("cat", "cat " * 20)),
            Detect(fine, ("cat",)),
            Detect(fine, ()),
            Detect(fine, (" . ",)),
            Detect(dot, ("cat",)),
        ]
    )
    assert "truncated" in answers[0].reason
    assert "too long" in answers[1].reason
    assert isinstance(answers[2], tuple)
    assert answers[2]
    assert answers[3] == answers[4] == ()
    assert all(area(one.box) > 0 for one in answers[5])


def test_an_output_that_is_not_finite_is_a_failure(folder: Path) -> None:
    import torch

    broken = Owlv2(Owlv2Options(repo=str(folder), device="cpu"))
    with torch.no_grad():
        broken._model.class_head.logit_shift.bias.fill_(float("nan"))
    (answer,) = broken.detect([Detect(Photo(noise(0)), ("cat",))])
    assert isinstance(answer, Failure)


def test_a_card_names_it_by_kind(folder: Path) -> None:
    def card(**detector: Any) -> tuple[JudgeCard, dict[str, Any]]:
        said = {"kind": "owlv2", "repo": str(folder), "device": "cpu"} | detector
        fields = {
            "id": "mine",
            "description": "d",
            "domain": "photo",
            "judge": "protocol",
        }
        return JudgeCard.model_validate(fields | {"metrics": ["CC.object"]}), {"detector": said}

    assert isinstance(build(*card()).detector, Owlv2)
    with pytest.raises(CardError, match=r"options\.detector\.kind: unknown 'owl'"):
        build(*card(kind="owl"))
    with pytest.raises(CardError, match="prompt"):
        build(*card(prompt="a photo of it"))
    with pytest.raises(CardError, match="short_px"):
        build(*card(short_px=800))


def test_the_wrong_model_is_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CardError, match="a grounding-dino model; this detector is an OWLv2") as caught:
        Owlv2(Owlv2Options(repo=str(tiny.grounding_dino(tmp_path / "other")), device="cpu"))
    assert "\n" not in str(caught.value)
    with pytest.raises(CardError, match="a owlv2 model; this detector is a Grounding DINO"):
        GroundingDino(GroundingDinoOptions(repo=str(folder), device="cpu"))
