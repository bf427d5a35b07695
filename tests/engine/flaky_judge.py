"""A judge that can be told when to change its mind, fail, or be interrupted; `cards` gives it golden items."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from micebench.engine.evaluate import evaluate
from micebench.engine.golden import freeze
from micebench.engine.run_reader import Run
from micebench.errors import EndpointError
from micebench.verdicts import Question, Status, Verdict
from tests.toy import Meter, toy_cards


@dataclass
class Mood:
    """What the judge does; `asked` are the questions it was asked, golden ones as (True, ...)."""

    asked: list[tuple[bool, str, int, str]] = field(default_factory=list)
    shift_from: int | None = None
    towards: float = 0.0
    by: float = 0.5
    fail_from: int | None = None
    gone_from: int | None = None
    interrupt_at: int | None = None

    @property
    def golden(self) -> int:
        return sum(golden for golden, *_ in self.asked)


MOOD = Mood()


def calm() -> Mood:
    """Forget all that was told and asked."""
    MOOD.__init__()
    return MOOD


class Fickle(Meter):
    """Numbers in the mood are numbers of questions asked before."""

    def judge(self, questions: Sequence[Question]) -> list[Verdict]:
        given = []
        for question in questions:
            number = len(MOOD.asked)
            if number == MOOD.interrupt_at:
                raise KeyboardInterrupt
            if MOOD.gone_from is not None and number >= MOOD.gone_from:
                raise EndpointError("the server has gone")
            MOOD.asked.append((not question.session.provenance, question.session.id, question.turn, question.metric))
            verdict = self.answer(question)
            if MOOD.fail_from is not None and number >= MOOD.fail_from and question.metric == "GA":
                verdict = Verdict.missing(Status.ERROR, "no answer in time")
            elif MOOD.shift_from is not None and number >= MOOD.shift_from:
                value = verdict.value or 0.0
                verdict = Verdict.ok(value + MOOD.by * (MOOD.towards - value), "another opinion")
            given.append(verdict)
        return given


def cards(folder: Path, *, concurrent: bool = False, limit: float = 0.01, golden: bool = True) -> Path:
    """The toy cards with `Fickle` as the judge, and golden items made by itself from a run of its own."""
    toy_cards(folder, concurrent=concurrent)
    path = folder / "judges/meter/judge.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"judge": "tests.engine.flaky_judge:Fickle"}))
    if golden:
        calm()
        made = run(folder, folder / "golden-run", seed=7)
        path.with_name("golden.jsonl").write_bytes(freeze([made], sessions=2, limit=limit)[0])
    calm()
    return folder


def run(folder: Path, out: Path, **options) -> Run:
    return evaluate("toy", "painter", out=out, cards=[folder], **options)
