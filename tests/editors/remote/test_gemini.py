"""Gemini's protocol against a real server: the dialogue that is sent, and what every kind of answer becomes."""

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from micebench.cards import EditorCard
from micebench.editors.base import Edited, EditRequest
from micebench.editors.remote.gemini import GeminiEditor
from tests.editors.fake_image_server import Behaviour, Reply, Server, b64, in_turn, serving

QUICK = {"attempts": 2, "timeout_s": 30.0, "deadline_s": 60.0, "first_wait_s": 0.01}


def picture(seed: int = 0, size: tuple[int, int] = (64, 64)) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def one(behave: Behaviour, sent: EditRequest | None = None, **options: Any) -> tuple[Edited, Server]:
    with serving(behave) as server:
        where = {"base_url": f"{server.url}/v1beta", "patience": QUICK, "pixels": 64 * 64}
        card = EditorCard(
            id="g", description="x", domain="photo", editor="x:Y", options={"model": "g-1"} | where | options
        )  # fmt: skip
        request = sent or EditRequest("s", 1, ("make it red",), (picture(),), seed=2**62 + 5)
        (edited,) = GeminiEditor(card).edit([request])
    return edited, server


def says(*parts: dict[str, Any], finish: str = "STOP", **more: Any) -> Reply:
    return Reply(
        {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "finishReason": finish}]} | more
    )


def shown(image: Image.Image, **more: Any) -> dict[str, Any]:
    return {"inlineData": {"mimeType": "image/png", "data": b64(image)}} | more


def seen(part: dict[str, Any]) -> np.ndarray:
    assert part["inlineData"]["mimeType"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(part["inlineData"]["data"]))))


def test_one_turn_is_an_image_and_an_instruction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("G_KEY", "secret-key")
    usage = {
        "promptTokenCount": 270, "candidatesTokenCount": 1290,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 12}, {"modality": "IMAGE", "tokenCount": 258}],
    }  # fmt: skip
    reply = says({"text": "Here you are"}, shown(picture(1)), usageMetadata=usage)
    edited, server = one(in_turn(reply), key_env="G_KEY", generation={"temperature": 0.5})
    (call,) = server.calls
    assert call.path == "/v1beta/models/g-1:generateContent"
    assert call.headers["x-goog-api-key"] == "secret-key"
    (message,) = call.json["contents"]
    assert message["role"] == "user"
    assert np.array_equal(seen(message["parts"][0]), np.asarray(picture()))
    assert message["parts"][1] == {"text": "make it red"}
    asked = call.json["generationConfig"]
    assert 0 <= asked.pop("seed") < 2**31
    assert asked == {
        "responseModalities": ["TEXT", "IMAGE"], "imageConfig": {"aspectRatio": "1:1"}, "temperature": 0.5,
    }  # fmt: skip
    assert np.array_equal(np.asarray(edited.image), np.asarray(picture(1)))
    assert edited.usage is not None
    assert {name: edited.usage[name] for name in ("input_tokens", "input_text_tokens", "output_tokens")} == {
        "input_tokens": 270, "input_text_tokens": 12, "output_tokens": 1290,
    }  # fmt: skip


def test_the_history_is_a_dialogue_in_which_the_model_made_the_images() -> None:
    images = tuple(picture(seed) for seed in range(3))
    sent = EditRequest("s", 3, ("add a cat", "make it red", "move it"), images, seed=1)
    _, server = one(in_turn(says(shown(picture(9)))), sent, model_part={"thoughtSignature": "none"})
    contents = server.calls[0].json["contents"]
    assert [message["role"] for message in contents] == ["user", "model", "user", "model", "user"]
    source, cat = contents[0]["parts"]
    assert np.array_equal(seen(source), np.asarray(images[0]))
    assert cat == {"text": "add a cat"}
    for place, image, said in ((1, images[1], "make it red"), (3, images[2], "move it")):
        (made,) = contents[place]["parts"]
        assert np.array_equal(seen(made), np.asarray(image))
        assert made["thoughtSignature"] == "none"
        assert contents[place + 1]["parts"] == [{"text": said}]


def test_the_nearest_aspect_ratio_is_asked_for_and_the_padding_cut_off() -> None:
    def echo(call: Any) -> Reply:
        return says(call.json["contents"][0]["parts"][0])

    for size, ratio in (((90, 60), "3:2"), ((60, 90), "2:3"), ((100, 73), "4:3"), ((160, 90), "16:9")):
        sent = EditRequest("s", 1, ("x",), (picture(size=size),), seed=1)
        edited, server = one(echo, sent, pixels=1 << 16)
        assert server.calls[0].json["generationConfig"]["imageConfig"] == {"aspectRatio": ratio}
        assert isinstance(edited.image, Image.Image)
        assert edited.image.size == size
        assert np.abs(np.asarray(edited.image, int) - np.asarray(picture(size=size))).mean() < 3


def test_sketches_made_while_thinking_are_not_the_answer() -> None:
    edited, _ = one(in_turn(says(shown(picture(1), thought=True), shown(picture(2)), {"text": "done"})))
    assert np.array_equal(np.asarray(edited.image), np.asarray(picture(2)))
    edited, _ = one(in_turn(says(shown(picture(1), thought=True), finish="NO_IMAGE")))
    assert edited.failed == "the answer holds no image (NO_IMAGE)"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (
            Reply({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}),
            "the prompt was blocked: PROHIBITED_CONTENT",
        ),
        (says(finish="IMAGE_SAFETY"), "IMAGE_SAFETY"),
        (says(finish="SPII"), "SPII"),
        (
            Reply({"error": {"status": "FAILED_PRECONDITION", "details": [{"reason": "SAFETY"}]}}, status=400),
            "SAFETY",
        ),
        (says({"text": "I can't\ndo that"}, finish="PROHIBITED_CONTENT"), "PROHIBITED_CONTENT: I can't do that"),
        (says({"text": "I would rather not."}), "answered in words: I would rather not."),
    ],
)
def test_a_refusal_is_a_refusal(reply: Reply, said: str) -> None:
    edited, server = one(in_turn(reply))
    assert (edited.image, edited.refused, edited.failed) == (None, said, "")
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply({"error": {"status": "INVALID_ARGUMENT"}}, status=400), "HTTP 400: "),
        (Reply(b"gone", status=503), "HTTP 503: gone (2 attempts)"),
        (says(finish="MAX_TOKENS"), "the answer holds no image (MAX_TOKENS)"),
        (says({"text": "I was about to"}, finish="MAX_TOKENS"), "the answer holds no image (MAX_TOKENS)"),
        (Reply(b"hello"), "the answer holds no image (hello)"),
        (says({"inlineData": {"data": "aGVsbG8="}}), "the answer holds no usable image: it is no readable PNG"),
        (says(shown(picture(size=(90, 60)))), "the answer holds no usable image: the answer's image has 90 x 60"),
        (Reply({"candidates": "?"}), "the answer holds no image ("),
    ],
)
def test_what_is_no_image_is_a_failure(reply: Reply, said: str) -> None:
    edited, _ = one(in_turn(reply))
    assert (edited.image, edited.refused) == (None, "")
    assert edited.failed.startswith(said)
