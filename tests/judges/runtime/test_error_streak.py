"""A model that gives one error to all of the first questions is asked no more; any answer ends the suspicion."""

from collections.abc import Callable

import pytest

from micebench.errors import HopelessEndpoint
from micebench.judges.models.base import Ask, Components, Failure, Reply
from micebench.judges.runtime.error_streak import LEAST_QUESTIONS, LEAST_SESSIONS
from micebench.judges.runtime.scheduler import Check, answer_each
from micebench.verdicts import Status, Verdict

YES = Reply(("yes",), None, None, 0.0)


class Model:
    """Answers call number n (0, 1, ...) by `decide(n)`."""

    concurrency = 1

    def __init__(self, decide: Callable[[int], Reply | Failure]) -> None:
        self.decide, self.calls = decide, 0

    def ask(self, request: Ask) -> Reply | Failure:
        self.calls += 1
        return self.decide(self.calls - 1)


def bad(number: int, status: Status = Status.ERROR) -> Failure:
    return Failure(status, f'HTTP 400: {{"error": "no images, please", "request_id": "req-{number}f3"}}')


def judged(model: Model, sessions: int = 20, each: int = 4) -> list[int]:
    """Sessions whose verdicts are yielded, of `each` questions that differ."""

    def check(session: int, number: int) -> Check:
        yield Ask((), f"{session} {number}")
        return [Verdict.ok(1.0)]

    groups = ([(check(session, number), 1) for number in range(each)] for session in range(sessions))
    return [session for session, _ in answer_each(groups, Components(vlm=model), ahead=4)]  # type: ignore[arg-type]


def test_equal_errors_stop_the_judging_and_are_not_kept() -> None:
    model = Model(bad)
    with pytest.raises(HopelessEndpoint, match=r"first \d+ questions.*no images, please") as error:
        judged(model)
    assert LEAST_QUESTIONS <= model.calls <= 20, "what was under way, of 80"
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 3


@pytest.mark.parametrize(
    "other",
    [YES, bad(0, Status.REFUSED), bad(0, Status.UNPARSED)],
    ids=["a reply", "a refusal", "an unreadable reply"],
)
def test_an_answer_among_the_first_stops_nothing(other: Reply | Failure) -> None:
    model = Model(lambda number: other if number == LEAST_QUESTIONS - 2 else bad(number))
    assert sorted(judged(model)) == list(range(20))
    assert model.calls == 80


def test_errors_that_differ_stop_nothing() -> None:
    model = Model(lambda number: Failure(Status.ERROR, "timeout" if number % 2 else "no connection"))
    assert sorted(judged(model)) == list(range(20))


def test_errors_of_fewer_sessions_stop_nothing() -> None:
    """An image that is too large fails all questions of its session; the next session may be small."""
    each = LEAST_QUESTIONS
    model = Model(lambda number: bad(number) if number < each * (LEAST_SESSIONS - 1) else YES)
    assert sorted(judged(model, each=each)) == list(range(20))


def test_few_questions_are_all_asked_and_kept() -> None:
    model = Model(bad)
    assert judged(model, sessions=2, each=3) == [0, 1]
    assert model.calls == 6
