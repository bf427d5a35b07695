"""A reward is what evaluation would say about the same images, whoever judges and however long it takes."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from micebench.cards import EditorCard, JudgeCard, load_card, resolve_kind
from micebench.editors.base import EditRequest
from micebench.engine.evaluate import evaluate
from micebench.engine.run_reader import Run
from micebench.registry.sources import judge_source
from micebench.errors import CardError, EndpointError
from micebench.judges.exact.judge import ExactJudge
from micebench.training.rl.rewards import Rewards, RewardTable
from micebench.training.rl.rollout import RolloutSpec, roll_out
from micebench.training.rl.samplers import SamplingPlan
from micebench.sessions import Session
from micebench.tasks.load import load_task_card
from micebench.verdicts import Question, Verdict
from tests.training.rl.test_rollout import Policy, some, spec
from tests.toy import Meter

METRICS = ("IF", "CC", "GA")


def exact() -> ExactJudge:
    return ExactJudge(load_card(JudgeCard, "exact"))


class Seedless:
    """A scripted editor that draws the same whatever the seed: evaluation and rollouts give it different ones."""

    batch = 64

    def __init__(self, name: str) -> None:
        card = load_card(EditorCard, name)
        self.context = card.context
        self.editor = resolve_kind("editor", card.editor, where=name)(card)

    def edit(self, requests: Sequence[EditRequest]) -> list:
        return self.editor.edit([replace(request, seed=len(request.instruction)) for request in requests])


def rewarded(editor: Seedless, sessions: Sequence[Session]) -> RewardTable:
    def sample(requests: Sequence[EditRequest], starts: Sequence[int]) -> list:
        return [(result, None) for result in editor.edit(requests)]

    rewards = Rewards(exact(), METRICS)
    how = RolloutSpec(2, editor.context, SamplingPlan(), steps=8, seed=3)
    roll_out(sample, sessions, how, iteration=0, on_turn=rewards.submit)
    return rewards.collect()


def evaluated(run: Run, metric: str) -> dict[tuple[str, int], float]:
    """(session, turn) -> the verdicts of a run, or for CC the mean of its parts."""
    wanted = ("CC.object", "CC.background") if metric == "CC" else (metric,)
    found: dict[tuple[str, int], list[float]] = {}
    for verdict in run.verdicts():
        if verdict.metric in wanted and verdict.value is not None:
            found.setdefault((verdict.session, verdict.turn), []).append(verdict.value)
    return {place: float(np.mean(values)) for place, values in found.items()}


@pytest.mark.parametrize(("name", "followed"), [("oracle", {1.0}), ("identity", {0.0}), ("clumsy", {0.0, 1.0})])
def test_rewards_are_what_evaluation_says(tmp_path: Path, name: str, followed: set[float]) -> None:
    editor = Seedless(name)
    run = evaluate("mice-mini", editor, out=tmp_path / "run", limit=9)
    sessions = list(run.sessions())
    table = rewarded(editor, sessions)
    assert not table.failed.any()
    assert set(table.values["IF"].flatten().tolist()) == followed
    for metric in METRICS:
        said = evaluated(run, metric)
        assert len(said) > 20
        for number, session in enumerate(sessions):
            for turn in range(3):
                expected = said.get((session.id, turn + 1), float("nan"))
                given = table.values[metric][number, :, turn].numpy()
                np.testing.assert_allclose(given, [expected, expected], rtol=0, atol=1e-12)


class Streaming(Meter):
    """The toy meter behind a stream that answers out of order."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[int] = []

    def stream(self, sessions: Iterable[Sequence[Question]]) -> Iterator[tuple[int, list[Verdict]]]:
        answered = [(number, self.judge(questions)) for number, questions in enumerate(sessions)]
        self.rows.append(len(answered))
        yield from reversed(answered)


class Slow(Meter):
    """Answers when it is allowed to."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()
        self.asked: list[set[int]] = []

    def judge(self, questions: Sequence[Question]) -> list[Verdict]:
        self.asked.append({question.turn for question in questions})
        assert self.free.wait(30)
        return super().judge(questions)


def expected(rollouts) -> dict[str, torch.Tensor]:
    """Asked one question at a time, after everything."""
    judge = Meter()
    values = {metric: torch.full((5, 3, 3), float("nan"), dtype=torch.float64) for metric in METRICS}
    for number, session in enumerate(rollouts.sessions):
        for rollout, images in enumerate(rollouts.images[number]):
            for turn in range(1, len(images)):
                for metric, asked in (("IF", "IF"), ("CC", "CC.object"), ("GA", "GA")):
                    question = Question(asked, session, turn, images[: turn + 1])
                    values[metric][number, rollout, turn - 1] = judge.answer(question).value
    return values


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert list(one) == list(other)
    for metric in one:
        assert torch.equal(one[metric].nan_to_num(-1.0), other[metric].nan_to_num(-1.0)), metric


@pytest.mark.parametrize("kind", [Meter, Streaming])
def test_a_stream_and_a_batch_give_the_same_rewards(kind: type[Meter]) -> None:
    judge = kind()
    rewards = Rewards(judge, METRICS, known=Meter.metrics)
    for iteration in range(2):  # one object serves all iterations
        rollouts = roll_out(Policy(), some(), spec(), iteration=iteration, on_turn=rewards.submit)
        table = rewards.collect()
        same(table.values, expected(rollouts))
        assert table.counts == {"no_image": 0, "ok": 3 * 42}
        assert not table.failed.any()
        assert bool(table.values["IF"][4, :, 2].isnan().all())  # the fifth session has two turns
        assert table.judging_s > 0
    if isinstance(judge, Streaming):
        assert judge.rows == [15, 15, 12] * 2


def test_the_next_turn_is_sampled_while_the_last_is_judged() -> None:
    judge = Slow()
    rewards = Rewards(judge, METRICS, known=Meter.metrics)
    rollouts = roll_out(Policy(), some(), spec(), iteration=0, on_turn=rewards.submit)
    assert rollouts.edited.sum() == 42  # all turns are made, though no question is answered yet
    assert len(judge.asked) <= 1
    threading.Timer(0.05, judge.free.set).start()
    started = time.perf_counter()
    table = rewards.collect()
    assert time.perf_counter() - started > 0.01
    assert judge.asked == [{1}, {2}, {3}]  # all of a turn at once, one turn after the other
    same(table.values, expected(rollouts))


@pytest.mark.parametrize("kind", [Meter, Streaming])
def test_what_the_thread_raises_surfaces_in_collect(kind: type[Meter]) -> None:
    class TurnedAway(kind):
        def judge(self, questions: Sequence[Question]) -> list[Verdict]:
            raise EndpointError("wrong key")

    rewards = Rewards(TurnedAway(), ("IF",))
    roll_out(Policy(), some(), spec(), iteration=0, on_turn=rewards.submit)
    with pytest.raises(EndpointError, match="wrong key"):
        rewards.collect()
    with pytest.raises(ValueError, match="no turn"):
        rewards.collect()


@pytest.mark.parametrize("context", ["last", "history", "composed"])
def test_judges_are_told_what_an_output_was_made_from(context: str) -> None:
    class Curious(Meter):
        def answer(self, question: Question) -> Verdict:
            assert question.composed == (context == "composed")
            assert len(question.images) == question.turn + 1
            return super().answer(question)

    rewards = Rewards(Curious(), ("IF",))
    roll_out(Policy(), some(), spec(context=context), iteration=0, on_turn=rewards.submit)
    assert rewards.collect().counts == {"no_image": 0, "ok": 42}


def test_other_rollouts_must_wait() -> None:
    rewards = Rewards(Meter(), ("IF",))
    first, second = (roll_out(Policy(), some(2), spec(), iteration=number) for number in range(2))
    rewards.submit(1, first)
    with pytest.raises(ValueError, match="not been collected"):
        rewards.submit(1, second)
    rewards.close()


def test_a_reward_the_judge_does_not_give_is_named() -> None:
    edival = judge_source("edival", load_task_card("edival"))
    assert edival is not None
    with pytest.raises(CardError, match=r"no reward 'GA': the judge is asked .*IF"):
        Rewards(Meter(), METRICS, known=edival.metrics)
