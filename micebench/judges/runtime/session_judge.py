"""Judges that go through a session turn by turn: questions become walks, walks become checks, checks are answered."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence

from micebench.judges.models.base import Components
from micebench.judges.runtime.retry import again
from micebench.judges.runtime.scheduler import Check, answer_each
from micebench.verdicts import Question, Verdict

_LEAST_AHEAD = 16


class WalkingJudge(ABC):
    """A `StreamingJudge` whose subclass says which checks answer the questions of one walk."""

    def __init__(self, components: Components) -> None:
        self._components = components
        vlm = components.vlm
        self._ahead = max(_LEAST_AHEAD, 2 * vlm.concurrency) if vlm is not None else _LEAST_AHEAD

    @abstractmethod
    def checks(self, questions: Sequence[Question]) -> Iterator[tuple[Check, list[int]]]:
        """The checks of one walk, each with the positions of the questions it answers, in its order."""

    def judge(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict per question, in order."""
        found = list(walks(questions))
        verdicts: dict[int, Verdict] = {}
        for number, answered in self.stream([questions[at] for at in walk] for walk in found):
            verdicts.update(zip(found[number], answered, strict=True))
        return [verdicts[at] for at in range(len(questions))]

    def stream(self, sessions: Iterable[Sequence[Question]]) -> Iterator[tuple[int, list[Verdict]]]:
        """Verdicts of one walk through a session each (`StreamingJudge`): equal images, one after the other."""
        answered_by: dict[int, list[list[int]]] = {}

        def groups() -> Iterator[list[tuple[Check, int]]]:
            for number, questions in enumerate(sessions):
                checks = list(self.checks(questions))
                answered_by[number] = [positions for _, positions in checks]
                attempt = max((question.attempt for question in questions), default=0)
                yield [(again(check, attempt) if attempt else check, len(positions)) for check, positions in checks]

        for number, answered in answer_each(groups(), self._components, ahead=self._ahead):
            verdicts = {
                at: verdict
                for positions, said in zip(answered_by.pop(number), answered, strict=True)
                for at, verdict in zip(positions, said, strict=True)
            }
            yield number, [verdicts[at] for at in range(len(verdicts))]


def walks(questions: Sequence[Question]) -> Iterator[list[int]]:
    """Positions of the questions about one session and one sequence of outputs, for each such walk."""
    found: list[tuple[str, list[str], list[int]]] = []
    for at in sorted(range(len(questions)), key=lambda number: -questions[number].turn):
        question = questions[at]
        shown = [image.sha256 for image in question.images]
        for session, images, positions in found:
            if session == question.session.id and images[: len(shown)] == shown:
                positions.append(at)
                break
        else:
            found.append((question.session.id, shown, [at]))
    return (sorted(positions) for _, _, positions in found)
