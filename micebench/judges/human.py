"""What people are asked when they label a run: the judges called ``human:<name>``.

Nobody calls them, and no card stands for them: their verdicts are given on the page of ``micebench review``.
"""

import re
from dataclasses import dataclass

from micebench.errors import RunError
from micebench.store.keys import content_key
from micebench.verdicts import METRICS, Status, Verdict

PREFIX = "human:"
EVERYONE = "human:*"
"""All reviewers of a run together."""
VERSION = 1
"""Raised with every change of a question that changes what an answer means: labels of other versions are not read."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")


def reviewer_name(text: str) -> str:
    """The name a reviewer's labels are kept under: lower case, and fit for a file.

    Raises RunError (with the remedy) for a name of other characters, or none.
    """
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise RunError(f"reviewer {text[:60]!r}: give a name of at most 40 letters a-z, digits and . _ -, e.g. anna")
    return name


def identity(reviewer: str) -> str:
    """Identity of one person as a judge; part of the key of each of their verdicts, as a card's hash is."""
    return content_key(("human", reviewer, VERSION))


@dataclass(frozen=True, slots=True)
class Answer:
    """One thing a reviewer can say: the key that says it, its word, and the verdict it makes."""

    key: str
    word: str
    status: Status
    value: float | None = None

    def verdict(self, note: str = "") -> Verdict:
        return Verdict(self.status, self.value, note)


YES_NO = (Answer("y", "Yes", Status.OK, 1.0), Answer("n", "No", Status.OK, 0.0))
GRADES = (
    Answer("1", "Not at all", Status.OK, 0.0),
    Answer("2", "Barely", Status.OK, 0.25),
    Answer("3", "Partly", Status.OK, 0.5),
    Answer("4", "Mostly", Status.OK, 0.75),
    Answer("5", "Fully", Status.OK, 1.0),
)
OPEN = (
    Answer("u", "Cannot tell", Status.REFUSED),
    Answer("i", "Invalid", Status.INVALID_ANNOTATION),
)
"""Answers without a value: the reviewer declines; the instruction or its annotation makes no sense here."""
ANSWERS = {answer.key: answer for answer in (*YES_NO, *GRADES, *OPEN)}


@dataclass(frozen=True, slots=True)
class Asked:
    """A metric in words.

    Attributes:
        question, hint: templates; ``{turn}`` is the judged turn.
        graded: answered by `GRADES`, else by `YES_NO`.
        compare: what is to be compared with the judged image: the image it was made from, the source image, or
            every image up to it.
    """

    question: str
    hint: str
    graded: bool
    compare: str

    @property
    def answers(self) -> tuple[Answer, ...]:
        return (*(GRADES if self.graded else YES_NO), *OPEN)


QUESTIONS: dict[str, Asked] = {
    "IF": Asked(
        "Was the instruction of turn {turn} followed?",
        "Compare the image before with the image after. Only what this instruction asks for counts: not beauty, not "
        "what else has changed, not a standing rule.",
        graded=False,
        compare="before",
    ),
    "GA": Asked(
        "Does everything up to turn {turn} comply with the whole dialogue?",
        "Go through the turns in order. Yes, if each edit was made on the object that is meant and, where there is a "
        "standing rule, each edited object shows it.",
        graded=False,
        compare="all",
    ),
    "CC.object": Asked(
        "How well are the objects kept that no instruction has touched?",
        "Compare with the source image: their shape, colour, texture and place.",
        graded=True,
        compare="source",
    ),
    "CC.background": Asked(
        "How well is the background kept?",
        "Compare with the source image, around the objects.",
        graded=True,
        compare="source",
    ),
    "destroyed": Asked(
        "Is the image of turn {turn} destroyed?",
        "Yes, if it no longer shows the scene: noise, a blank, a smear in which nothing can be recognised.",
        graded=False,
        compare="source",
    ),
    "quality": Asked(
        "Is the image of turn {turn} as good as the source image?",
        "Sharpness, noise, colour casts, artefacts; not what it shows.",
        graded=True,
        compare="source",
    ),
}
assert set(QUESTIONS) == set(METRICS)
