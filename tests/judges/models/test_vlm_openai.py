"""What goes over the wire to a VLM server: the very pixels, the votes, the seed, and never the key anywhere else."""

import base64
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from micebench.errors import CardError
from micebench.execution.images import StoredImage
from micebench.judges.models.base import Ask, Failure, Reply
from micebench.judges.models.vlm_openai import OpenAIOptions, OpenAIVlm
from micebench.judges.protocols.protocol_judge import PhotoJudge
from micebench.judges.vlm.data_uris import PngUris
from micebench.utils.png import encode_png
from micebench.verdicts import Status
from tests.judges.fake_vlm_server import Act, Vlm, completes, said, sends
from tests.judges.photo_cards import Picture, judge_card, questions


def made(url: str, **options: Any) -> OpenAIVlm:
    fields = {"model": "tiny", "url": url, "patience": {"attempts": 2, "first_wait_s": 0.01}} | options
    return OpenAIVlm(OpenAIOptions.model_validate(fields), where="judge 'test'")


def test_the_request_is_what_the_card_says() -> None:
    images = (Picture(1), Picture(2))
    with Vlm(lambda *_: completes("a", "b", "c")).running() as server:
        vlm = made(
            server.url, temperature=0.6, max_tokens=99, thinking=False, body={"top_p": 0.9, "max_tokens": None}
        )
        reply = vlm.ask(Ask(images, "What is it?", votes=3, seed=5))
    assert isinstance(reply, Reply)
    assert reply.texts == ("a", "b", "c")
    assert reply.usage == {"prompt_tokens": 7, "completion_tokens": 2}
    (body,) = server.bodies
    (message,) = body.pop("messages")
    assert body == {
        "model": "tiny",
        "temperature": 0.6,
        "n": 3,
        "seed": 5,
        "chat_template_kwargs": {"enable_thinking": False},
        "top_p": 0.9,
    }
    assert message["role"] == "user"
    assert message["content"][-1] == {"type": "text", "text": "What is it?"}
    for image, part in zip(images, message["content"], strict=False):
        head, data = part["image_url"]["url"].split(",")
        assert head == "data:image/png;base64"
        sent = Image.open(io.BytesIO(base64.b64decode(data)))
        assert np.array_equal(np.asarray(sent), np.asarray(image.load()))


def test_a_stored_image_is_sent_as_it_is_stored() -> None:
    png = encode_png(Picture(3).load())
    uris = PngUris(room_bytes=2 * len(png))
    uri = uris.of(StoredImage("a" * 64, png))
    assert base64.b64decode(uri.split(b",")[1]) == png
    assert uris.of(StoredImage("a" * 64, b"not looked at again")) == uri
    uris.of(StoredImage("b" * 64, png))
    assert uris.of(StoredImage("a" * 64, encode_png(Picture(4).load()))) != uri, "there is room for one"


def test_votes_come_in_their_own_order_and_reasoning_is_kept() -> None:
    answer = said("first", "second")
    answer["choices"].reverse()
    answer["choices"][0]["message"]["reasoning_content"] = "hm"
    with Vlm(lambda *_: sends(200, json.dumps(answer).encode())).running() as server:
        reply = made(server.url).ask(Ask((), "?", votes=2))
    assert isinstance(reply, Reply)
    assert reply.texts == ("first", "<think>\nhm\n</think>\nsecond")


def test_choices_are_one_token_with_its_alternatives() -> None:
    answer = said("Yes", end="length")
    top = [{"token": "Yes", "logprob": math.log(0.7)}, {"token": " no", "logprob": math.log(0.2)}]
    answer["choices"][0]["logprobs"] = {"content": [{"token": "Yes", "logprob": -0.3, "top_logprobs": top}]}
    act = sends(200, json.dumps(answer).encode())
    with Vlm(lambda number, _: act if number == 0 else completes("Yes", end="length")).running() as server:
        vlm = made(server.url, temperature=0.6)
        reply = vlm.ask(Ask((), "?", choices=("Yes", "No")))
        without = vlm.ask(Ask((), "?", choices=("Yes", "No")))
    assert isinstance(reply, Reply)
    assert reply.choice_logprobs == pytest.approx({"Yes": math.log(0.7), "No": math.log(0.2)})
    body = server.bodies[0]
    assert (body["max_tokens"], body["logprobs"], body["top_logprobs"], body["temperature"]) == (1, True, 20, 0.0)
    assert without == Failure(Status.ERROR, "the server gave no log-probabilities", raw=("Yes",))


def test_a_question_that_cannot_fit_is_not_sent() -> None:
    with Vlm(lambda *_: completes("yes")).running() as server:
        server.models = sends(200, b'{"data": [{"id": "tiny", "max_model_len": 2000}]}')
        vlm = made(server.url, max_tokens=1000)
        assert isinstance(vlm.ask(Ask((Picture(1, (800, 900)),), "fits")), Reply)
        assert len(server.bodies) == 1
        failure = vlm.ask(Ask((Picture(1, (800, 900)), Picture(2, (800, 900))), "does not fit"))
        assert len(server.bodies) == 1
    assert isinstance(failure, Failure)
    assert failure.status == Status.ERROR
    assert "about 2838 tokens" in failure.reason
    assert "the server takes 2000" in failure.reason


@pytest.mark.parametrize(
    "act",
    [
        sends(400, b'{"error": {"message": "bad key sk-very-secret"}}'),
        sends(500, b"bad key sk-very-secret"),
        sends(200, b"bad key sk-very-secret"),
        completes("", refusal="bad key sk-very-secret"),
    ],
    ids=["an error", "an outage", "no JSON", "a refusal"],
)
def test_the_key_goes_to_the_server_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: Act
) -> None:
    key = "sk-very-secret"
    monkeypatch.setenv("SOME_KEY", key)
    with Vlm(lambda *_: act).running() as server:
        card = judge_card(tmp_path, server.url, vlm={"key_env": "SOME_KEY"})
        (verdict,) = PhotoJudge(card).judge(questions("GA")[:1])
    assert server.headers[0]["Authorization"] == f"Bearer {key}"
    assert "bad key ***" in verdict.reason
    assert verdict.value is None
    assert key not in repr(verdict) + card.model_dump_json() + json.dumps(server.bodies)


def test_without_an_address_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MICEBENCH_VLM_URL", raising=False)
    with pytest.raises(CardError, match=r"no server for tiny; start one \(vllm serve tiny\) and set MICE"):
        OpenAIVlm(OpenAIOptions(model="tiny"), where="judge 'test'")
    with Vlm(lambda *_: completes("yes"), models=sends(404, b"")).running() as server:
        monkeypatch.setenv("MICEBENCH_VLM_URL", server.url + "/")
        assert isinstance(OpenAIVlm(OpenAIOptions(model="tiny"), where="x").ask(Ask((), "?")), Reply)


@pytest.mark.parametrize(
    ("url", "key", "line"),
    [("localhost:8000", "", "'localhost:8000' is not an http"), ("http://localhost", "a\nkey", "cannot be sent")],
)
def test_what_cannot_be_sent_is_said_of_the_card(
    monkeypatch: pytest.MonkeyPatch, url: str, key: str, line: str
) -> None:
    monkeypatch.setenv("MICEBENCH_VLM_KEY", key)
    with pytest.raises(CardError, match=f"^judge 'test': .*{line}"):
        made(url)


def test_more_votes_than_the_temperature_can_tell_apart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CardError, match=r"4 votes at temperature 0 are one vote; set vlm\.temperature"):
        PhotoJudge(judge_card(tmp_path, "http://127.0.0.1:9", awareness={"votes": 4}))
