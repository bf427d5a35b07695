"""A check that yields a tuple of requests waits once for all of them."""

import pytest

from micebench.judges.models.base import Ask, Components, Embed, Failure, Reply
from micebench.judges.runtime.scheduler import Unanswered, answer
from micebench.verdicts import Status, Verdict
from tests.judges.protocols.consistency.bench import Eyes, plain


def test_independent_requests_are_one_batch_and_equal_ones_one_answer() -> None:
    eyes, same = Eyes(), plain(9)
    seen = []

    def check():
        seen.append((yield Embed(plain(1)), Embed(same), Embed(plain(2)), Embed(same)))
        seen.append((yield ()))
        return [Verdict.ok(1.0)]

    ((verdict,),) = answer([(check(), 1)], Components(features=eyes))
    assert verdict.value == 1.0
    assert eyes.batches == [3]
    first, second, third, fourth = seen[0]
    assert second is fourth
    assert first.cls[0] < second.cls[0]
    assert third.cls[0] < second.cls[0]
    assert seen[1] == ()


class Sphinx:
    """Answers what has no `why` in it."""

    concurrency = 2

    def ask(self, request: Ask) -> Reply | Failure:
        if "why" in request.prompt:
            return Failure(Status.REFUSED, "it will not say", raw=("no",))
        return Reply((f"re: {request.prompt}",), usage={"tokens": 1})


def test_the_first_failure_is_raised_when_all_are_answered() -> None:
    def check():
        yield Ask((), "who"), Ask((), "why"), Ask((), "why not"), Embed(plain(1))
        return [Verdict.ok(1.0)]

    eyes = Eyes()
    ((verdict,),) = answer([(check(), 1)], Components(features=eyes, vlm=Sphinx()))
    assert (verdict.status, verdict.reason) == (Status.REFUSED, "it will not say")
    assert set(verdict.raw) == {"re: who", "no"}
    assert eyes.batches == [1]


def test_a_check_may_go_on_after_a_failure() -> None:
    def check():
        with pytest.raises(Unanswered):
            yield Ask((), "why"), Ask((), "who")
        (reply,) = yield (Ask((), "what"),)
        return [Verdict.ok(0.5, reply.texts[0])]

    ((verdict,),) = answer([(check(), 1)], Components(vlm=Sphinx()))
    assert (verdict.value, verdict.reason) == (0.5, "re: what")
    assert "re: what" in verdict.raw
