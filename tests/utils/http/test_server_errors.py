"""An error object inside HTTP 200 is trouble that may pass, unless its code says otherwise; its words are quoted."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micebench.judges.models.base import Ask, Failure, Reply
from micebench.judges.models.vlm_openai import OpenAIOptions, OpenAIVlm
from micebench.utils.http import Answer, Endpoint, Outage, Patience
from micebench.utils.http.server_errors import error_in
from micebench.verdicts import Status
from tests.editors import fake_image_server
from tests.editors.remote.test_gemini import one as gemini
from tests.editors.remote.test_openai_images import QUICK, made, one, picture
from tests.judges.fake_vlm_server import Vlm, completes, said, sends

WORDS = "Provider returned error: slow down"
PASSING: dict[str, Any] = {
    "an object": {"error": {"message": WORDS, "code": 429}},
    "without a code": {"error": {"message": WORDS}},
    "a code as text": {"error": {"message": WORDS, "code": "502"}},
    "a text": {"error": WORDS},
    "a flag": {"error": True, "message": WORDS},
    "a code of five digits": {"object": "error", "message": WORDS, "code": 42901},
    "code and message": {"code": 50000, "message": WORDS},
    "code and msg": {"code": "Throttling", "msg": WORDS, "data": None},
    "object": {"object": "error", "message": WORDS},
    "type": {"type": "error", "error": {"type": "overloaded_error", "message": WORDS}},
    "with empty choices": {"error": {"message": WORDS, "code": 503}, "choices": []},
    "a list of errors": {"success": False, "errors": [{"code": 1015, "message": WORDS}], "result": None},
    "in a list": [{"error": {"status": "UNAVAILABLE", "message": WORDS}}],
    "in a choice": {"choices": [{"index": 0, "error": {"code": 502, "message": WORDS}, "message": {"content": ""}}]},
    "in a choice's message": {"choices": [{"message": {"content": None, "error": {"message": WORDS}}}]},
    "in data": {"data": [{"error": {"message": WORDS}}]},
    "a detail": {"detail": WORDS},
    "a rate limit of type 400": {
        "error": {"type": "invalid_request_error", "code": "rate_limit_exceeded", "message": WORDS}
    },
}
PERMANENT: dict[str, tuple[dict[str, Any], int]] = {
    "key": ({"code": "invalid_api_key", "type": "invalid_request_error"}, 401),
    "key, as a number": ({"code": 401}, 401),
    "key, of Google": ({"code": 400, "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}, 400),
    "model": ({"code": "model_not_found", "type": "invalid_request_error"}, 404),
    "model, as a type": ({"type": "NotFoundError", "code": 404}, 404),
    "filter": ({"code": "content_filter"}, 400),
    "Azure's filter": ({"code": "400", "innererror": {"code": "ResponsibleAIPolicyViolation"}}, 400),
    "credit": ({"code": "insufficient_quota", "type": "insufficient_quota"}, 402),
    "request": ({"type": "invalid_request_error"}, 400),
    "of vLLM": ({"object": "error", "type": "BadRequestError", "code": 400}, 400),
    "too long": ({"code": "context_length_exceeded"}, 400),
    "five digits": ({"code": 40001}, 400),
}
FINE: dict[str, Any] = {
    "null": {"error": None, "choices": [{}]},
    "an empty object": {"error": {}, "choices": [{}]},
    "an empty text": {"error": "", "data": [{}]},
    "no code": {"error": {"code": 0, "message": ""}, "choices": [{}]},
    "success": {"code": 200, "message": "success", "data": [{}]},
    "a choice without error": {"choices": [{"error": None, "message": {"content": "error"}}]},
    "something else": {"answer": 0.5},
    "a number": 1,
    "a text": "error",
    "false": {"error": False, "choices": [{}]},
}


def vlm(url: str, **options: Any) -> OpenAIVlm:
    fields = {"model": "tiny", "url": url, "patience": QUICK} | options
    return OpenAIVlm(OpenAIOptions.model_validate(fields), where="judge 'test'")


@pytest.mark.parametrize("kind", PASSING)
def test_an_error_inside_a_success_passes_for_a_judge(kind: str) -> None:
    acts = [sends(200, json.dumps(PASSING[kind]).encode())] * 2 + [completes("yes")]
    with Vlm(lambda number, _: acts[min(number, 2)]).running() as server:
        reply = vlm(server.url).ask(Ask((), "?"))
    assert isinstance(reply, Reply)
    assert reply.texts == ("yes",)
    assert len(server.bodies) == 3


@pytest.mark.parametrize("kind", PASSING)
def test_an_error_that_stays_is_quoted(kind: str) -> None:
    body = json.dumps(PASSING[kind]).encode()
    with Vlm(lambda *_: sends(200, body)).running() as server:
        failure = vlm(server.url).ask(Ask((), "?"))
    assert isinstance(failure, Failure)
    assert failure.status == Status.ERROR
    assert failure.reason.startswith("HTTP 200 with ")
    assert WORDS in failure.reason
    assert "(4 attempts)" in failure.reason


@pytest.mark.parametrize("kind", PASSING)
def test_an_error_inside_a_success_passes_for_an_image(kind: str) -> None:
    trouble = fake_image_server.Reply(json.dumps(PASSING[kind]).encode())
    edited, server = one(fake_image_server.in_turn(trouble, trouble, made(picture())))
    assert edited.image is not None
    assert len(server.calls) == 3
    edited, _ = one(fake_image_server.in_turn(trouble))
    assert edited.refused == ""
    assert WORDS in edited.failed
    edited, server = gemini(fake_image_server.in_turn(trouble))
    assert WORDS in edited.failed
    assert len(server.calls) == 2


@pytest.mark.parametrize("kind", PERMANENT)
def test_an_error_whose_code_is_permanent_is_an_answer(kind: str) -> None:
    error, status = PERMANENT[kind]
    for body in ({"error": error | {"message": WORDS}}, {"choices": [{"error": error | {"message": WORDS}}]}):
        reply = fake_image_server.Reply(json.dumps(body).encode())
        with fake_image_server.serving(fake_image_server.in_turn(reply)) as server, Endpoint(server.url) as endpoint:
            answer = endpoint.post("x")
        assert isinstance(answer, Answer)
        assert (answer.status, answer.ok, answer.attempts) == (status, False, 1)
        assert answer.summary.startswith(f"HTTP 200 with error {status}: ")
        assert WORDS in answer.excerpt
        assert answer.object["error"]["message"] == WORDS


def test_permanent_errors_become_what_they_are_outside_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "sk-not-the-right-one")
    blocked = fake_image_server.Reply({"error": {"code": "content_policy_violation", "message": "no"}})
    edited, server = one(fake_image_server.in_turn(blocked))
    assert (edited.refused, len(server.calls)) == ("content_policy_violation: no", 1)
    no_key = fake_image_server.Reply({"error": {"code": "invalid_api_key", "message": "Incorrect API key"}})
    edited, server = one(fake_image_server.in_turn(no_key), key_env="A_KEY")
    assert edited.hopeless
    assert len(server.calls) == 1
    assert edited.failed.startswith("HTTP 200 with error 401: ")
    assert "put a valid API key into the variable A_KEY" in edited.failed
    no_model = fake_image_server.Reply({"error": {"code": "model_not_found", "message": "unknown"}})
    edited, _ = one(fake_image_server.in_turn(no_model))
    assert "is options.model, 'm-1', served there?" in edited.failed
    with Vlm(lambda *_: sends(200, b'{"error": {"code": "content_filter", "message": "no"}}')).running() as vlms:
        failure = vlm(vlms.url).ask(Ask((), "?"))
    assert isinstance(failure, Failure)
    assert failure.status == Status.REFUSED


@pytest.mark.parametrize("kind", FINE)
def test_an_empty_error_is_none(kind: str) -> None:
    assert error_in(FINE[kind]) is None


def test_a_good_answer_with_an_empty_error_is_good() -> None:
    body = json.dumps(said("yes") | {"error": None, "message": "ok", "code": 0}).encode()
    with Vlm(lambda *_: sends(200, body)).running() as server:
        assert isinstance(vlm(server.url).ask(Ask((), "?")), Reply)


NAMES = ["error", "message", "code", "type", "choices", "data", "errors", "details"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "code", "type", "choices", "data", "errors", "details"]), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(JSON)
def test_any_json_is_read_without_an_exception(value: Any) -> None:
    error = error_in(value)
    if error is not None:
        assert isinstance(error.words, str)
        assert error.status is None or 400 <= error.status < 600


def test_an_outage_names_its_attempts() -> None:
    patience = Patience(attempts=2, first_wait_s=0.01)
    reply = fake_image_server.in_turn(fake_image_server.Reply({"error": WORDS}))
    with fake_image_server.serving(reply) as server, Endpoint(server.url, patience=patience) as endpoint:
        outage = endpoint.post("x")
    assert isinstance(outage, Outage)
    assert outage.reason == f"HTTP 200 with an error: {WORDS} (2 attempts)"
