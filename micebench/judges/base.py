"""The whole contract of a judge; evaluation and RL rewards call the same objects."""

from collections.abc import Sequence
from typing import Protocol

from micebench.verdicts import Question, Verdict


class Judge(Protocol):
    """Answers questions about edits.

    `judge` returns one verdict per question, in order, and never raises for one item: a failed call is a
    verdict with a status, never a number. Constructed from its card.
    """

    def judge(self, questions: Sequence[Question]) -> list[Verdict]: ...
