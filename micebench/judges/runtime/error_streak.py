"""When a vision-language model gives the same error again and again, and has answered nothing: stop asking."""

import re

from micebench.errors import HopelessEndpoint
from micebench.judges.models.base import Failure
from micebench.verdicts import Status

LEAST_QUESTIONS, LEAST_SESSIONS = 10, 3
"""A streak of fewer may be due to a single session: an image that is too large for the server, say."""
_CHANGING = re.compile(r"\b(?=\w*\d)[\w-]+")


class Streak:
    """The errors since the judging began, until anything else is answered.

    Refusals and unreadable replies are answers: they depend on the question. So does success, after which no error
    stops a judging any more.
    """

    def __init__(self) -> None:
        self._over = False
        self._said: str = ""
        self._questions = 0
        self._sessions: set[int] = set()

    @property
    def open(self) -> bool:
        """Whether there have been errors and nothing else: nobody knows yet whether they are worth keeping."""
        return self._questions > 0 and not self._over

    def take(self, answer: object, sessions: set[int]) -> None:
        """Count one answer to a question of these sessions. Raises HopelessEndpoint if the streak is long enough."""
        if self._over or not (isinstance(answer, Failure) and answer.status == Status.ERROR):
            self._over = True
            return
        said: str = _CHANGING.sub("#", answer.reason)  # request ids, times and sizes differ from call to call
        if said != self._said:
            self._said, self._questions, self._sessions = said, 0, set()
        self._questions += 1
        self._sessions |= sessions
        if self._questions >= LEAST_QUESTIONS and len(self._sessions) >= LEAST_SESSIONS:
            raise HopelessEndpoint(
                f"the judge's model gave the same error to the first {self._questions} questions, and answered none: "
                f"{answer.reason}; correct the judge's card or its server; the same command then goes on"
            )
