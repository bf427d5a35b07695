"""A judge that is wrong now and then: the exact judge, with some of its verdicts turned round."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from micebench.cards import JudgeCard, load_card
from micebench.judges.exact import ExactJudge
from micebench.verdicts import Question, Status, Verdict


class Noisy:
    """Options: wrong (share of verdicts turned round), silent (share without a value), salt."""

    def __init__(self, card: JudgeCard) -> None:
        self.options = {"wrong": 0.0, "silent": 0.0, "salt": 0, **card.options}
        self.exact = ExactJudge(load_card(JudgeCard, "exact"))

    def judge(self, questions: Sequence[Question]) -> list[Verdict]:
        verdicts = self.exact.judge(questions)
        return [self._spoilt(question, verdict) for question, verdict in zip(questions, verdicts, strict=True)]

    def _spoilt(self, question: Question, verdict: Verdict) -> Verdict:
        if verdict.value is None:
            return verdict
        name = f"{question.session.id} {question.turn} {question.metric} {self.options['salt']}"
        chance = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32
        if chance < self.options["silent"]:
            return Verdict.missing(Status.REFUSED, "would rather not say")
        turned = chance < self.options["silent"] + self.options["wrong"]
        return replace(verdict, value=1.0 - verdict.value) if turned else verdict
