"""Whatever a judge does against its contract becomes a status with a reason, for the guilty item only."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from micebench.engine.evaluate import evaluate
from micebench.engine.run_reader import Run
from micebench.verdicts import Question, Status, Verdict
from tests.toy import Meter, Painter, toy_cards


class Faulty(Meter):
    """Answers properly unless a question is about turn 2 of s001; then `fault` decides."""

    def __init__(self, fault: Callable[[list[Verdict]], object]) -> None:
        super().__init__()
        self.fault = fault

    def judge(self, questions: Sequence[Question]) -> list[Verdict]:
        verdicts = super().judge(questions)
        if any(question.session.id == "s001" and question.turn == 2 for question in questions):
            return self.fault(verdicts)
        return verdicts


def boom(verdicts: list[Verdict]) -> object:
    raise ConnectionError("the line\nis dead")


def run(tmp_path: Path, fault: Callable[[list[Verdict]], object]) -> Run:
    cards = [toy_cards(tmp_path / "cards")]
    return evaluate("toy", Painter(), out=tmp_path / "run", judge=Faulty(fault), cards=cards)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (boom, "the judge raised ConnectionError: the line is dead"),
        (lambda verdicts: verdicts[:-1], "the judge gave 0 verdicts for 1 questions"),
        (lambda verdicts: verdicts + verdicts, "the judge gave 2 verdicts for 1 questions"),
        (lambda verdicts: [0.5 for _ in verdicts], "an object of type 'float' instead of a verdict"),
        (lambda verdicts: [None for _ in verdicts], "an object of type 'NoneType' instead of a verdict"),
        (lambda verdicts: None, "the judge raised TypeError"),
        (lambda verdicts: [Verdict(Status.OK, float("nan"))], "the judge raised ValueError"),
        (lambda verdicts: [Verdict.ok(1.5)], "the judge raised ValueError"),
    ],
)
def test_a_broken_contract_is_an_error_for_the_guilty_items_only(
    tmp_path: Path, fault: Callable[[list[Verdict]], object], said: str
) -> None:
    finished = run(tmp_path, fault)
    verdicts = list(finished.verdicts())
    assert len(verdicts) == 17 * 3
    guilty = [verdict for verdict in verdicts if verdict.status != Status.OK]
    assert {(verdict.session, verdict.turn) for verdict in guilty} == {("s001", 2)}
    assert len(guilty) == 3
    for verdict in guilty:
        assert verdict.status == Status.ERROR
        assert verdict.value is None
        assert said in verdict.reason
        assert "\n" not in verdict.reason
    summary = finished.summary()
    assert summary["coverage"]["IF"]["error"] == 1
    assert summary["metrics"]["marginal_success"]["2"]["n"] == 5
    assert summary["metrics"]["marginal_success"]["2"]["of"] == 6


def test_a_broken_annotation_is_not_asked_about(tmp_path: Path) -> None:
    asked: list[tuple[str, int, str]] = []

    class Noting(Meter):
        def judge(self, questions: Sequence[Question]) -> list[Verdict]:
            asked.extend((question.session.id, question.turn, question.metric) for question in questions)
            return super().judge(questions)

    cards = [toy_cards(tmp_path / "cards", task={"invalid": True})]
    finished = evaluate("toy", Painter(), out=tmp_path / "run", judge=Noting(), cards=cards)
    assert ("s001", 2, "GA") not in asked
    assert len(asked) == 17 * 3 - 1
    invalid = [verdict for verdict in finished.verdicts() if verdict.status == Status.INVALID_ANNOTATION]
    assert [(v.session, v.turn, v.metric, v.reason) for v in invalid] == [
        ("s001", 2, "GA", "toy:1 formatted: broken")
    ]


def test_everything_a_judge_said_is_kept(tmp_path: Path) -> None:
    class Voting(Meter):
        def answer(self, question: Question) -> Verdict:
            return Verdict(
                Status.OK,
                0.5,
                "split \ud800 vote",
                votes=(0.0, 1.0),
                raw=("no", "yes"),
                usage={"tokens": 7},
                latency_s=0.1,
            )

    cards = [toy_cards(tmp_path / "cards")]
    finished = evaluate("toy", Painter(), out=tmp_path / "run", judge=Voting(), cards=cards)
    verdict = next(finished.verdicts())
    assert (verdict.votes, verdict.raw, verdict.usage, verdict.latency_s) == (
        (0.0, 1.0),
        ("no", "yes"),
        {"tokens": 7},
        0.1,
    )
    assert verdict.verdict.value == 0.5

    import pyarrow.parquet

    table = pyarrow.parquet.read_table(finished.path / "verdicts.parquet").to_pylist()
    assert len(table) == 17 * 3
    assert table[0]["votes"] == [0.0, 1.0]
    assert table[0]["reason"] == "split ? vote"
