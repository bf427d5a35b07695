"""A wrong key or an unknown model costs one line, not every session; the same command goes on once it is mended."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from micebench.editors.base import Edited, EditRequest
from micebench.engine.evaluate import evaluate, judge
from micebench.engine.run_reader import Run, open_run
from micebench.errors import CardError, EndpointError
from tests.editors.fake_image_server import Call, Reply, b64, serving
from tests.judges.fake_vlm_server import Act, Vlm, complies, sends
from tests.judges.photo_cards import judge_folder
from tests.toy import Painter, toy_cards

EDITS = 17  # of the toy's six sessions
NO_KEY = Reply({"error": {"message": "Incorrect API key provided"}}, status=401)
NO_CREDIT = Reply({"error": {"type": "insufficient_quota", "message": "You exceeded your quota"}}, status=429)
BLOCKED = Reply({"error": {"code": "content_policy_violation", "message": "no"}}, status=403)


class Shop:
    """An image server that serves the first `open_for` edits, then answers `closed`."""

    def __init__(self, open_for: int, closed: Reply) -> None:
        self.open_for, self.closed, self.served = open_for, closed, 0
        self._lock = threading.Lock()

    def __call__(self, call: Call) -> Reply:
        with self._lock:
            if self.served >= self.open_for:
                return self.closed
            self.served += 1
        value = int(np.asarray(call.image).mean() if call.path.endswith("edits") else 0)
        return Reply({"data": [{"b64_json": b64(Image.new("RGB", call.image.size, (value, self.served, 0)))}]})


def remote(folder: Path, url: str, **options: Any) -> Path:
    """The toy's cards, with the model `remote`: the OpenAI protocol to this server, two calls at once."""
    cards = toy_cards(folder)
    place = cards / "baselines/remote"
    place.mkdir()
    card = {
        "id": "remote",
        "description": "far away",
        "domain": "mini",
        "batch": 4,
        "editor": "openai-images",
        "options": {"model": "m-1", "base_url": f"{url}/v1", "concurrency": 2} | options,
    }
    (place / "editor.yaml").write_text(yaml.safe_dump(card))
    return cards


def turned_away(cards: Path, out: Path, **how: Any) -> str:
    with pytest.raises(EndpointError) as error:
        evaluate("toy", "remote", out=out, cards=[cards], **how)
    assert "\n" not in str(error.value)
    return str(error.value)


def in_folder(path: Path) -> Run:
    return open_run(path)


@pytest.mark.parametrize(
    ("closed", "options", "line"),
    [
        (
            NO_KEY,
            {"key_env": "A_KEY"},
            "HTTP 401: *Incorrect API key*; model 'remote': put a valid API key into the variable A_KEY; *goes on",
        ),
        (NO_KEY, {}, "*model 'remote': the server wants an API key; name its variable in options.key_env*"),
        (
            Reply({"error": {"message": "no such model"}}, status=404),
            {"base_url_env": "A_URL"},
            "HTTP 404: *no such model*; model 'remote': is options.model, 'm-1', served there? "
            "Check it, and A_URL or options.base_url; *",
        ),
        (Reply(b"", status=403), {"key_env": "A_KEY"}, "HTTP 403: no reason given; *A_KEY*"),
        (NO_CREDIT, {}, "HTTP 429: *You exceeded your quota*; the account has no credit left; *goes on"),
    ],
    ids=["wrong key", "no key", "no model", "forbidden", "no credit"],
)
def test_the_line_names_what_to_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: Reply, options: dict[str, Any], line: str
) -> None:
    from fnmatch import fnmatchcase

    monkeypatch.setenv("A_KEY", "sk-not-the-right-one")
    with serving(Shop(0, closed)) as server:
        said = turned_away(remote(tmp_path / "cards", server.url, **options), tmp_path / "run")
        assert 1 <= len(server.calls) <= 2, "what was under way together, and no more"
    assert fnmatchcase(said, line)
    assert "sk-not" not in said
    assert list(in_folder(tmp_path / "run").edits()) == [], "no session has failed"


def test_a_server_of_images_that_is_not_there_is_noticed_before_editing(tmp_path: Path) -> None:
    with serving(Shop(0, NO_KEY)) as gone:
        pass
    cards = remote(tmp_path / "cards", gone.url, patience={"attempts": 1})
    with pytest.raises(CardError, match=r"^model 'remote': the server at .* does not answer: no connection"):
        evaluate("toy", "remote", out=tmp_path / "run", cards=[cards])
    assert list(in_folder(tmp_path / "run").edits()) == [], "no session has failed"


@pytest.mark.parametrize("closed", [NO_KEY, NO_CREDIT], ids=["wrong key", "no credit"])
def test_what_was_made_is_kept_and_the_same_command_goes_on(tmp_path: Path, closed: Reply) -> None:
    shop = Shop(7, closed)
    with serving(shop) as server:
        cards = remote(tmp_path / "cards", server.url)
        turned_away(cards, tmp_path / "run")
        kept = {(edit.session, edit.turn): edit.image for edit in in_folder(tmp_path / "run").edits()}
        assert len(kept) == 7
        assert None not in kept.values()
        shop.open_for = 1000
        run = evaluate("toy", "remote", out=tmp_path / "run", cards=[cards])
    assert shop.served == EDITS, "none was made twice"
    edits = {(edit.session, edit.turn): edit.image for edit in run.edits()}
    assert len(edits) == EDITS
    assert kept.items() <= edits.items()
    assert run.failures() == []


def test_a_content_filter_is_a_refusal_and_stops_nothing(tmp_path: Path) -> None:
    with serving(Shop(5, BLOCKED)) as server:
        run = evaluate("toy", "remote", out=tmp_path / "run", cards=[remote(tmp_path / "cards", server.url)])
    assert len(run.refusals()) == 6, "each session meets the filter sooner or later"
    assert [edit.status for edit in run.edits()].count("ok") == 5
    assert run.failures() == []


class Locked:
    """Paints the first session a process sees, and is then shut out; `key` (a file) lets it in."""

    batch = 1
    painted: Sequence[str] = ()

    def edit(self, requests: Sequence[EditRequest]) -> list[Any]:
        self.painted = self.painted or [request.session_id for request in requests]
        images = Painter().edit(requests)
        return [
            image if request.session_id in self.painted else Edited(None, failed="the door is shut", hopeless=True)
            for image, request in zip(images, requests, strict=True)
        ]


def test_with_several_processes_each_ends_with_what_it_has(tmp_path: Path) -> None:
    cards = toy_cards(tmp_path / "cards")
    with pytest.raises(EndpointError, match="the door is shut"):
        evaluate("toy", f"{__name__}:Locked", out=tmp_path / "run", judge="meter", cards=[cards], workers=2)
    edits = list(in_folder(tmp_path / "run").edits())
    assert len(edits) in (3, 6)  # of one process, or of both
    assert all(edit.status == "ok" for edit in edits)


def test_a_judge_that_is_turned_away_keeps_its_verdicts(tmp_path: Path) -> None:
    """The list of models is public; the key is only asked for when it comes to work."""
    closed: list[Act | None] = [None]

    def decide(number: int, body: dict[str, Any]) -> Act:
        if closed[0] is not None and number >= 4:
            return closed[0]
        return complies(body)

    cards = toy_cards(tmp_path / "cards", task={"track": "cu"})
    with Vlm(decide).running() as server:
        judge_folder(cards, server.url, domain="mini", awareness={"stop_at_failure": False}, vlm={"concurrency": 1})
        run = evaluate("toy", Painter(), out=tmp_path / "run", judge="meter", cards=[cards])
        for act, line in (
            (sends(401, b"{}"), "judge 'asking'.*put a valid API key into the variable MICEBENCH_VLM_KEY"),
            (sends(404, b"{}"), "judge 'asking'.*is vlm.model, 'tiny', served there\\? Check it, and vlm.url"),
            (sends(429, b'{"error": {"code": "insufficient_quota"}}'), "HTTP 429.*the account has no credit left"),
        ):
            closed[0], before = act, len(server.bodies)
            with pytest.raises(EndpointError, match=line) as error:
                judge(run.path, "asking", cards=[cards])
            assert "\n" not in str(error.value)
            assert len(server.bodies) <= before + 4 + 3, "what was under way, and no more"
        kept = {(verdict.session, verdict.turn): verdict.status for verdict in in_folder(run.path).verdicts()}
        assert 1 <= len(kept) <= 4
        assert set(kept.values()) == {"ok"}, "being turned away is no verdict"
        closed[0] = None
        completed = judge(run.path, "asking", cards=[cards])
    assert len(list(completed.verdicts())) == EDITS
    assert {verdict.status for verdict in completed.verdicts()} == {"ok"}
