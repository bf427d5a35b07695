"""CLIP measures with a tiny random CLIP of the real classes, saved and loaded as a user would."""

import json
import sys
import types

import numpy as np
import pytest
from PIL import Image

from micebench.cards import JudgeCard
from micebench.errors import MicebenchError
from micebench.judges.models.base import Embed
from micebench.judges.models.dino import Dino, DinoOptions
from micebench.judges.perceptual.clip import Clip, ClipWeights, prepared
from micebench.judges.perceptual.distance import Lpips, LpipsOptions
from micebench.judges.perceptual.judge import PerceptualJudge
from micebench.sessions import ImageFile, Session, Turn
from micebench.verdicts import Question, Status
from tests.judges.photographs import Shown

transformers = pytest.importorskip("transformers")
WORDS = ("a", "red", "blue", "dog", "cat", "hat")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A saved CLIPModel of two narrow layers with a CLIP tokenizer of a few words."""
    import torch

    path = tmp_path_factory.mktemp("clip")
    vocabulary = ["<|startoftext|>", "<|endoftext|>"]
    for word in WORDS:
        vocabulary += [*word[:-1], word[-1] + "</w>"]
    vocabulary = list(dict.fromkeys(vocabulary))
    (path / "vocab.json").write_text(json.dumps({token: place for place, token in enumerate(vocabulary)}))
    (path / "merges.txt").write_text("#version: 0.2\n")
    transformers.CLIPTokenizer(str(path / "vocab.json"), str(path / "merges.txt")).save_pretrained(path)
    torch.manual_seed(0)
    narrow = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={**narrow, "vocab_size": len(vocabulary), "max_position_embeddings": 12, "eos_token_id": 1},
        vision_config={**narrow, "image_size": 32, "patch_size": 8},
        projection_dim=8,
    )
    transformers.CLIPModel(config).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def clip(folder):
    return Clip(ClipWeights(repo=str(folder), device="cpu", batch=2))


def picture(seed, size=(40, 32)):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def judged(folder, metric, images, descriptions):
    card = JudgeCard(
        id="p", description="", domain="any", judge="-:-", metrics=[metric],
        options={"clip": {"repo": str(folder), "device": "cpu"}},
    )  # fmt: skip
    turns = tuple(Turn(number, "edit", target_description=text) for number, text in enumerate(descriptions, 1))
    session = Session("s", "t", "plain", ImageFile("s.png"), turns)
    question = Question(metric, session, len(images) - 1, [Shown(image) for image in images])
    return PerceptualJudge(card).judge([question])[0]


def test_features_are_the_models_own(clip, folder):
    import torch

    images = [picture(seed) for seed in range(3)]  # more than one batch
    found = np.stack([one.cls for one in clip.embed([Embed(Shown(image)) for image in images])])
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    tokens = transformers.CLIPTokenizer.from_pretrained(folder)(["red dog"], return_tensors="pt")
    with torch.no_grad():
        pixels = torch.from_numpy(np.stack([prepared(image, 32) for image in images]))
        whole = model(pixel_values=pixels, **tokens)
    assert found == pytest.approx(whole.image_embeds.numpy(), abs=1e-5)
    assert clip.text("red dog") == pytest.approx(whole.text_embeds[0].numpy(), abs=1e-5)


def test_long_texts_are_cut_and_not_refused(clip):
    assert np.isfinite(clip.text("red dog " * 40)).all()


def test_an_unreadable_image_fails_alone(clip):
    class Broken:
        sha256 = "b"

        def load(self):
            raise OSError("gone")

    answers = clip.embed([Embed(Broken()), Embed(Shown(picture(1)))])
    assert answers[0].status == Status.ERROR
    assert np.linalg.norm(answers[1].cls) == pytest.approx(1)


def test_preparing_keeps_the_middle():
    wide = np.zeros((32, 96, 3), np.uint8)
    wide[:, 32:64] = 255
    assert (prepared(Image.fromarray(wide), 32)[:, :, 4:-4] > 1).all()


def test_measures_are_cosines(folder, clip):
    source, first, second = (picture(seed) for seed in (1, 2, 3))
    vectors = [one.cls for one in clip.embed([Embed(Shown(image)) for image in (source, first, second)])]
    texts = ["a red dog", "a blue cat"]
    images, said = (source, first, second), [clip.text(text) for text in texts]

    def clipped(value):
        return pytest.approx(min(1.0, max(0.0, float(value))), abs=1e-5)

    assert judged(folder, "CLIP.source", images, texts).value == clipped(vectors[2] @ vectors[0])
    assert judged(folder, "CLIP.previous", images, texts).value == clipped(vectors[2] @ vectors[1])
    assert judged(folder, "CLIP.text", images, texts).value == clipped(vectors[2] @ said[1])
    moved, meant = vectors[2] - vectors[1], said[1] - said[0]
    cosine = moved @ meant / np.linalg.norm(moved) / np.linalg.norm(meant)
    assert judged(folder, "CLIP.direction", images, texts).value == clipped((1 + cosine) / 2)
    unmoved = judged(folder, "CLIP.direction", (source, first, first), texts)
    assert (unmoved.value, unmoved.reason) == (0.5, "cosine 0.0000")


def test_without_a_description_there_is_nothing_to_measure(folder):
    images = picture(1), picture(2)
    assert judged(folder, "CLIP.text", images, [None]).status == Status.NOT_APPLICABLE
    assert judged(folder, "CLIP.direction", images, ["a red dog"]).status == Status.NOT_APPLICABLE


def test_dino_measures_the_cosine_of_class_tokens(tmp_path):
    import torch

    torch.manual_seed(0)
    config = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14, mlp_ratio=2
    )
    transformers.Dinov2Model(config).save_pretrained(tmp_path)
    features = {"kind": "dino", "repo": str(tmp_path), "device": "cpu", "size_px": 28}
    card = JudgeCard(
        id="p", description="", domain="any", judge="-:-", metrics=["DINO.source"], options={"features": features}
    )
    source, other = Shown(picture(1)), Shown(picture(2))
    session = Session("s", "t", "plain", ImageFile("s.png"), (Turn(1, "edit"),))
    judge = PerceptualJudge(card)
    same, different = judge.judge([Question("DINO.source", session, 1, [source, one]) for one in (source, other)])
    assert same.value == pytest.approx(1.0, abs=1e-6)
    maps = Dino(DinoOptions(**features)).embed([Embed(source), Embed(other)])
    a, b = (one.cls / np.linalg.norm(one.cls) for one in maps)
    assert different.value == pytest.approx(max(0.0, float(a @ b)), abs=1e-5)
    assert different.value < 1.0


def test_lpips_is_given_images_from_minus_one_to_one(monkeypatch):
    import torch

    seen = []

    class Network(torch.nn.Module):
        def __init__(self, net, verbose):
            super().__init__()

        def forward(self, a, b):
            seen.append((tuple(a.shape), float(a.min()), float(a.max())))
            return (a - b).abs().mean().reshape(1, 1, 1, 1) / 2

    monkeypatch.setitem(sys.modules, "lpips", types.SimpleNamespace(LPIPS=Network))
    card = JudgeCard(id="p", description="", domain="any", judge="-:-", metrics=["LPIPS.source"])
    black, white = Image.new("RGB", (6, 4)), Image.new("RGB", (6, 4), "white")
    session = Session("s", "t", "plain", ImageFile("s.png"), (Turn(1, "edit"),))
    judge = PerceptualJudge(card)
    asked = [Question("LPIPS.source", session, 1, [Shown(white), Shown(one)]) for one in (white, black)]
    assert [verdict.value for verdict in judge.judge(asked)] == [1.0, 0.0]
    assert seen[0] == ((1, 3, 4, 6), 1.0, 1.0)


def test_lpips_measures_distance_or_says_what_is_missing():
    try:
        import lpips
        import torchvision  # noqa: F401
    except ImportError:
        with pytest.raises(MicebenchError, match=r"pip install 'micebench\[perceptual\]'"):
            Lpips(LpipsOptions())
        return
    assert lpips
    try:
        measure = Lpips(LpipsOptions(device="cpu"))
    except OSError:
        pytest.skip("AlexNet's weights are not here")
    a, b = (np.asarray(picture(seed, (64, 64))) / 255 for seed in (1, 2))
    assert measure(a, a) == pytest.approx(0, abs=1e-6)
    assert measure(a, b) > 0.1
