"""A judge's server that is not there, or lets nobody in, costs one line before the first edit, not a day of edits."""

import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from micebench.cards import JudgeCard, load_card
from micebench.engine.evaluate import evaluate, judge
from micebench.engine.run_reader import open_run
from micebench.errors import CardError
from micebench.judges.runtime.preflight import probe
from tests.judges.fake_vlm_server import Act, Vlm, completes, sends
from tests.judges.photo_cards import judge_folder
from tests.toy import Painter, toy_cards

AT_ONCE = {"attempts": 1, "timeout_s": 5.0, "deadline_s": 5.0}


class Counting(Painter):
    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def edit(self, requests: Any) -> Any:
        self.asked += len(requests)
        return super().edit(requests)


def cards_asking(folder: Path, url: str, **vlm: Any) -> Path:
    """The toy's cards and the judge `asking`, which asks the server at `url`."""
    return judge_folder(toy_cards(folder), url, domain="mini", vlm={"patience": AT_ONCE} | vlm)


def unused_url() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


def stopped(editor: Counting, cards: Path, out: Path) -> str:
    with pytest.raises(CardError) as error:
        evaluate("toy", editor, out=out, judge="asking", cards=[cards])
    assert "\n" not in str(error.value)
    assert editor.asked == 0
    return str(error.value)


def test_nobody_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = unused_url()
    said = stopped(Counting(), cards_asking(tmp_path / "cards", url), tmp_path / "run")
    assert said == (
        f"judge 'asking': the server at {url} does not answer: no connection (1 attempt); start it, or check "
        f"vlm.url; the same command then goes on; to edit now and judge later, give --judge none"
    )
    monkeypatch.setenv("A_URL", url.replace("127", "me:secret@127") + "?key=secret")
    said = stopped(Counting(), cards_asking(tmp_path / "other", None, url_env="A_URL"), tmp_path / "run2")  # type: ignore[arg-type]
    assert f"the server at {url} does not answer" in said
    assert "check the variable A_URL" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("models", "line"),
    [
        (sends(401, b"{}"), "judge 'asking': put a valid API key into the variable MICEBENCH_VLM_KEY"),
        (sends(403, b"go away"), "HTTP 403: go away; judge 'asking': put a valid API key"),
        (sends(429, b'{"error": {"code": "insufficient_quota"}}'), "the account has no credit left"),
        (sends(200, b'{"data": [{"id": "other"}]}'), "does not serve 'tiny'; it serves other"),
    ],
    ids=["no key", "forbidden", "no credit", "another model"],
)
def test_who_is_let_in_by_nobody_edits_nothing_and_goes_on_later(tmp_path: Path, models: Act, line: str) -> None:
    with Vlm(lambda *_: completes("yes"), models).running() as server:
        server.probed = sends(404, b'{"error": {"message": "no such model"}}')
        cards, editor = cards_asking(tmp_path / "cards", server.url), Counting()
        said = stopped(editor, cards, tmp_path / "run")
        assert line in said
        assert server.url in said or "does not serve" in said
        assert list(open_run(tmp_path / "run").edits()) == []
        server.models = sends(200, b'{"data": [{"id": "tiny"}]}')
        server.probed = completes("yes")
        run = evaluate("toy", editor, out=tmp_path / "run", judge="asking", cards=[cards])
    assert editor.asked == len(list(run.edits())) == 17


@pytest.mark.parametrize("status", [400, 404, 405])
def test_a_server_that_lists_no_models_is_asked_all_the_same(tmp_path: Path, status: int) -> None:
    with Vlm(lambda *_: completes("yes"), sends(status, b'{"error": "what?"}')).running() as server:
        cards, editor = cards_asking(tmp_path / "cards", server.url), Counting()
        evaluate("toy", editor, out=tmp_path / "run", judge="asking", cards=[cards])
    assert editor.asked == 17


def test_one_may_edit_first_and_judge_when_the_server_is_there(tmp_path: Path) -> None:
    """Editor and server may want the same GPU."""
    cards, editor = cards_asking(tmp_path / "cards", unused_url()), Counting()
    stopped(editor, cards, tmp_path / "run")
    edited = evaluate("toy", editor, out=tmp_path / "run", judge="none", cards=[cards])
    assert editor.asked == len(list(edited.edits())) == 17
    assert list(edited.verdicts()) == []
    with Vlm(lambda *_: completes("yes")).running() as server:
        judge_folder(tmp_path / "later", server.url, name="asking", domain="mini")
        judged = judge(tmp_path / "run", "asking", cards=[tmp_path / "later"])
        assert len(list(judged.verdicts())) == 17
    again = evaluate("toy", editor, out=tmp_path / "run", judge="none", cards=[cards])
    assert editor.asked == 17
    assert len(list(again.verdicts())) == 17, "to edit on leaves the verdicts alone"
    assert again.manifest.judge == "asking"


def test_a_finished_run_needs_no_server(tmp_path: Path) -> None:
    with Vlm(lambda *_: completes("yes")).running() as server:
        cards = cards_asking(tmp_path / "cards", server.url)
        run = evaluate("toy", Counting(), out=tmp_path / "run", judge="asking", cards=[cards])
        before = list(run.verdicts())
    again = evaluate("toy", Counting(), out=tmp_path / "run", judge="asking", cards=[cards])
    assert list(again.verdicts()) == before
    assert list(judge(again, cards=[cards]).verdicts()) == before


def test_judges_made_of_others_look_for_their_servers(tmp_path: Path) -> None:
    url = unused_url()
    cards = judge_folder(tmp_path / "cards", url, vlm={"patience": AT_ONCE})
    judge_folder(cards, url, name="too", vlm={"patience": AT_ONCE})
    members = [{"judge": name, "version": 1} for name in ("asking", "too")]
    made = {
        "ensemble": ("ensemble", {"members": members}),
        "noisy": ("noisy", members[1]),
        "scoring": ("score", {"vlm": {"kind": "openai", "model": "m", "url": url,
                                                                      "patience": AT_ONCE}}),
    }  # fmt: skip
    for name, (kind, options) in made.items():
        place = cards / "judges" / name
        place.mkdir()
        metrics = ["IF"] if name == "scoring" else ["GA"]
        card = {"id": name, "description": "x", "domain": "photo", "judge": kind, "metrics": metrics}
        (place / "judge.yaml").write_text(yaml.safe_dump(card | {"options": options}))
        with pytest.raises(CardError, match=f"the server at {url} does not answer"):
            probe(load_card(JudgeCard, name, [cards]))


def test_a_judge_that_asks_no_server_is_not_disturbed(tmp_path: Path) -> None:
    """GA is what the server is for: a card that is asked about consistency only does not need it."""
    cards = judge_folder(tmp_path / "cards", unused_url(), metrics=["CC.object"], vlm={"patience": AT_ONCE})
    probe(load_card(JudgeCard, "asking", [cards]))
    probe(load_card(JudgeCard, "exact"))
