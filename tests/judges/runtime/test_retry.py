"""--retry-failed puts a question whose reply was unreadable with another seed, and not at temperature 0.

After an outage it is put as it was.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from micebench.engine.evaluate import evaluate, judge
from micebench.judges.models.base import Ask, Components, Embed, Failure, Reply
from micebench.judges.protocols.protocol_judge import PhotoJudge
from micebench.judges.runtime.retry import again
from micebench.judges.runtime.scheduler import Check, Unanswered, answer
from micebench.verdicts import Status, Verdict
from tests.judges.fake_vlm_server import Act, Vlm, completes, complies, sends
from tests.judges.photo_cards import Picture, judge_card, judge_folder, questions
from tests.toy import Painter, toy_cards


def wording(body: dict[str, Any]) -> str:
    return json.dumps(body["messages"])


def run_with(folder: Path, server: Vlm) -> Callable[[], Any]:
    """A run whose judge asks this server; returns what retries it."""
    cards = toy_cards(folder / "cards", task={"track": "cu"})
    rules = {"awareness": {"stop_at_failure": False}, "vlm": {"patience": {"attempts": 1}}}
    judge_folder(cards, server.url, domain="mini", **rules)
    run = evaluate("toy", Painter(), out=folder / "run", judge="asking", limit=2, cards=[cards])
    return lambda: judge(run.path, retry_failed=True, cards=[cards])


def test_an_unreadable_reply_is_asked_for_otherwise_until_it_is_readable(tmp_path: Path) -> None:
    """A greedy model mumbles whenever it is asked at temperature 0, and once more for luck."""
    seeds: dict[str, list[int]] = {}

    def decide(_: int, body: dict[str, Any]) -> Act:
        asked = seeds.setdefault(wording(body), [])
        asked.append(body["seed"])
        return complies(body) if body["temperature"] > 0 and len(asked) > 2 else completes("well, maybe")

    with Vlm(decide).running() as server:
        retry = run_with(tmp_path, server)
        first = server.bodies[:]
        assert {body["temperature"] for body in first} == {0.0}
        for attempt, status in ((1, Status.UNPARSED), (2, Status.OK)):
            before = len(server.bodies)
            verdicts = list(retry().verdicts())
            assert {verdict.status for verdict in verdicts} == {status}
            assert {verdict.attempt for verdict in verdicts} == {attempt}
            assert {body["temperature"] for body in server.bodies[before:]} == {0.3}
        assert sorted(map(wording, first)) == sorted(seeds), "the question itself stays the same"
        assert all(len(set(asked)) == len(asked) == 3 for asked in seeds.values())
        before = len(server.bodies)
        retry()
        assert len(server.bodies) == before, "nothing is left to ask"


def test_an_outage_is_no_answer_and_the_question_stays(tmp_path: Path) -> None:
    ill = [True]

    with Vlm(lambda _, body: sends(500, b"") if ill[0] else complies(body)).running() as server:
        retry = run_with(tmp_path, server)
        failed, ill[0] = len(server.bodies), False
        verdicts = list(retry().verdicts())
        first, second = server.bodies[:failed], server.bodies[failed:]
    assert {(verdict.status, verdict.attempt) for verdict in verdicts} == {("ok", 0)}
    by_words = {wording(body): (body["seed"], body["temperature"]) for body in first}
    assert {wording(body): (body["seed"], body["temperature"]) for body in second} == by_words


def test_an_attempt_survives_an_outage(tmp_path: Path) -> None:
    """Unreadable, then an outage: the next is still the second attempt."""
    stage = [0]
    acts: list[Callable[[dict[str, Any]], Act]] = [lambda _: completes("?"), lambda _: sends(500, b""), complies]
    with Vlm(lambda _, body: acts[stage[0]](body)).running() as server:
        retry = run_with(tmp_path, server)
        seeds = []
        for stage[0], expected in ((1, (Status.ERROR, 1)), (2, (Status.OK, 1))):
            before = len(server.bodies)
            assert {(verdict.status, verdict.attempt) for verdict in retry().verdicts()} == {expected}
            seeds.append({body["seed"] for body in server.bodies[before:]})
    assert seeds[0] == seeds[1]


@pytest.mark.parametrize(("temperature", "asked"), [(0.0, 0.5), (0.9, 0.9)])
def test_a_judge_draws_at_its_own_temperature_where_that_is_higher(
    tmp_path: Path, temperature: float, asked: float
) -> None:
    with Vlm(lambda _, body: complies(body)).running() as server:
        card = judge_card(tmp_path, server.url, vlm={"temperature": temperature, "retry_temperature": 0.5})
        PhotoJudge(card).judge([replace(questions("GA")[0], attempt=1)])
        assert [body["temperature"] for body in server.bodies] == [asked]


def test_only_questions_to_the_model_change_and_failures_reach_the_check() -> None:
    picture, seen = Picture(0), []

    def check() -> Check:
        features, reply = yield Embed(picture), Ask((picture,), "Red?", seed=2**30 - 1)
        try:
            yield Ask((picture,), "fails")
        except Unanswered as error:
            return [Verdict.missing(Status.UNPARSED, f"{features} {reply.texts[0]} {error.failure.reason}")]
        raise AssertionError

    class Model:
        concurrency = 1

        def ask(self, request: Ask) -> Reply | Failure:
            seen.append((request.seed, request.attempt))
            return Failure(Status.UNPARSED, "mumbled") if request.prompt == "fails" else Reply(("yes",))

        def embed(self, requests: list[Embed]) -> list[str]:
            return ["features"] * len(requests)

    components = Components(vlm=Model(), features=Model())  # type: ignore[arg-type]
    ((verdict,),) = answer([(again(check(), 2), 1)], components)
    assert verdict.reason == "features yes mumbled"
    assert seen == [(2_000_005, 2), (2_000_006, 2)]
