"""A server of images that is not there is one line before editing, and looking for it costs nothing."""

import socket
from typing import Any

import pytest

from micebench.editors.remote.gemini import GeminiEditor
from micebench.editors.remote.openai_images import OpenAIImagesEditor
from micebench.errors import CardError
from micebench.registry.sources import EditorSource
from tests.editors.fake_image_server import Call, Reply, in_turn, serving
from tests.editors.remote.test_openai_images import card, made, one, picture
from tests.utils.http.raw_server import drips, serving_bytes

ONCE = {"patience": {"attempts": 1, "timeout_s": 5}}


def unused_url() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("editor", [OpenAIImagesEditor, GeminiEditor])
def test_a_server_that_is_not_there_is_one_line_before_editing(editor: Any) -> None:
    url = unused_url()
    with pytest.raises(CardError) as error:
        editor.probe(card(url, **ONCE))
    assert str(error.value) == (
        f"model 'remote': the server at {url}/v1 does not answer: no connection (1 attempt); check options.base_url; "
        f"the same command then goes on"
    )


@pytest.mark.parametrize("status", [200, 401, 404, 405, 501, 503])
def test_any_answer_will_do_and_nothing_is_asked_for(status: int) -> None:
    with serving(in_turn(Reply(status=status))) as server:
        OpenAIImagesEditor.probe(card(server.url, **ONCE))
    assert server.calls == [], "neither GET nor POST"


def test_the_engine_looks_for_the_server_of_a_card() -> None:
    named = card(unused_url(), **ONCE)
    source = EditorSource("remote", "0", "last", 1, card=named.model_copy(update={
        "editor": "openai-images"
    }))  # fmt: skip
    with pytest.raises(CardError, match="does not answer: no connection"):
        source.probe()


@pytest.mark.parametrize("path", ["/v1", "/v1/", " /v1 ", "/v1/images/edits", "/v1/images/edits/", "/v1?a=b"])
def test_a_base_url_is_taken_as_it_is_meant(path: str) -> None:
    with serving(in_turn(made(picture()))) as server:
        options = {"model": "m", "base_url": server.url + path.strip() + path[len(path.rstrip()) :], **ONCE}
        (edited,) = OpenAIImagesEditor(card(server.url, **options)).edit([_request()])
    assert edited.image is not None
    assert server.calls[0].path in ("/v1/images/edits", "/v1/images/edits?a=b")


def test_without_a_version_the_line_says_what_is_missing() -> None:
    def below(call: Call) -> Reply:
        return made(picture()) if call.path.startswith("/v1/") else Reply({"detail": "Not Found"}, status=404)

    with serving(below) as server:
        (edited,) = OpenAIImagesEditor(card(server.url, base_url=server.url, **ONCE)).edit([_request()])
    assert edited.hopeless
    assert "options.base_url (a base URL usually ends in /v1)" in edited.failed


def test_a_redirect_stops_the_run_with_the_address() -> None:
    edited, server = one(in_turn(Reply(status=308, headers={"Location": "https://images.example/v1/images/edits"})))
    assert edited.hopeless
    assert len(server.calls) == 1
    assert (
        "it redirects to https://images.example/v1, which is not followed; set options.base_url to that"
        in edited.failed
    )


def test_a_redirect_to_another_server_is_found_before_editing() -> None:
    answer = b"HTTP/1.1 308 Moved\r\nLocation: https://images.example/v1/models\r\nContent-Length: 0\r\n\r\n"
    moved = serving_bytes(drips(b"", first=answer, seconds=0))
    with moved as url, pytest.raises(CardError, match=r"redirects to https://images\.example/v1/models"):
        OpenAIImagesEditor.probe(card(url, **ONCE))


def _request() -> Any:
    from tests.editors.remote.test_openai_images import request

    return request()
