"""What keeps a judge from its model is one line before editing; what does not is no reason to refuse."""

import json
from typing import Any

import pytest

from micebench.errors import CardError
from micebench.judges.models.base import Ask, Reply
from micebench.judges.models.vlm_openai import OpenAIOptions, OpenAIVlm
from tests.editors.fake_image_server import Call, serving
from tests.editors.fake_image_server import Reply as Sent
from tests.judges.fake_vlm_server import Vlm, completes, said, sends

OTHERS = sends(200, b'{"data": [{"id": "openai/*"}, {"id": "base"}]}')
NO_LIST = sends(404, b'{"detail": "Not Found"}')
GOOD = Sent(said("yes"))


def options(url: str, **more: Any) -> OpenAIOptions:
    return OpenAIOptions.model_validate(
        {"model": "tiny", "url": url, "patience": {"attempts": 1, "timeout_s": 5}} | more
    )


def made(url: str, **more: Any) -> OpenAIVlm:
    return OpenAIVlm(options(url, **more), where="judge 'test'")


def line(url: str, **more: Any) -> str:
    with pytest.raises(CardError) as error:
        OpenAIVlm.probe(options(url, **more), where="judge 'test'")
    assert "\n" not in str(error.value)
    assert "judge 'test'" in str(error.value)
    return str(error.value)


def gateway(call: Call) -> Sent:
    """A server whose routes are below /v1, as most."""
    if call.path == "/v1/models":
        return Sent({"data": [{"id": "tiny", "max_model_len": 5000}]})
    return GOOD if call.path == "/v1/chat/completions" else Sent({"detail": "Not Found"}, status=404)


@pytest.mark.parametrize(
    "path",
    ["/v1", "/v1/", "/v1//", "/v1 ", " /v1\n", "/v1/chat/completions", "/v1/chat/completions/", "", "/", "/v1#x"],
)
def test_a_base_url_is_taken_as_it_is_meant(path: str) -> None:
    with serving(gateway) as server:
        url = f" {server.url}{path[1:]}" if path.startswith(" ") else server.url + path
        OpenAIVlm.probe(options(url), where="x")
        vlm = made(url)
        assert isinstance(vlm.ask(Ask((), "?")), Reply)
    assert server.calls[-1].path == "/v1/chat/completions"
    assert vlm._too_long(Ask((), "x" * 50_000)) is not None, "its context is known, too"


def test_a_server_without_version_and_list_keeps_its_address() -> None:
    def bare(call: Call) -> Sent:
        return GOOD if call.path == "/chat/completions" else Sent(b"", status=404)

    with serving(bare) as server:
        assert isinstance(made(server.url).ask(Ask((), "?")), Reply)
    assert server.calls[-1].path == "/chat/completions"


def test_a_version_that_only_answers_completions_is_found() -> None:
    def below(call: Call) -> Sent:
        return GOOD if call.path == "/v1/chat/completions" else Sent(b"", status=404)

    with serving(below) as server:
        assert isinstance(made(server.url).ask(Ask((), "?")), Reply)


@pytest.mark.parametrize("models", [OTHERS, NO_LIST, sends(200, b'{"data": []}'), sends(200, b"[]"), sends(405, b"")])
def test_a_model_that_is_not_listed_is_accepted_if_it_answers(models: Any) -> None:
    with Vlm(lambda *_: completes("yes"), models).running() as server:
        OpenAIVlm.probe(options(server.url), where="x")
        assert isinstance(made(server.url).ask(Ask((), "?")), Reply)
    assert [probe["max_tokens"] for probe in server.probes] == [1, 1]


@pytest.mark.parametrize(
    "act",
    [
        sends(404, b'{"error": {"message": "no such model"}}'),
        sends(400, b'{"error": {"code": "model_not_found", "message": "no such model"}}'),
        sends(200, b'{"error": {"code": "model_not_found", "message": "no such model"}}'),
        sends(200, b'{"error": {"code": 404, "message": "no such model"}}'),
    ],
)
def test_a_model_that_is_neither_listed_nor_answers_is_refused(act: Any) -> None:
    with Vlm(lambda *_: completes("yes"), OTHERS).running() as server:
        server.probed = act
        with pytest.raises(CardError, match=r"does not serve 'tiny'; it serves base, openai/\*"):
            made(server.url)
        assert "no such model" in line(server.url)


def test_a_listed_model_needs_no_question_when_it_is_made_and_one_before_editing() -> None:
    with Vlm(lambda *_: completes("yes")).running() as server:
        made(server.url)
        assert server.probes == []
        OpenAIVlm.probe(options(server.url, temperature=0.5, body={"top_p": 0.9}), where="x")
    (probe,) = server.probes
    assert (probe["max_tokens"], probe["top_p"], probe["temperature"]) == (1, 0.9, 0.5)
    assert probe["messages"][0]["content"][0]["type"] == "image_url", "as the questions have"


UNSUPPORTED = (
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
)


def wants_completion_tokens(call: Call) -> Sent:
    if call.path.endswith("/models"):
        return Sent({"data": [{"id": "tiny"}]})
    if "max_tokens" in call.json:
        return Sent({"error": {"message": UNSUPPORTED, "code": "unsupported_parameter"}}, status=400)
    return GOOD


def test_a_parameter_that_the_server_refuses_is_reported_in_its_words() -> None:
    with serving(wants_completion_tokens) as server:
        text = line(f"{server.url}/v1")
    assert UNSUPPORTED in text
    assert "set vlm.body to {max_tokens: null, max_completion_tokens: N}" in text


@pytest.mark.parametrize("body", [{"max_tokens": None, "max_completion_tokens": 500}, {"max_tokens": None}])
def test_a_card_that_has_adapted_to_the_server_is_accepted(body: dict[str, Any]) -> None:
    with serving(wants_completion_tokens) as server:
        OpenAIVlm.probe(options(f"{server.url}/v1", body=body), where="x")
    last = server.calls[-1].json
    assert last.get("max_completion_tokens") == (1 if "max_completion_tokens" in body else None)


def test_a_server_that_refuses_one_token_is_asked_with_the_cards_limit() -> None:
    def at_least_16(call: Call) -> Sent:
        if call.path.endswith("/models"):
            return Sent({"data": [{"id": "tiny"}]})
        few = call.json["max_tokens"] < 16
        return Sent({"error": {"message": "max_tokens: at least 16", "code": 400}}, status=400) if few else GOOD

    with serving(at_least_16) as server:
        OpenAIVlm.probe(options(f"{server.url}/v1", max_tokens=99), where="x")
        assert server.calls[-1].json["max_tokens"] == 99
        assert "max_tokens: at least 16" in line(f"{server.url}/v1", max_tokens=8)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_one_line_that_names_where_it_leads(status: int) -> None:
    with serving(lambda call: Sent(status=status, headers={"Location": f"https://api.example{call.path}"})) as server:
        text = line(f"{server.url}/v1")
    assert "it redirects to https://api.example/v1, which is not followed; set vlm.url to that address" in text


def test_a_redirect_of_the_list_alone_does_no_harm() -> None:
    with Vlm(lambda *_: completes("yes"), sends(307, b"", {"Location": "/v1/models/"})).running() as server:
        OpenAIVlm.probe(options(server.url), where="x")


def test_http_and_https_are_told_apart() -> None:
    with serving(gateway) as server:
        assert "does not speak TLS; is its URL http:// instead of https://?" in line(
            f"{server.url.replace('http:', 'https:')}/v1"
        )
    plain = b"Client sent an HTTP request to an HTTPS server."
    with serving(lambda _: Sent(plain, status=400)) as server:
        assert plain.decode() in line(f"{server.url}/v1")


def test_a_page_is_no_chat_completion() -> None:
    with serving(lambda _: Sent(b"<html>welcome</html>")) as server:
        assert "not JSON: <html>welcome</html>" in line(server.url)
    with serving(lambda _: Sent({"hello": "world"})) as server:
        assert "something else than a chat completion" in line(f"{server.url}/v1")


def test_trouble_that_may_pass_does_not_stop_a_listed_model() -> None:
    with Vlm(lambda *_: completes("yes")).running() as server:
        for act in (sends(503, b"busy"), sends(429, b"slow down"), sends(200, b'{"error": {"message": "busy"}}')):
            server.probed = act
            OpenAIVlm.probe(options(server.url), where="x")
        server.models = OTHERS
        assert "does not answer a short question: HTTP 200 with an error: busy" in line(server.url)


def test_a_content_filter_is_a_server_that_works() -> None:
    with Vlm(lambda *_: completes("yes")).running() as server:
        server.probed = sends(400, b'{"error": {"code": "content_filter", "message": "no"}}')
        OpenAIVlm.probe(options(server.url), where="x")


def test_a_dead_proxy_is_not_blamed_on_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    text = line("http://vlm.example/v1")
    assert text.startswith("judge 'test': the proxy http://127.0.0.1:9 (from HTTP_PROXY): no connection; ")
    assert "start it" not in text


def test_the_list_may_be_anything() -> None:
    odd = [
        {"data": None},
        {"data": [None, 1, {"id": None}, {}]},
        {"data": {"id": "tiny"}},
        "x",
        None,
        [1],
        {"models": []},
    ]
    for value in odd:
        with Vlm(lambda *_: completes("yes"), sends(200, json.dumps(value).encode())).running() as server:
            assert isinstance(made(server.url).ask(Ask((), "?")), Reply)
    with Vlm(lambda *_: completes("yes"), sends(200, b'[{"id": "tiny", "max_model_len": true}]')).running() as server:
        assert made(server.url)._served.context is None
        assert server.probes == []
