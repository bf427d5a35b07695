"""Context `composed` on rendered scenes: who makes every image from the source, and rightly, is not blamed."""

from dataclasses import replace
from pathlib import Path

import pytest

from micebench import evaluate
from micebench.cards import JudgeCard, load_card
from micebench.execution.images import StoredImage
from micebench.judges.exact.judge import ExactJudge
from micebench.verdicts import Question


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> list[Question]:
    """IF and GA of the states that 12 sessions should pass through, as if each had been made from the source."""
    folder: Path = tmp_path_factory.mktemp("states")
    run = evaluate("mice-mini", "oracle", out=folder / "run", limit=12)
    made = {(edit.session, edit.turn): edit.image for edit in run.edits()}
    questions: list[Question] = []
    for session in run.sessions():
        digests = [made[session.id, turn.number] or "" for turn in session.turns]
        images = [StoredImage("source " + session.id, session.image.read())]
        images += [StoredImage(digest, run.blob(digest)) for digest in digests]
        for turn in range(1, len(images)):
            for metric in ("IF", "GA"):
                questions.append(Question(metric, session, turn, images[: turn + 1], composed=True))
    return questions


def test_right_images_are_right(asked: list[Question]) -> None:
    verdicts = ExactJudge(load_card(JudgeCard, "exact")).judge(asked)
    assert {verdict.value for verdict in verdicts} == {1.0}


def test_the_source_does_not_show_what_later_instructions_name(asked: list[Question]) -> None:
    """Why it is not compared with: right images would fail."""
    last = [question for question in asked if question.turn == 3 and question.metric == "IF"]
    shown = [replace(question, images=[question.images[0]] * 3 + [question.images[3]]) for question in last]
    verdicts = ExactJudge(load_card(JudgeCard, "exact")).judge(shown)
    assert any("to begin with" in verdict.reason for verdict in verdicts)
