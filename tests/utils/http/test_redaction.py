"""However a server repeats a key, it is not kept; and none of its words reaches a terminal raw."""

import base64
import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micebench.errors import CardError, one_line, printable
from micebench.judges.protocols.protocol_judge import PhotoJudge
from micebench.utils.http import Answer, Endpoint, Outage, Patience
from micebench.utils.http.redaction import Redactor
from tests.editors.fake_image_server import Reply, in_turn, serving
from tests.editors.remote.test_openai_images import one
from tests.judges.fake_vlm_server import Vlm, sends
from tests.judges.photo_cards import judge_card, questions

KEY = "sk-very/secret+Key_42"
BEARER = {"Authorization": f"Bearer {KEY}"}
ONCE = Patience(attempts=1, timeout_s=10)


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


WRITTEN: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "JSON escapes": escaped,
    "one JSON escape": lambda key: escaped(key[0]) + key[1:],
    "an escaped slash": lambda key: key.replace("/", "\\/"),
    "escaped twice": lambda key: escaped(key).replace("\\", "\\\\"),
    "upper-case escapes": lambda key: escaped(key).replace("\\u00", "\\u00").upper().replace("\\U", "\\u"),
    "in the URL": lambda key: quote(key, safe=""),
    "all in the URL": lambda key: "".join(f"%{ord(character):02X}" for character in key),
    "twice in the URL": lambda key: quote(quote(key, safe=""), safe=""),
    "in HTML": lambda key: "".join(f"&#{ord(character)};" for character in key),
    "in hexadecimal HTML": lambda key: "".join(f"&#x{ord(character):X};" for character in key),
    "base64": in_base64,
    "in base64 of more": lambda key: in_base64(f"user:{key}") + " " + in_base64(f"Bearer {key}!"),
    "in URL-safe base64": lambda key: base64.urlsafe_b64encode(f"a{key}".encode()).decode(),
    "in broken lines of base64": lambda key: base64.encodebytes(f"{'x' * 50}{key}".encode()).decode(),
    "hexadecimal": lambda key: key.encode().hex(),
    "split by a blank": lambda key: f"{key[:6]} {key[6:]}",
    "split by lines": lambda key: "\n".join(key),
    "split by escaped lines": lambda key: "\\n".join(key),
    "split by zero-width spaces": lambda key: "\u200b".join(key),
    "split by null characters": "\0".join,
    "in capitals": str.upper,
    "wide letters": lambda key: "".join(chr(ord(c) + 0xFEE0) for c in key),
}


def readable(text: str) -> str:
    """The letters and digits of a text after all that a person could undo."""
    for _ in range(3):
        try:
            text = html.unescape(text).encode().decode("unicode_escape", "ignore")
        except UnicodeError:
            break
    return "".join(text.split()).lower()


@pytest.mark.parametrize("way", WRITTEN)
def test_a_key_is_found_however_it_is_written(way: str) -> None:
    text = f"bad key: {WRITTEN[way](KEY)}, sorry"
    kept = Redactor([KEY]).text(text)
    assert "***" in kept
    for secret in (KEY, "secret", in_base64(KEY)[4:16], KEY.encode().hex()):
        assert secret.lower() not in readable(kept), kept


@pytest.mark.parametrize("way", WRITTEN)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_no_answer_holds_the_key(way: str, status: int) -> None:
    text = WRITTEN[way](KEY)
    bodies = [
        json.dumps({"error": {"message": text, "code": 400}, "x": [{text: text}]}).encode(),
        b'{"error": {"message": "%s", "code": 500}}' % text.encode().replace(b"\n", b" "),
        f"<html>{text}</html>".encode(),
        json.dumps({"choices": [{"message": {"content": text}}]}).encode("utf-16"),
        f"<p>{text}</p>".encode("utf-16"),
        f"<p>{text}</p>".encode("utf-16-le"),
        b"<p>caf\xe9 \xff" + text.encode(),
    ]
    for body in bodies:
        with (
            serving(in_turn(Reply(body, status=status))) as server,
            Endpoint(server.url, BEARER, patience=ONCE) as end,
        ):
            result = end.post("x")
        shown = (
            [result.reason] if isinstance(result, Outage) else [result.excerpt, repr(result.value), str(result.body)]
        )
        for kept in shown:
            assert "secret" not in readable(kept), kept
            assert in_base64(KEY)[4:16] not in kept


@pytest.mark.parametrize("body", [b'"sk-ver\\u0079/secret+Key_42"', b"sk-very/secret+Key_42"])
def test_the_journal_of_a_judge_holds_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    monkeypatch.setenv("SOME_KEY", KEY)
    content = b'{"choices": [{"finish_reason": "stop", "message": {"content": %s}}]}' % body.replace(b"/", b"\\/")
    for number, act in enumerate((sends(200, content), sends(400, body), sends(500, body))):
        with Vlm(lambda *_, act=act: act).running() as server:
            card = judge_card(
                tmp_path / str(number), server.url, vlm={"key_env": "SOME_KEY", "patience": {"attempts": 1}}
            )
            (verdict,) = PhotoJudge(card).judge(questions("GA")[:1])
        assert "secret" not in repr(verdict)
        assert verdict.value is None


def test_keys_in_the_url_and_in_any_header_are_secrets() -> None:
    echo = Reply({"error": {"message": "user-name pass-word query-key x-header-key Basic-key"}}, status=400)
    with serving(in_turn(echo)) as server:
        url = server.url.replace("http://", "http://user-name:pass-word@") + "/v1?key=query-key&v=1"
        headers = {"x-api-key": "x-header-key", "X-Other": "Token Basic-key"}
        with Endpoint(url, headers, patience=ONCE) as endpoint:
            answer = endpoint.post("x")
            assert endpoint.name == f"{server.url}/v1"
    assert server.calls[0].path == "/v1/x?key=query-key&v=1"
    assert isinstance(answer, Answer)
    assert answer.object["error"]["message"] == "*** *** *** *** ***"


def test_a_redirect_shows_no_key() -> None:
    to = f"https://other.example/{quote(KEY, safe='')}/v1/x?key={KEY}"
    redirect = Reply(status=302, headers={"Location": to})
    with serving(in_turn(redirect)) as server, Endpoint(server.url, BEARER) as endpoint:
        answer = endpoint.post("x")
    assert isinstance(answer, Answer)
    assert answer.location == "https://other.example/***/v1/x"


def test_short_keys_are_dummies_and_leave_text_alone() -> None:
    assert Redactor(["EMPTY", "", "abcdefg"]).text("EMPTY abcdefg") == "EMPTY abcdefg"
    assert Redactor(["abcdefgh"]).text("EMPTY abcdefgh") == "EMPTY ***"


def test_an_image_and_honest_text_stay_as_they_are() -> None:
    redact = Redactor([KEY])
    text = 'A 100% "good" edit\\n with &amp; %20 \\u0041, base64 ' + in_base64("another secret key") * 50
    assert redact.text(text) == text
    value = {"a": [1, None, True, "x"], "b": {"c": 0.5}}
    assert redact.value(value) == value


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=8, max_size=30), st.text(max_size=50))
def test_redacting_never_fails_and_leaves_no_literal_key(key: str, text: str) -> None:
    kept = Redactor([key]).text(text + key + text)
    assert "".join(key.split()) == "" or key not in kept.replace("***", "") or key in "***"


HOSTILE = "\x1b[2J\x1b]0;title\x07 \u202eedoc\u2066 [bold]x[/nonsense] \x9b31m \ud800"


def test_no_words_of_a_server_reach_a_terminal_raw() -> None:
    body: dict[str, Any] = {"error": {"message": HOSTILE, "code": "content_policy_violation"}}
    for status in (400, 500, 404, 200):
        edited, _ = one(in_turn(Reply(body, status=status)), patience={"attempts": 1})
        assert_harmless(one_line(edited.failed or edited.refused))
    for status in (400, 500):
        edited, _ = one(in_turn(Reply(HOSTILE.encode("utf-8", "replace"), status=status)), patience={"attempts": 1})
        assert_harmless(edited.failed)


def test_the_command_line_prints_errors_without_control_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import micebench.cli

    def app() -> None:
        raise CardError(f"the server sent {HOSTILE}")

    monkeypatch.setattr(micebench.cli, "build_app", lambda: app)
    with pytest.raises(SystemExit):
        micebench.cli.main()
    assert_harmless(capsys.readouterr().err.rstrip("\n"))


def assert_harmless(line: str) -> None:
    assert line
    assert not set(line) & set("\x1b\x07\x9b\u202e\u2066\ud800\n"), ascii(line)
    assert line == printable(line)
