"""Any judge made worse in known ways: bias, variance, misjudgements, votes, coarse scales, outages."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from micebench.cards import JudgeCard, check_fields
from micebench.judges.wrappers.nested import Member, build_member, probe_member
from micebench.store.keys import derive_seed
from micebench.verdicts import MeasureName, MetricName, Question, Status, Verdict

PerMetric = dict[MetricName | MeasureName, float]


class NoisyOptions(Member):
    """The options of a noisy judge's card: the judge it asks, and what it does to that judge's values v.

    A vote is rounded(clipped(flipped(v) + bias + noise)); the value is the mean of the votes. Errors are given by
    metric: a metric that no error names keeps its values. Flips and noise are drawn for every vote, so that votes
    average them out; a bias stays.
    """

    bias: PerMetric = Field(default_factory=PerMetric, description="added, in [-1, 1]")
    noise: PerMetric = Field(
        default_factory=PerMetric, description="standard deviation of a Gaussian, before clipping"
    )
    flip: PerMetric = Field(default_factory=PerMetric, description="probability that a vote is 1 - v")
    levels: dict[MetricName | MeasureName, int] = Field(
        default_factory=dict[MetricName | MeasureName, int], description="values a vote can take, 0 and 1 included"
    )
    votes: int = Field(default=1, ge=1, le=64)
    outage: float = Field(default=0.0, ge=0, le=1, description="probability of an error instead of a verdict")
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _in_range(self) -> "NoisyOptions":
        for name, values, lowest, highest in (
            ("bias", self.bias, -1.0, 1.0),
            ("noise", self.noise, 0.0, float("inf")),
            ("flip", self.flip, 0.0, 1.0),
            ("levels", self.levels, 2, float("inf")),
        ):
            for metric, value in values.items():
                if not lowest <= value <= highest:
                    raise ValueError(f"{name} of {metric} is {value:g}; give a number in [{lowest:g}, {highest:g}]")
        return self


class NoisyJudge:
    """Another judge's verdicts with errors of known size, for finding out what they do to training and to numbers.

    A verdict without a value stays as it is. Everything is drawn from (seed, metric, session, turn, sha256 of the
    judged image): a question has one answer, however and however often it is asked; another image, another draw.
    """

    def __init__(self, card: JudgeCard) -> None:
        """Builds the judge it asks. Raises CardError: unknown, of another version, not asked the same metrics."""
        self._options = check_fields(card.options, NoisyOptions, where=f"judge {card.id!r}, options")
        self._judge = build_member(card, self._options)

    @classmethod
    def probe(cls, card: JudgeCard) -> None:
        """Probes the judge it asks. Raises CardError."""
        probe_member(card, check_fields(card.options, NoisyOptions, where=f"judge {card.id!r}, options"))

    def judge(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict per question, in order."""
        verdicts = self._judge.judge(questions)
        return [self._spoilt(question, verdict) for question, verdict in zip(questions, verdicts, strict=True)]

    def _spoilt(self, question: Question, verdict: Verdict) -> Verdict:
        if verdict.value is None:
            return verdict
        options = self._options
        draw = np.random.default_rng(_seed(question, options.seed))
        if draw.random() < options.outage:
            return Verdict.missing(Status.ERROR, "an outage, drawn by the noisy judge")
        if not any(question.metric in error for error in (options.bias, options.noise, options.flip, options.levels)):
            return verdict
        votes = self._votes(question.metric, verdict.value, draw)
        mean = min(1.0, max(0.0, float(votes.mean())))  # a mean of ones may exceed one by a rounding
        told = (
            verdict.reason
            if mean == verdict.value
            else f"{mean:.2f} instead of {verdict.value:.2f}: {verdict.reason}"
        )
        return replace(verdict, value=mean, reason=told, votes=tuple(votes.tolist()) if options.votes > 1 else ())

    def _votes(
        self, metric: MetricName | MeasureName, value: float, draw: np.random.Generator
    ) -> NDArray[np.float64]:
        """(votes,) in [0, 1]. Draws do not depend on the sizes of errors: two judges differ by these alone."""
        options = self._options
        flipped = draw.random(options.votes) < options.flip.get(metric, 0.0)
        noise = options.noise.get(metric, 0.0) * draw.standard_normal(options.votes)
        votes = np.where(flipped, 1.0 - value, value) + options.bias.get(metric, 0.0) + noise
        votes = np.clip(votes, 0.0, 1.0)
        steps = options.levels.get(metric, 0) - 1
        return np.rint(votes * steps) / steps if steps > 0 else votes


def _seed(question: Question, seed: int) -> int:
    asked = f"{question.metric} {question.about} {question.session.task} {question.images[-1].sha256}"
    return derive_seed(asked, question.session.id, question.turn, 0, seed)
