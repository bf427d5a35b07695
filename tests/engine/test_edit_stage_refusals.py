"""An editor may refuse: its session ends there, the run goes on; it is no failure, and it is not asked again."""

import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from micebench.cards import EditorCard
from micebench.cli import build_app
from micebench.editors.base import Edited, EditRequest
from micebench.engine.evaluate import evaluate
from micebench.engine.job import Options, make_job
from micebench.engine.plan import make_plan
from micebench.engine.run_reader import Run, open_run
from tests.editors.fake_image_server import Call, Reply, b64, serving
from tests.toy import Meter, Painter, toy_cards

USAGE = {"cost_usd": 0.25, "latency_s": 2.0, "attempts": 1, "kind": "toy", "exact": True}


class Squeamish(Painter):
    """Refuses, fails or paints, as told: "session/turn" -> what it says."""

    def __init__(self, refuse: Sequence[str] = (), fail: Sequence[str] = (), usage: Any = None) -> None:
        super().__init__()
        self.refuse, self.fail, self.usage = refuse, fail, usage
        self.asked: list[str] = []

    def edit(self, requests: Sequence[EditRequest]) -> list[Any]:
        return [self._answer(request, image) for request, image in zip(requests, super().edit(requests), strict=True)]

    def _answer(self, request: EditRequest, image: Image.Image) -> Any:
        name = f"{request.session_id}/{request.turn}"
        self.asked.append(name)
        if name in self.refuse:
            return Edited(None, refused="not that\none", usage=self.usage)
        if name in self.fail:
            return Edited(None, failed="out of paint", usage=self.usage)
        return Edited(image, usage=self.usage)


def derived(run: Run) -> tuple[bytes, bytes]:
    return (run.path / "verdicts.parquet").read_bytes(), (run.path / "summary.json").read_bytes()


@pytest.mark.parametrize("batch", [1, 4])
def test_a_refusal_ends_its_own_session_only(tmp_path: Path, batch: int) -> None:
    cards = [toy_cards(tmp_path / "cards")]
    editor = Squeamish(refuse=["s001/2", "s003/1"], fail=["s002/3"], usage=USAGE)
    run = evaluate("toy", editor, out=tmp_path / "run", judge=Meter(), cards=cards, batch=batch)
    said = [("s001", 0, 2, "not that one"), ("s003", 0, 1, "not that one")]
    assert [tuple(found) for found in run.refusals()] == said
    assert [tuple(found) for found in run.failures()] == [("s002", 0, 3, "out of paint")]
    assert run.summary()["edits"] == {"ok": 11, "failed": 1, "refused": 2, "unreached": 3}
    assert json.loads((run.path / "summary.json").read_text())["edits"] == run.summary()["edits"]
    statuses = {(edit.session, edit.turn): edit.status for edit in run.edits()}
    assert (statuses["s001", 2], statuses["s002", 3]) == ("refused", "failed")
    assert ("s001", 3) not in statuses
    assert run.summary()["coverage"]["IF"]["missing"] == 6, "nothing is imputed"
    assert all(dict(edit.usage or {}) == USAGE for edit in run.edits())
    assert run.usage() == {"cost_usd": 0.25 * 14, "latency_s": 28.0, "attempts": 14}


def test_what_was_refused_is_not_asked_again_unless_wanted(tmp_path: Path) -> None:
    cards = [toy_cards(tmp_path / "cards")]
    out = tmp_path / "run"
    refuse, fail = ["s001/2", "s003/1"], ["s002/3"]
    first = evaluate("toy", Squeamish(refuse, fail, USAGE), out=out, judge=Meter(), cards=cards)
    assert first.usage()["attempts"] == 14
    again = Squeamish(refuse, usage=USAGE)
    run = evaluate("toy", again, out=out, judge=Meter(), cards=cards)
    assert again.asked == ["s002/3"]
    assert (len(run.refusals()), run.failures()) == (2, [])
    assert run.usage()["attempts"] == 15, "the failed attempt was paid for too"
    before = derived(run)
    third = Squeamish()
    evaluate("toy", third, out=out, judge=Meter(), cards=cards)
    assert third.asked == []
    assert derived(open_run(out)) == before
    willing = Squeamish()
    run = evaluate("toy", willing, out=out, judge=Meter(), cards=cards, retry_refused=True)
    assert sorted(willing.asked) == ["s001/2", "s001/3", "s003/1", "s003/2", "s003/3"]
    assert (run.refusals(), run.failures()) == ([], [])
    straight = evaluate("toy", Squeamish(), out=tmp_path / "straight", judge=Meter(), cards=cards)
    assert derived(run) == derived(straight)


def test_a_refusal_of_an_image_that_has_changed_is_void(tmp_path: Path) -> None:
    """Turn 1 of s001 is lost; made again as it was, the refusal of turn 2 holds; made differently, it is asked."""
    cards = [toy_cards(tmp_path / "cards")]
    out = tmp_path / "run"
    run = evaluate("toy", Squeamish(["s001/2"]), out=out, judge=Meter(), cards=cards)
    (image,) = [edit.image for edit in run.edits() if (edit.session, edit.turn) == ("s001", 1)]
    lost = run._dir.blobs.path(image or "")
    lost.unlink()
    same = Squeamish(["s001/2"])
    evaluate("toy", same, out=out, judge=Meter(), cards=cards)
    assert same.asked == ["s001/1"]
    lost.unlink()
    other = Squeamish()
    other.options = {"salt": 5}
    run = evaluate("toy", other, out=out, judge=Meter(), cards=cards)
    assert other.asked == ["s001/1", "s001/2", "s001/3"]
    assert run.refusals() == []


class CardSqueamish(Squeamish):
    """The same from a card, for other processes; dies over the edit that the environment names."""

    def __init__(self, card: EditorCard) -> None:
        super().__init__(card.options["refuse"])
        self.options = {"die": [os.environ.get("SQUEAMISH_DIES", "")]}


def test_a_worker_that_dies_takes_no_refusal_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cards = toy_cards(tmp_path / "cards", editor={"refuse": ["s001/2", "s004/1"]})
    card = cards / "baselines/painter/editor.yaml"
    card.write_text(card.read_text().replace("tests.toy:Painter", f"{__name__}:CardSqueamish"))
    run = evaluate("toy", "painter", out=tmp_path / "run", judge=Meter(), cards=[cards], workers=2)
    refused = [("s001", 0, 2), ("s004", 0, 1)]
    assert [found[:3] for found in run.refusals()] == refused
    for edit in run.edits():  # s001 is back at its refusal when s000, of the same chunk, kills the worker
        if (edit.session, edit.turn) in {("s000", 2), ("s001", 1)}:
            run._dir.blobs.path(edit.image or "").unlink()
    monkeypatch.setenv("SQUEAMISH_DIES", "s000/2")
    run = evaluate("toy", "painter", out=run.path, judge=Meter(), cards=[cards], workers=2)
    assert [found[:3] for found in run.failures()] == [("s000", 0, 2)]
    assert [found[:3] for found in run.refusals()] == refused


def test_judging_beside_editing_changes_nothing(tmp_path: Path) -> None:
    cards = [toy_cards(tmp_path / "cards")]

    def run(name: str, concurrent: bool) -> tuple[bytes, bytes]:
        meter = Meter()
        meter.concurrent = concurrent  # pyright: ignore[reportAttributeAccessIssue]
        editor = Squeamish(["s001/2", "s003/1"], ["s002/3"], USAGE)
        return derived(evaluate("toy", editor, out=tmp_path / name, judge=meter, cards=cards))

    assert run("beside", True) == run("after", False)


def test_the_plan_counts_refusals_as_settled(tmp_path: Path) -> None:
    cards = [toy_cards(tmp_path / "cards")]
    out = tmp_path / "run"
    evaluate("toy", Squeamish(["s001/2"], ["s002/3"]), out=out, judge=Meter(), cards=cards)
    plan = make_plan(make_job("toy", Squeamish(), Meter(), Options(cards=cards), out))
    assert (plan.edits, plan.edits_done, plan.edits_failed) == (17, 16, 1)
    assert plan.verdicts - plan.verdicts_done == 3, "those of the failed edit"


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (Edited(None), "not exactly one of image, refused and failed"),
        (Edited(Image.new("RGB", (8, 8)), refused="no"), "not exactly one of image, refused and failed"),
        (Edited(None, refused="no", failed="no"), "not exactly one of image, refused and failed"),
        (Edited(Image.new("RGB", (9, 8))), "an image of 9 x 8 pixels for an input of 8 x 8"),
        (Edited(Image.new("RGB", (8, 8)), usage={"cost_usd": float("nan")}), "a usage that is no JSON"),
        (Edited(Image.new("RGB", (8, 8)), usage={"what": object()}), "a usage that is no JSON"),
    ],
)
def test_results_that_contradict_themselves_are_failures(tmp_path: Path, result: Edited, said: str) -> None:
    class Odd(Squeamish):
        def _answer(self, request: EditRequest, image: Image.Image) -> Any:
            return result if request.session_id == "s001" else image

    run = evaluate("toy", Odd(), out=tmp_path / "run", judge=Meter(), cards=[toy_cards(tmp_path / "cards")])
    (failure,) = run.failures()
    assert failure[:3] == ("s001", 0, 1)
    assert said in failure.reason
    assert run.refusals() == []


def test_journals_without_the_new_fields_are_read(tmp_path: Path) -> None:
    cards = [toy_cards(tmp_path / "cards")]
    run = evaluate("toy", Painter(), out=tmp_path / "run", judge=Meter(), cards=cards)
    lines = (run.path / "edits/main.jsonl").read_text().splitlines()
    assert {tuple(json.loads(line)) for line in lines} == {
        ("key", "session", "repeat", "turn", "status", "image", "seed", "reason")
    }, "an editor that reports nothing writes what it always wrote"
    assert run.usage() == {}


def photo_cards(folder: Path, url: str) -> Path:
    cards = toy_cards(folder)
    for path in folder.glob("*/*/*.yaml"):
        path.write_text(path.read_text().replace("domain: mini", "domain: photo"))
    remote = folder / "baselines/remote/editor.yaml"
    remote.parent.mkdir()
    remote.write_text(
        "{id: remote, description: x, domain: photo, batch: 4, "
        "editor: openai-images, options: {model: m, "
        f"base_url: '{url}/v1', concurrency: 4, prices: {{image: 0.04}}, "
        "patience: {attempts: 2, first_wait_s: 0.01}}}"
    )
    return cards


def test_a_whole_run_over_http_finishes_reports_its_refusals_and_asks_only_what_is_missing(tmp_path: Path) -> None:
    mended = threading.Event()

    def behave(call: Call) -> Reply:
        prompt = call.field("prompt")
        if prompt == "paint 1 in turn 2":
            return Reply({"error": {"code": "moderation_blocked", "message": "too red"}}, status=400)
        if prompt == "paint 3 in turn 3" and not mended.is_set():
            return Reply(status=503)
        return Reply({"data": [{"b64_json": b64(call.image.convert("RGB"))}]})

    with serving(behave) as server:
        cards = photo_cards(tmp_path / "cards", server.url)
        words = ["run", "-m", "remote", "-t", "toy", "-o", str(tmp_path / "run"), "--cards", str(cards)]
        first = CliRunner().invoke(build_app(), words)
        assert first.exit_code == 3, first.output
        for said in (
            "Edits refused by the model: 1", "s001 turn 2: moderation_blocked: too red",
            "Edits that failed: 1", "s003 turn 3: HTTP 503 (2 attempts)",
            "the model refused 1 edit (first: s001 turn 2", "0.56 USD",
        ):  # fmt: skip
            assert said in first.output, said
        calls = len(server.calls)
        assert calls == 16 + 1, "17 edits, one never reached, one asked twice"
        mended.set()
        second = CliRunner().invoke(build_app(), words)
        assert second.exit_code == 0, second.output
        assert len(server.calls) == calls + 1
        assert "--retry-refused asks again" in second.output
    run = open_run(tmp_path / "run")
    assert run.summary()["edits"] == {"ok": 15, "failed": 0, "refused": 1, "unreached": 1}
    assert run.usage()["cost_usd"] == pytest.approx(15 * 0.04)
    page = (tmp_path / "run/report/index.html").read_text()
    assert "Edits refused by the model" in page
    assert "Edits that failed" not in page
    assert "0.60 USD" in page


def test_identity_edits_photographs_as_well(tmp_path: Path) -> None:
    cards = photo_cards(tmp_path / "cards", "http://localhost")
    run = evaluate("toy", "identity", out=tmp_path / "run", cards=[cards])
    assert run.summary()["edits"]["ok"] == 17
