"""Calls a judge. Whatever it does against its contract becomes a status with a reason, for the guilty item only."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

from micebench.errors import EndpointError, described
from micebench.judges.base import Judge, StreamingJudge
from micebench.verdicts import Question, Status, Verdict


class Unit(NamedTuple):
    """One verdict to be made: about the edit with this key, whose output has this sha256."""

    row: int
    turn: int
    metric: str
    edit: str
    image: str


Asked = tuple[Unit, Question]


def answers(judge: Judge, asked: Sequence[Asked]) -> list[Verdict]:
    """One verdict per question: what the annotation forbids is not asked, what fails is a status."""
    return _completed(asked, _ask(judge, _allowed(asked)))


def streamed(judge: StreamingJudge, rows: Iterator[list[Asked]]) -> Iterator[tuple[list[Asked], list[Verdict]]]:
    """(what was asked about a row, its verdicts), as they come. If the stream breaks, rows are asked about singly.

    Raises EndpointError: nothing that the judge needs answers any more.
    """
    given: dict[int, list[Asked]] = {}
    broken: list[Exception] = []  # what goes wrong on our side of the stream is not the judge's doing

    def feed() -> Iterator[list[Question]]:
        try:
            for number, asked in enumerate(rows):
                given[number] = asked
                yield _allowed(asked)
        except Exception as error:
            broken.append(error)
            raise

    try:
        for number, verdicts in judge.stream(feed()):
            asked = given.pop(number)
            fault = _broken_contract(verdicts, len(_allowed(asked)))
            if fault is not None:
                given[number] = asked
                raise TypeError(fault)
            yield asked, _completed(asked, verdicts)
    except EndpointError:
        raise
    except Exception:  # noqa: BLE001 (a judge is foreign code)
        if broken:
            raise broken[0] from None
    for asked in given.values():
        yield asked, answers(judge, asked)
    for asked in rows:
        yield asked, answers(judge, asked)


def _completed(asked: Sequence[Asked], verdicts: Sequence[Verdict]) -> list[Verdict]:
    given = iter(verdicts)
    faults = [_fault(question) for _, question in asked]
    return [next(given) if fault is None else Verdict.missing(Status.INVALID_ANNOTATION, fault) for fault in faults]


def _allowed(asked: Sequence[Asked]) -> list[Question]:
    return [question for _, question in asked if _fault(question) is None]


def _fault(question: Question) -> str | None:
    return question.current.invalid.get(question.metric)


def _ask(judge: Judge, questions: Sequence[Question]) -> list[Verdict]:
    """Ask all at once; if that breaks the contract, one by one, so that only the guilty item pays."""
    if not questions:
        return []
    try:
        verdicts: list[object] = list(judge.judge(questions))
    except EndpointError:
        raise  # it would answer no other question either
    except Exception as error:  # noqa: BLE001 (a judge is foreign code; its failure is a status, never a number)
        fault = f"the judge raised {described(error)}"
    else:
        fault = _broken_contract(verdicts, len(questions))
        if fault is None:
            return cast(list[Verdict], verdicts)
    if len(questions) == 1:
        return [Verdict.missing(Status.ERROR, fault[:500])]
    return [verdict for question in questions for verdict in _ask(judge, [question])]


def _broken_contract(verdicts: Sequence[object], questions: int) -> str | None:
    if len(verdicts) != questions:
        return f"the judge gave {len(verdicts)} verdicts for {questions} questions"
    wrong = [type(answer).__name__ for answer in verdicts if not isinstance(answer, Verdict)]
    return f"the judge gave an object of type {wrong[0]!r} instead of a verdict" if wrong else None
