"""The whole contract of a judge; evaluation and RL rewards call the same objects."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from micebench.verdicts import Question, Verdict


class Judge(Protocol):
    """Answers questions about edits.

    `judge` returns one verdict per question, in order, and never raises for one item: a failed call is a
    verdict with a status, never a number. Constructed from its card.
    """

    def judge(self, questions: Sequence[Question]) -> list[Verdict]: ...


@runtime_checkable
class StreamingJudge(Protocol):
    """A judge that need not wait for the end of a batch: for slow servers, which would idle there.

    `stream` takes lists of questions (one session's each) as it has room for them, and yields (position of the
    list, its verdicts in order), each as soon as it is done. Contract of the verdicts as in `Judge.judge`.
    """

    def judge(self, questions: Sequence[Question]) -> list[Verdict]: ...
    def stream(self, sessions: Iterable[Sequence[Question]]) -> Iterator[tuple[int, list[Verdict]]]: ...
