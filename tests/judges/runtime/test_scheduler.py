"""Many checks at once: nothing is computed twice or kept for ever, no server idles, a failure stays a failure."""

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from micebench.engine.evaluate import evaluate
from micebench.errors import DataError
from micebench.judges.models.base import Ask, Components, Detect, Embed, Failure, Reply
from micebench.judges.runtime.scheduler import Check, Unanswered, answer, answer_each
from micebench.utils.daemon_pool import Callers
from micebench.verdicts import Question, Status, Verdict
from tests.judges.photo_cards import Picture
from tests.toy import Meter, Painter, toy_cards


class Server:
    """A VLM that takes a while; counts calls and how many are under way at once."""

    def __init__(self, concurrency: int = 4, delay_s: float = 0.0) -> None:
        self.concurrency, self.delay_s = concurrency, delay_s
        self.calls, self.open, self.most = 0, 0, 0
        self._lock = threading.Lock()

    def ask(self, request: Ask) -> Reply | Failure:
        with self._lock:
            self.calls += 1
            self.open += 1
            self.most = max(self.most, self.open)
        time.sleep(self.delay_s)
        with self._lock:
            self.open -= 1
        if request.prompt == "refuse":
            return Failure(Status.REFUSED, "no", raw=("I will not",))
        if request.prompt == "break":
            raise ConnectionError("the line\nis dead")
        return Reply((request.prompt,), None, {"prompt_tokens": 3}, 0.5)


class Detector:
    def __init__(self) -> None:
        self.batches: list[int] = []

    def detect(self, requests: Sequence[Detect]) -> list[Any]:
        self.batches.append(len(requests))
        return [() for _ in requests]


def asks(*prompts: str) -> Check:
    for prompt in prompts:
        yield Ask((), prompt)
    return [Verdict.ok(1.0)]


def test_equal_requests_are_computed_once() -> None:
    server, detector = Server(), Detector()
    image = Picture(1)

    def check() -> Check:
        yield Detect(image, ("cat",))
        yield Ask((), "a")
        yield Detect(image, ("cat",))
        return [Verdict.ok(1.0)]

    verdicts = answer([(check(), 1) for _ in range(5)], Components(detector=detector, vlm=server))
    assert [said[0].value for said in verdicts] == [1.0] * 5
    assert (server.calls, detector.batches) == (1, [1])
    assert (verdicts[0][0].raw, verdicts[0][0].usage, verdicts[0][0].latency_s) == (("a",), {"prompt_tokens": 3}, 0.5)


def test_a_failure_is_a_status_for_its_own_check() -> None:
    def careful() -> Check:
        try:
            yield Ask((), "refuse")
        except Unanswered as error:
            return [Verdict.missing(error.failure.status, "caught"), Verdict.ok(0.5)]
        raise AssertionError

    def broken() -> Check:
        yield Ask((), "a")
        raise DataError("image x: not a readable\nimage")

    checks = [(asks("a"), 1), (asks("refuse"), 2), (asks("a", "break"), 1), (careful(), 2), (broken(), 1)]
    told = answer(checks, Components(vlm=Server()))
    assert [[verdict.status.value for verdict in said] for said in told] == [
        ["ok"],
        ["refused", "refused"],
        ["error"],
        ["refused", "ok"],
        ["error"],
    ]
    assert told[1][0].raw == ("I will not",)
    assert told[2][0].reason == "ConnectionError: the line is dead"
    assert told[4][0].reason == "DataError: image x: not a readable image"


def test_a_stream_takes_no_more_than_it_has_room_for_and_keeps_nothing() -> None:
    server = Server(concurrency=4, delay_s=0.002)
    taken: list[int] = []
    given: list[int] = []
    behind: list[int] = []

    def groups() -> Iterator[list[tuple[Check, int]]]:
        for number in range(40):
            taken.append(number)
            behind.append(len(taken) - len(given))
            yield [(asks(f"{number}", "common"), 1), (asks(f"{number}"), 1)]

    for number, verdicts in answer_each(groups(), Components(vlm=server), ahead=8):
        given.append(number)
        assert [said[0].value for said in verdicts] == [1.0, 1.0]
    assert sorted(given) == list(range(40))
    assert max(behind) <= 8
    assert server.most == 4
    assert 40 < server.calls <= 60  # "common" is known as long as anybody in the window has asked for it


def test_memory_of_a_finished_group_is_given_back() -> None:
    class Features:
        made = 0

        def embed(self, requests: Sequence[Embed]) -> list[Any]:
            Features.made += len(requests)
            return ["features" for _ in requests]

    def check() -> Check:
        yield Embed(Picture(1))
        return [Verdict.ok(1.0)]

    groups = ([(check(), 1)] for _ in range(3))
    assert len(list(answer_each(groups, Components(features=Features()), ahead=1))) == 3
    assert Features.made == 3


def test_a_slow_server_never_idles() -> None:
    """A call ends only when as many as the server takes are under way: without them the barrier would break."""

    class Full(Server):
        barrier = threading.Barrier(8)
        started = itertools.count()

        def ask(self, request: Ask) -> Reply | Failure:
            if next(self.started) < 240:  # of 300: at the very end fewer are left
                self.barrier.wait(timeout=30.0)
            return super().ask(request)

    server = Full(concurrency=8)
    groups = ([(asks(*(f"{number}/{step}" for step in range(1 + number % 5))), 1)] for number in range(100))
    told = [said[0].status for _, (said,) in answer_each(groups, Components(vlm=server), ahead=16)]
    assert told == [Status.OK] * 100
    assert server.calls == 300


def test_an_abandoned_stream_starts_no_more_calls() -> None:
    server = Server(concurrency=2, delay_s=0.02)
    stream = answer_each(
        ([(asks(f"{n}/{s}"), 1)] for n in range(50) for s in range(1)), Components(vlm=server), ahead=50
    )
    next(stream)
    stream.close()
    time.sleep(0.1)
    assert server.calls <= 8


def test_callers_collect_what_has_arrived() -> None:
    callers = Callers[int, int, int](lambda asked: asked * 2, 3)
    assert callers.collect(wait=True) == []
    for number in range(10):
        callers.submit(number, number)
    got: dict[int, int] = {}
    while len(got) < 10:
        got.update(callers.collect(wait=True))
    assert got == {number: 2 * number for number in range(10)}
    assert callers.collect(wait=True) == []
    callers.close()


class Streaming(Meter):
    """Answers sessions out of order; `fault` at the third."""

    identity = "the same"

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.fault = fault

    def stream(self, sessions: Iterator[Sequence[Question]]) -> Iterator[tuple[int, list[Verdict]]]:
        held: list[tuple[int, Sequence[Question]]] = []
        for number, questions in enumerate(sessions):
            if number == 2 and self.fault == "raise":
                raise RuntimeError("no more")
            if number == 2 and self.fault == "short":
                yield number, []
            held.append((number, questions))
            if len(held) == 2:
                yield from ((n, [self.answer(q) for q in asked]) for n, asked in reversed(held))
                held.clear()
        yield from ((n, [self.answer(q) for q in asked]) for n, asked in held)


@pytest.mark.parametrize("fault", ["", "raise", "short"])
def test_a_stream_gives_the_bytes_of_a_judge_that_does_not(tmp_path: Path, fault: str) -> None:
    def derived(judge: Meter, name: str) -> list[bytes]:
        cards = [toy_cards(tmp_path / "cards", task={"count": 9, "invalid": True})]
        run = evaluate("toy", Painter(), out=tmp_path / name, judge=judge, cards=cards)
        return [(run.path / file).read_bytes() for file in ("verdicts.parquet", "summary.json")]

    class Plain(Streaming):
        stream = None  # type: ignore[assignment]

    Plain.__module__, Plain.__qualname__ = Streaming.__module__, Streaming.__qualname__
    assert derived(Streaming(fault), "streamed") == derived(Plain(), "chunked")
