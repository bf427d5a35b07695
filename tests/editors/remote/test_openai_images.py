"""The OpenAI image protocol against a real server: what is sent, and what every kind of answer becomes."""

import base64
import email.utils
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from PIL import Image

from micebench.cards import EditorCard
from micebench.editors.base import Edited, EditRequest
from micebench.editors.remote.openai_images import OpenAIImagesEditor
from micebench.errors import CardError
from micebench.utils.http import Answer, Endpoint, Outage, Patience, retry_after
from tests.editors.fake_image_server import Behaviour, Reply, Server, as_bytes, b64, in_turn, serving

QUICK = {"attempts": 4, "timeout_s": 30.0, "deadline_s": 60.0, "first_wait_s": 0.01, "longest_wait_s": 0.05}


def picture(size: tuple[int, int] = (48, 32), seed: int = 0) -> Image.Image:
    """Smooth, so that it survives being scaled."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (4, 6, 3), dtype=np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC)


def request(image: Image.Image | None = None, *, name: str = "s", instructions=("make it red",), images=None):
    images = images or (image or picture(),)
    return EditRequest(
        session_id=name, turn=len(instructions), instructions=instructions, images=images, seed=2**62 + 7
    )


def card(url: str, **options: Any) -> EditorCard:
    options = {"model": "m-1", "base_url": f"{url}/v1", "patience": QUICK} | options
    return EditorCard(id="remote", description="x", domain="photo", editor="x:Y", options=options)


@contextmanager
def editing(behave: Behaviour, **options: Any) -> Iterator[tuple[OpenAIImagesEditor, Server]]:
    with serving(behave) as server:
        yield OpenAIImagesEditor(card(server.url, **options)), server


def one(behave: Behaviour, sent: EditRequest | None = None, **options: Any) -> tuple[Edited, Server]:
    with editing(behave, **options) as (editor, server):
        (edited,) = editor.edit([sent or request()])
    return edited, server


def made(image: Image.Image, **more: Any) -> Reply:
    return Reply({"data": [{"b64_json": b64(image)}]} | more)


def pixels(edited: Edited) -> np.ndarray:
    assert isinstance(edited.image, Image.Image), edited
    return np.asarray(edited.image)


def test_the_image_goes_out_lossless_and_the_answer_comes_back_untouched() -> None:
    answer = picture(seed=1)
    usage = {"input_tokens": 300, "input_tokens_details": {"text_tokens": 20}, "output_tokens": 1000}
    prices = {"text_in": 5.0, "image_in": 10.0, "out": 40.0}
    edited, server = one(
        in_turn(made(answer, usage=usage)),
        send_seed=True,
        fields={"quality": "high", "num_inference_steps": 20, "fast": True},
        prices=prices,
    )
    (call,) = server.calls
    assert (call.method, call.path) == ("POST", "/v1/images/edits")
    assert np.array_equal(np.asarray(call.image), np.asarray(picture()))
    said = {
        name: call.field(name) for name in ("model", "prompt", "n", "size", "quality", "num_inference_steps", "fast")
    }
    assert said == {
        "model": "m-1", "prompt": "make it red", "n": "1", "size": "48x32", "quality": "high",
        "num_inference_steps": "20", "fast": "true",
    }  # fmt: skip
    assert 0 <= int(call.field("seed")) < 2**31
    assert np.array_equal(pixels(edited), np.asarray(answer))
    assert edited.usage is not None
    assert edited.usage["latency_s"] >= 0
    assert {name: edited.usage[name] for name in ("attempts", "input_tokens", "output_tokens")} == {
        "attempts": 1, "input_tokens": 300, "output_tokens": 1000,
    }  # fmt: skip
    assert edited.usage["cost_usd"] == pytest.approx((20 * 5 + 280 * 10 + 1000 * 40) / 1e6)


def test_the_key_is_sent_and_never_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "  sk-topsecret\n")
    for said in (Reply(b"not sk-topsecret", status=401), Reply(b"not sk-topsecret", status=500)):
        edited, server = one(in_turn(said), key_env="A_KEY")
        assert server.calls[0].headers["authorization"] == "Bearer sk-topsecret"
        assert edited.failed.startswith(f"HTTP {said.status}: not ***")
        assert "topsecret" not in repr(edited)
    monkeypatch.delenv("A_KEY")
    with pytest.raises(CardError, match="A_KEY is not set"):
        OpenAIImagesEditor(card("http://localhost", key_env="A_KEY"))
    monkeypatch.setenv("A_KEY", "sk-top\nsecret")
    with pytest.raises(CardError, match="cannot be sent") as error:
        OpenAIImagesEditor(card("http://localhost", key_env="A_KEY"))
    assert "secret" not in str(error.value)


def test_the_environment_may_name_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(in_turn(made(picture()))) as server:
        monkeypatch.setenv("A_URL", f"{server.url}/other/")
        OpenAIImagesEditor(card("http://127.0.0.1:9", base_url_env="A_URL")).edit([request()])
    assert server.calls[0].path == "/other/images/edits"


def test_with_the_whole_history_the_image_to_edit_comes_first() -> None:
    images = tuple(picture(seed=seed) for seed in range(3))
    sent = request(instructions=("Add a cat.", "Make it red", "now move it"), images=images)
    _, server = one(in_turn(made(picture())), sent, images="all", image_field="image[]")
    (call,) = server.calls
    assert [name for name, _ in call.form if name.startswith("image")] == ["image[]"] * 3
    assert np.array_equal(np.asarray(call.image), np.asarray(images[-1]))
    assert call.field("prompt") == "Add a cat. Make it red. now move it"


def test_another_size_is_padded_and_cut_back_never_squashed() -> None:
    """A server that returns what it was sent gives back the picture, whatever canvas it went on."""

    def echo(call: Any) -> Reply:
        assert call.field("size") == "x".join(map(str, call.image.size))
        return made(call.image)

    sizes = [[256, 256], [384, 256], [256, 384]]
    for size in ((96, 64), (64, 96), (80, 80), (100, 30), (30, 100), (97, 61)):
        edited, server = one(echo, request(picture(size)), canvas={"sizes": sizes})
        assert server.calls[0].image.size in {tuple(one) for one in sizes}
        assert pixels(edited).shape == (size[1], size[0], 3)
        assert np.abs(pixels(edited).astype(int) - np.asarray(picture(size))).mean() < 2.5, size
    edited, server = one(echo, request(picture((96, 64))), canvas={"multiple": 16, "min_pixels": 40000})
    width, height = server.calls[0].image.size
    assert width % 16 == height % 16 == 0
    assert width * height >= 40000
    assert np.abs(pixels(edited).astype(int) - np.asarray(picture((96, 64)))).mean() < 2.5


def test_what_was_padded_is_not_part_of_the_result() -> None:
    """The answer's border is green; none of it comes back."""

    def bordered(call: Any) -> Reply:
        sheet = Image.new("RGB", call.image.size, (0, 255, 0))
        sheet.paste(call.image.crop((0, 64, 256, 192)), (0, 64))
        return made(sheet)

    wide = Image.new("RGB", (100, 50), (200, 10, 30))
    edited, _ = one(bordered, request(wide), canvas={"sizes": [[256, 256]]})
    assert np.abs(pixels(edited).astype(int) - (200, 10, 30)).max() <= 2


def test_a_server_that_rounds_sizes_is_understood_and_another_shape_is_not() -> None:
    edited, _ = one(in_turn(made(picture((50, 33)))))
    assert pixels(edited).shape == (32, 48, 3)
    edited, _ = one(in_turn(made(picture((64, 64)))))
    assert edited.image is None
    assert "64 x 64 pixels, another aspect ratio than the 48 x 32" in edited.failed
    assert edited.refused == ""


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_other_formats_are_read(kind: str) -> None:
    reply = Reply({"data": [{"b64_json": f"data:image/x;base64,{b64(picture(), kind)}"}]})
    edited, _ = one(in_turn(reply))
    assert pixels(edited).shape == (32, 48, 3)


def test_when_one_caller_is_told_to_wait_all_wait() -> None:
    arrived: list[float] = []

    def behave(_: Any) -> Reply:
        arrived.append(time.monotonic())
        return Reply(status=429, headers={"Retry-After": "0.7"}) if len(arrived) == 1 else Reply({})

    with serving(behave) as server, Endpoint(server.url) as endpoint:
        first = threading.Thread(target=endpoint.post, args=("x",))
        first.start()
        while endpoint._quiet_until == 0.0:
            time.sleep(0.01)
        other = endpoint.post("x")
        first.join()
    assert isinstance(other, Answer)
    assert (other.ok, other.attempts) == (True, 1)
    assert len(arrived) == 3
    assert min(arrived[1:]) - arrived[0] >= 0.7


def test_who_is_waiting_is_held_when_the_server_asks_for_more() -> None:
    arrived: list[float] = []

    def behave(_: Any) -> Reply:
        arrived.append(time.monotonic())
        return Reply(status=429, headers={"Retry-After": "0.5"}) if len(arrived) == 1 else Reply({})

    with serving(behave) as server, Endpoint(server.url) as endpoint:
        waiting = threading.Thread(target=endpoint.post, args=("x",))
        waiting.start()
        while endpoint._quiet_until == 0.0:
            time.sleep(0.01)
        endpoint._wait(1, 1.5)  # another caller's Retry-After
        waiting.join()
    assert arrived[1] - arrived[0] >= 1.4


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_a_number_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds
    later = email.utils.formatdate(time.time() + 100, usegmt=True)
    asked = retry_after({"retry-after": later})
    assert asked is not None
    assert 90 < asked <= 100


def test_a_wait_beyond_the_deadline_is_an_outage_at_once() -> None:
    start = time.monotonic()
    edited, server = one(in_turn(Reply(b"busy", status=429, headers={"Retry-After": "3600"})))
    assert time.monotonic() - start < 30
    assert len(server.calls) == 1
    assert edited.failed == (
        "HTTP 429: busy (1 attempt); the server asks to wait 3,600 s, longer than the 60 s for a call"
    )


def test_an_answer_that_never_ends_is_given_up() -> None:
    patience = Patience(attempts=2, timeout_s=0.5, deadline_s=30, first_wait_s=0)
    with serving(in_turn(Reply(b"x" * 1000, drip_s=0.1))) as server, Endpoint(server.url, patience=patience) as end:
        start = time.monotonic()
        result = end.post("x")
    assert isinstance(result, Outage)
    assert result.reason == "no answer within 0.5 s (2 attempts)"
    assert time.monotonic() - start < 30


def test_an_answer_that_is_too_large_is_not_read_to_its_end() -> None:
    with serving(in_turn(Reply(b"x" * 5_000_000))) as server, Endpoint(server.url, max_bytes=1000) as endpoint:
        result = endpoint.post("x")
    assert isinstance(result, Outage)
    assert result.reason == "an answer of more than 1,000 bytes (1 attempt)"


def test_an_empty_account_is_not_asked_again() -> None:
    edited, server = one(in_turn(Reply({"error": {"code": "insufficient_quota", "message": "pay"}}, status=429)))
    assert len(server.calls) == 1
    assert "insufficient_quota" in edited.failed
    assert "the account has no credit left" in edited.failed
    assert edited.hopeless, "nor for any other edit"


@pytest.mark.parametrize(
    ("trouble", "timeout_s"),
    [(Reply(status=500), 30), (Reply(status=529), 30), (Reply(b"x" * 1000, cut=True), 30), (Reply(after_s=20), 2)],
    ids=["500", "529", "cut", "hang"],
)
def test_passing_troubles_are_tried_again(trouble: Reply, timeout_s: float) -> None:
    edited, server = one(in_turn(trouble, made(picture())), patience=QUICK | {"timeout_s": timeout_s})
    assert edited.image is not None
    assert len(server.calls) == 2
    assert edited.usage is not None
    assert edited.usage["attempts"] == 2


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (Reply(b"oh no", status=503), "HTTP 503: oh no (4 attempts)"),
        (Reply(b"x" * 1000, cut=True), "the connection was cut (4 attempts)"),
        (Reply(after_s=20), "no answer within 0.2 s (4 attempts)"),
    ],
    ids=["503", "cut", "hang"],
)
def test_lasting_troubles_are_failures(trouble: Reply, said: str) -> None:
    patience = QUICK | ({"timeout_s": 0.2} if trouble.after_s else {})
    edited, _ = one(in_turn(trouble), patience=patience)
    assert (edited.image, edited.refused, edited.failed) == (None, "", said)
    assert edited.usage is not None
    assert edited.usage["attempts"] == 4


def test_a_server_that_is_not_there_is_a_failure() -> None:
    with serving(in_turn(made(picture()))) as gone:
        pass
    (edited,) = OpenAIImagesEditor(card(gone.url)).edit([request()])
    assert edited.failed == "no connection (4 attempts)"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (
            Reply({"error": {"code": "moderation_blocked", "message": "safety_violations=[violence]"}}, status=400),
            "moderation_blocked: safety_violations=[violence]",
        ),
        (
            Reply({"error": {"code": "400", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, status=400),
            "ResponsibleAIPolicyViolation",
        ),
        (
            Reply({"error": {"message": "Your request was rejected by our safety system."}}, status=400),
            "Your request was rejected by our safety system.",
        ),
        (Reply({"data": [{"refusal": "I would rather not"}]}), "I would rather not"),
        (
            Reply({"data": [{"nsfw_detected": True, "b64_json": b64(picture())}]}),
            "stopped by the server's content filter",
        ),
        (Reply({"error": {"code": "nsfw_detected", "message": "no"}}, status=422), "nsfw_detected: no"),
        (
            Reply({"data": [{"finish_reason": "CONTENT_FILTERED"}]}),
            "stopped by the server's content filter: CONTENT_F",
        ),
        (Reply({"error": {"status": "PROHIBITED_CONTENT"}}), "PROHIBITED_CONTENT"),
    ],
)
def test_a_refusal_is_a_refusal_and_is_not_argued_with(reply: Reply, said: str) -> None:
    edited, server = one(in_turn(reply))
    assert (edited.image, edited.refused[: len(said)], edited.failed) == (None, said, "")
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (
            Reply({"error": {"message": "unknown model"}}, status=404),
            'HTTP 404: {"error": {"message": "unknown model"}}',
        ),
        (Reply(b"", status=307, headers={"Location": "http://127.0.0.1:1/x"}), "HTTP 307: "),
        (Reply({"data": []}), "the answer holds no usable image: neither b64_json nor url"),
        (Reply(b"<html>hello</html>"), "the answer holds no usable image: neither b64_json nor url"),
        (Reply(b'{"data": [{"b64_json": "aGVsb'), "the answer holds no usable image: neither b64_json nor url"),
        (Reply({"data": [{"b64_json": "aGVsbG8="}]}), "the answer holds no usable image: it is no readable PNG"),
        (
            Reply({"data": [{"b64_json": "no base64!"}]}),
            "the answer holds no usable image: the answer's image",
        ),
        (
            Reply({"data": [{"b64_json": base64.b64encode(as_bytes(picture())[:-40]).decode()}]}),
            "the answer holds no usable image: it is no readable PNG",
        ),
        (
            Reply({"data": [{"b64_json": b64(Image.new("L", (3000, 2000)), "GIF")}]}),
            "the answer holds no usable image: it is no readable PNG",
        ),
        (
            Reply({"data": [{"b64_json": b64(Image.new("L", (3000, 2000)))}]}),
            "the answer holds no usable image: an image of 3000 x 2000 pixels; at most 1,000,000 are accepted",
        ),
    ],
    ids=["404", "redirect", "empty", "html", "torn json", "no image", "no base64", "torn image", "gif", "giant"],
)
def test_what_is_no_image_is_a_failure(reply: Reply, said: str) -> None:
    edited, server = one(in_turn(reply), max_pixels=1_000_000)
    assert edited.image is None
    assert edited.refused == ""
    assert edited.failed.startswith(said)
    assert len(server.calls) == 1


def test_an_image_is_fetched_from_the_same_server_only() -> None:
    def own(call: Any) -> Reply:
        if call.method == "GET":
            return Reply(as_bytes(picture(seed=5)))
        return Reply({"data": [{"url": "/v1/images/7/content"}]})

    edited, server = one(own)
    assert [call.path for call in server.calls] == ["/v1/images/edits", "/v1/images/7/content"]
    assert np.array_equal(pixels(edited), np.asarray(picture(seed=5)))
    edited, _ = one(in_turn(Reply({"data": [{"url": f"data:image/png;base64,{b64(picture())}"}]})))
    assert edited.image is not None
    with serving(in_turn(Reply(as_bytes(picture())))) as elsewhere:
        for url in (f"{elsewhere.url}/x.png", "file:///etc/passwd", "//localhost/x", "ftp://127.0.0.1/x"):
            edited, _ = one(in_turn(Reply({"data": [{"url": url}]})))
            assert edited.failed == (
                "the answer holds no usable image: its url: it points to another server and was not fetched"
            )
        edited, _ = one(in_turn(Reply({"data": [{"url": "http://["}]})))
        assert edited.failed == "the answer holds no usable image: its url is none"
        bounce = Reply(status=302, headers={"Location": f"{elsewhere.url}/x.png"})
        edited, _ = one(lambda call: bounce if call.method == "GET" else Reply({"data": [{"url": "/x"}]}))
        assert edited.failed == "the answer holds no usable image: its url: HTTP 302"
    assert elsewhere.calls == []


def test_calls_are_under_way_together_and_results_keep_their_order() -> None:
    together = threading.Barrier(8, timeout=30)

    def behave(call: Any) -> Reply:
        together.wait()  # for ever, if fewer than 8 were under way at once
        return made(Image.new("RGB", (48, 32), (int(call.field("prompt")), 0, 0)))

    requests = [request(instructions=(str(number),)) for number in range(16)]
    with editing(behave, concurrency=8) as (editor, server):
        edited = editor.edit(requests)
    assert [pixels(item)[0, 0, 0] for item in edited] == list(range(16))
    assert server.most_at_once == 8


def test_one_bad_answer_is_one_bad_edit() -> None:
    def behave(call: Any) -> Reply:
        return Reply(b"?") if call.field("prompt") == "bad" else made(picture())

    with editing(behave) as (editor, server):
        edited = editor.edit([request(instructions=(said,)) for said in ("good", "bad", "good")])
    assert [item.image is not None for item in edited] == [True, False, True]
    assert len(server.calls) == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"base_url": "localhost:8000"}, "model '.*': 'localhost:8000' is not an http\\(s\\) URL"),
        ({"fields": {"size": "1x1"}}, "size cannot be given"),
        ({"modell": "x"}, "unknown key 'modell'; did you mean 'model'"),
        ({"concurrency": 0}, "concurrency"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(CardError, match=said):
        OpenAIImagesEditor(card("http://localhost", **options))
