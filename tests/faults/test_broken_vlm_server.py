"""Whatever a VLM server does, the verdict has the right status, and none of it is a number."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from micebench.engine.evaluate import evaluate, judge
from micebench.errors import CardError
from micebench.judges.protocols.protocol_judge import PhotoJudge
from micebench.verdicts import Status, Verdict
from tests.judges.fake_vlm_server import Act, Vlm, completes, complies, cuts, dribbles, hangs, said, sends
from tests.judges.photo_cards import QUICK, judge_card, judge_folder, questions
from tests.toy import Painter, toy_cards

GOOD = "<turn_1>yes</turn_1> fine\n<final>yes</final>"
FAULTS: dict[str, tuple[Act, Status, str]] = {
    "429 for ever": (sends(429, b"slow down", {"Retry-After": "0"}), Status.ERROR, "HTTP 429: slow down"),
    "429 for longer than we wait": (
        sends(429, b"busy", {"Retry-After": "3600"}),
        Status.ERROR,
        "HTTP 429: busy (1 attempt)",
    ),
    "500": (sends(500, b"boom"), Status.ERROR, "HTTP 500: boom (3 attempts)"),
    "400": (sends(400, b'{"error": {"message": "too long"}}'), Status.ERROR, "HTTP 400"),
    "hang": (hangs(2.0), Status.ERROR, "no answer within 0.5 s"),
    "dribble": (dribbles(2.0), Status.ERROR, "no answer within 0.5 s"),
    "cut connection": (cuts, Status.ERROR, "the connection was cut"),
    "cut answer": (sends(200, b'{"choices": [', length=999), Status.ERROR, "the connection was cut"),
    "truncated JSON": (sends(200, json.dumps(said(GOOD)).encode()[:-20]), Status.ERROR, "not JSON"),
    "a page of a proxy": (sends(200, b"<html>yes</html>"), Status.ERROR, "not JSON"),
    "other JSON": (sends(200, b'{"answer": 0.5}'), Status.ERROR, "no chat completion"),
    "a number": (sends(200, b"1"), Status.ERROR, "no chat completion"),
    "no choices": (sends(200, b'{"choices": []}'), Status.ERROR, "0 of 1 votes"),
    "empty": (completes(""), Status.UNPARSED, "an empty reply"),
    "blank": (completes(" \n "), Status.UNPARSED, "an empty reply"),
    "prose": (completes("Yes, everything the user wanted is there."), Status.UNPARSED, "no tags"),
    "a bare number": (completes("1.0"), Status.UNPARSED, "no tags"),
    "refusal": (completes("", refusal="I cannot judge people."), Status.REFUSED, "I cannot judge people."),
    "filtered": (completes(GOOD, end="content_filter"), Status.REFUSED, "content filter"),
    "filtered input": (
        sends(400, b'{"error": {"code": "content_filter", "message": "filtered"}}'),
        Status.REFUSED,
        "HTTP 400",
    ),
    "truncated reply": (completes(GOOD, end="length"), Status.UNPARSED, "cut off"),
    "contradictory tags": (
        completes("<turn_1>no</turn_1> gone\n<final>yes</final>"),
        Status.UNPARSED,
        "contradicts",
    ),
    "two final tags": (completes(GOOD + "\n<final>no</final>"), Status.UNPARSED, "final tag"),
    "broken tag": (completes("<turn_1>yes<turn_1> fine\n<final>yes</final>"), Status.UNPARSED, "well formed"),
    "endless reasoning": (completes("<think> let me see " + GOOD), Status.UNPARSED, "no end"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_status(tmp_path: Path, fault: str) -> None:
    act, status, reason = FAULTS[fault]
    with Vlm(lambda *_: act).running() as server:
        slow = {"timeout_s": 0.5} if fault in ("hang", "dribble") else {}
        judge_ = PhotoJudge(judge_card(tmp_path, server.url, vlm={"patience": QUICK | slow}))
        start = time.monotonic()
        (verdict,) = judge_.judge(questions("GA")[:1])
        assert time.monotonic() - start < 30.0
    assert (verdict.status, verdict.value) == (status, None)
    assert reason in verdict.reason
    assert "\n" not in verdict.reason
    retried = status == Status.ERROR and not fault.startswith(("400", "other", "a number", "no choices"))
    expected = 1 if not retried or "longer" in fault else 3
    assert len(server.bodies) == expected


def test_a_passing_fault_costs_time_only(tmp_path: Path) -> None:
    """Each call is answered by a fault first, then properly; all are made again, and all have their value."""
    faults: list[Act] = [sends(503, b"", {"Retry-After": "0"}), cuts, hangs(4.0), sends(200, b"{"), completes(GOOD)]
    counts: dict[str, int] = {}

    def decide(_: int, body: dict[str, Any]) -> Act:
        prompt = json.dumps(body)
        counts[prompt] = counts.get(prompt, 0) + 1
        return faults[counts[prompt] - 1]

    with Vlm(decide).running() as server:
        judge_ = PhotoJudge(
            judge_card(tmp_path, server.url, vlm={"patience": QUICK | {"attempts": 5, "timeout_s": 3.0}})
        )
        verdicts = judge_.judge([question for seed in range(6) for question in questions("GA", seed=seed)[:1]])
    assert [verdict.value for verdict in verdicts] == [1.0] * 6
    assert set(counts.values()) == {5}


@pytest.mark.parametrize(
    ("mode", "reply"),
    [
        ("score", "11"),
        ("score", "-1"),
        ("score", "nan"),
        ("score", "7 out of 9"),
        ("score", "Score: 3\nScore: 4"),
        ("yes_no", "Yes, and no."),
        ("yes_no", "Verdict: no\nVerdict: yes"),
        ("yes_no", "1"),
        ("reasoned", "yes"),
    ],
)
def test_an_answer_outside_the_form_is_unparsed(tmp_path: Path, mode: str, reply: str) -> None:
    verdict = asked(tmp_path, mode, lambda *_: completes(reply))
    assert (verdict.status, verdict.value) == (Status.UNPARSED, None)
    assert verdict.raw == (reply,)


def test_one_unreadable_vote_spoils_the_mean(tmp_path: Path) -> None:
    verdict = asked(tmp_path, "yes_no", lambda *_: completes("yes", "yes", "maybe"), votes=3)
    assert (verdict.status, verdict.raw) == (Status.UNPARSED, ("yes", "yes", "maybe"))
    verdict = asked(tmp_path / "short", "yes_no", lambda *_: completes("yes", "yes"), votes=3)
    assert (verdict.status, verdict.reason) == (Status.ERROR, "the server gave 2 of 3 votes")
    verdict = asked(tmp_path / "good", "yes_no", lambda *_: completes("yes", "no", "yes"), votes=3)
    assert verdict.value == pytest.approx(2 / 3)


def asked(folder: Path, mode: str, decide: Callable[[int, dict[str, Any]], Act], votes: int = 1) -> Verdict:
    """The verdict of a check that asks one question and takes the answer for its value."""
    from micebench.judges.models.base import Components
    from micebench.judges.models.vlm_openai import OpenAIOptions, OpenAIVlm
    from micebench.judges.runtime.scheduler import Check, answer
    from micebench.judges.vlm.prompts import Prompts
    from micebench.judges.vlm.questions import Asker, AskingRules

    with Vlm(decide).running() as server:
        card = judge_card(folder, server.url, vlm={"temperature": 0.6})
        asker = Asker(Prompts(card), AskingRules(mode=mode, votes=votes))  # type: ignore[arg-type]
        vlm = OpenAIVlm(OpenAIOptions.model_validate(card.options["vlm"]), where="test")

        def check() -> Check:
            value = yield from asker.yes("background", questions("IF")[0].images, background="beach")
            return [Verdict.ok(value)]

        return answer([(check(), 1)], Components(vlm=vlm))[0][0]


def test_a_run_with_a_failing_server_finishes_and_can_be_completed(tmp_path: Path) -> None:
    """Every third call is broken in another way; then the server is well again, and only what is missing is asked."""
    slow = ("hang", "dribble", "429 for longer than we wait")  # the last would hold everybody, as it should
    faults = [act for name, (act, _, _) in FAULTS.items() if name not in slow]
    ill = [True]

    def decide(number: int, body: dict[str, Any]) -> Act:
        if ill[0] and number % 3 == 0:
            return faults[number // 3 % len(faults)]
        return complies(body)

    cards = toy_cards(tmp_path / "cards", task={"track": "cu"})
    with Vlm(decide).running() as server:
        vlm = {"patience": QUICK | {"attempts": 1}}
        judge_folder(cards, server.url, domain="mini", awareness={"stop_at_failure": False}, vlm=vlm)
        run = evaluate("toy", Painter(), out=tmp_path / "run", judge="asking", cards=[cards])
        verdicts = {(v.session, v.turn): v for v in run.verdicts()}
        assert len(verdicts) == 6 * 3 - 1
        missing = {key for key, v in verdicts.items() if v.status != Status.OK}
        assert missing
        assert missing != set(verdicts)
        assert all((v.value is None) == (v.status != Status.OK) for v in verdicts.values())
        ill[0] = False
        before = len(server.bodies)
        completed = judge(run.path, retry_failed=True, cards=[cards])
        assert len(server.bodies) - before == len(missing)
    assert {v.status for v in completed.verdicts()} == {Status.OK}
    assert completed.summary()["coverage"]["GA"] == {"ok": 17} | {
        name: 0 for name in completed.summary()["coverage"]["GA"] if name != "ok"
    }


@pytest.mark.parametrize(
    ("models", "line"),
    [
        (sends(401, b"{}"), "put a valid API key into the variable MICEBENCH_VLM_KEY"),
        (sends(200, b'{"data": [{"id": "other"}]}'), "does not serve 'tiny'; it serves other"),
        (sends(500, b""), "does not answer"),
    ],
)
def test_a_server_that_cannot_serve_stops_the_judging_at_once(tmp_path: Path, models: Act, line: str) -> None:
    with Vlm(lambda *_: completes(GOOD), models).running() as server:
        server.probed = sends(404, b'{"error": {"code": "model_not_found", "message": "unknown"}}')
        card = judge_card(tmp_path, server.url)
        with pytest.raises(CardError, match="judge 'asking'") as error:
            PhotoJudge(card)
    assert line in str(error.value)
    assert "\n" not in str(error.value)
