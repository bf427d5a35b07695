"""Without a verdict there is no reward: masked, counted, and above the limit the training stops."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from micebench.editors.base import Edited
from micebench.training.rl.rewards import RewardOutage, Rewards, RewardTable
from micebench.training.rl.rollout import Rollouts, roll_out
from micebench.sessions import Session
from micebench.verdicts import Question, Status, Verdict
from tests.training.rl.test_rollout import Policy, some, spec
from tests.toy import Meter

UNKNOWN = (Status.ERROR, Status.UNPARSED, Status.REFUSED)


class Failing(Meter):
    """The meter, but `fault` decides first; `given` remembers what was said about which place."""

    def __init__(self, fault: Callable[[Question], Verdict | None]) -> None:
        super().__init__()
        self.fault = fault
        self.given: list[tuple[Question, Verdict]] = []

    def judge(self, questions: Sequence[Question]) -> list[Verdict]:
        said = [(question, self.fault(question) or self.answer(question)) for question in questions]
        self.given += said
        return [verdict for _, verdict in said]


def at_random(share: float, seed: int = 0) -> Callable[[Question], Verdict | None]:
    draw = np.random.default_rng(seed)

    def fault(question: Question) -> Verdict | None:
        if draw.random() >= share:
            return None
        return Verdict.missing(UNKNOWN[draw.integers(3)], "the server\nis down")

    return fault


def collected(
    judge: Meter, limit: float = 0.99, sessions: Sequence[Session] | None = None, policy: object = None
) -> tuple[RewardTable, Rollouts]:
    rewards = Rewards(judge, ("IF", "CC", "GA"), limit=limit)
    rollouts = roll_out(policy or Policy(), sessions or some(), spec(), iteration=0, on_turn=rewards.submit)
    return rewards.collect(), rollouts


def place_of(question: Question, rollouts: Rollouts) -> tuple[int, int, int]:
    number = [session.id for session in rollouts.sessions].index(question.session.id)
    last = [images[question.turn].sha256 for images in rollouts.images[number]]
    return number, last.index(question.images[-1].sha256), question.turn - 1


def test_a_random_outage_masks_exactly_the_places_it_hits() -> None:
    judge = Failing(at_random(0.1))
    table, rollouts = collected(judge)
    silent = {
        (place_of(question, rollouts), question.metric) for question, verdict in judge.given if verdict.value is None
    }
    assert 5 < len(silent) < 30
    assert {tuple(place) for place in table.failed.nonzero().tolist()} == {place for place, _ in silent}
    for question, verdict in judge.given:
        place = place_of(question, rollouts)
        metric = question.metric[:2]
        lost = (place, question.metric) in silent or (
            metric == "CC" and any((place, part) in silent for part in ("CC.object", "CC.background"))
        )
        if lost:
            assert table.values[metric][place].isnan()
        elif metric != "CC":
            assert table.values[metric][place] == verdict.value
    assert table.counts["ok"] == 4 * 42 - len(silent)
    assert sum(table.counts.get(status.value, 0) for status in UNKNOWN) == len(silent)
    assert table.example.endswith("the server is down")


@pytest.mark.parametrize("status", UNKNOWN)
def test_half_of_cc_is_no_cc(status: Status) -> None:
    """The mean of what is left would be another quantity than the group's other members have."""
    judge = Failing(
        lambda question: (
            Verdict.missing(status, "?") if question.metric == "CC.object" and question.turn == 2 else None
        )
    )
    table, _ = collected(judge)
    assert bool(table.failed[:, :, 1].all())
    assert not table.failed[:, :, (0, 2)].any()
    assert bool(table.values["CC"][:, :, 1].isnan().all())
    assert not table.values["IF"][:, :, 1].isnan().any()


def test_what_cannot_be_measured_is_nan_and_no_failure() -> None:
    nothing = Verdict.missing(Status.NOT_APPLICABLE, "no object is left")

    def fault(question: Question) -> Verdict | None:
        gone = {"CC.object"} if question.turn == 2 else {"CC.object", "CC.background"}
        return nothing if question.metric in gone and question.turn > 1 else None

    judge = Failing(fault)
    table, rollouts = collected(judge)
    assert not table.failed.any()
    assert bool(table.values["CC"][:, :, 2].isnan().all())
    assert not table.values["CC"][:, :, :2].isnan().any()
    said = {(place_of(question, rollouts), question.metric): verdict.value for question, verdict in judge.given}
    for number in range(5):
        for rollout in range(3):
            first, second = (number, rollout, 0), (number, rollout, 1)
            assert table.values["CC"][first] == (said[first, "CC.object"] + said[first, "CC.background"]) / 2
            assert table.values["CC"][second] == said[second, "CC.background"]
    assert table.counts["not_applicable"] == 15 + 2 * 12
    assert table.example == ""


def test_a_broken_annotation_is_nan_and_not_asked_about() -> None:
    judge = Failing(lambda question: None)
    table, _ = collected(judge, sessions=some(invalid=True))
    assert not table.failed.any()
    assert bool(table.values["GA"][1, :, 1].isnan().all())
    assert table.values["GA"].isnan().sum() == 3 + 3
    assert not any(
        question.session.id == "s001" and question.turn == 2 and question.metric == "GA"
        for question, _ in judge.given
    )
    assert table.counts["invalid_annotation"] == 3


@pytest.mark.parametrize("answer", [lambda: 1 / 0, lambda: 0.5, lambda: None, lambda: Verdict.ok(1.5)])
def test_a_judge_against_its_contract_costs_the_guilty_question(answer: Callable[[], object]) -> None:
    class Broken(Meter):
        def judge(self, questions):
            bad = [question.session.id == "s002" and question.metric == "GA" for question in questions]
            return [
                answer() if guilty else self.answer(question) for guilty, question in zip(bad, questions, strict=True)
            ]

    table, _ = collected(Broken())
    assert bool(table.failed[2].all())
    assert table.failed.sum() == 9
    assert table.counts["error"] == 9
    assert not table.values["IF"][2].isnan().any()


def test_too_much_silence_stops_the_training_and_says_why() -> None:
    down = Verdict.missing(Status.ERROR, "connection refused")

    def hit(places: int) -> Failing:
        left = iter([True] * places)
        return Failing(
            lambda question: down if question.metric == "IF" and question.turn == 1 and next(left, False) else None
        )

    table, _ = collected(hit(2), limit=0.05)  # 2 of 42 places: 4.8 %
    assert table.failed.sum() == 2
    with pytest.raises(RewardOutage, match=r"3 of 42 edits have no reward, more than the tolerated 5%") as caught:
        collected(hit(3), limit=0.05)
    assert "3 error, 165 ok" in str(caught.value)
    assert "IF: connection refused" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(RewardOutage, match="1 of 42"):
        collected(hit(1), limit=0.0)


def test_an_outage_leaves_the_rewards_usable() -> None:
    judge = Failing(lambda question: Verdict.missing(Status.ERROR, "down"))
    rewards = Rewards(judge, ("IF",))
    roll_out(Policy(), some(), spec(), iteration=0, on_turn=rewards.submit)
    with pytest.raises(RewardOutage):
        rewards.collect()
    judge.fault = lambda question: None
    roll_out(Policy(), some(), spec(), iteration=1, on_turn=rewards.submit)
    assert not rewards.collect().failed.any()


def test_a_failed_edit_has_no_reward_from_there_on() -> None:
    class Tired(Policy):
        def __call__(self, requests, starts):
            results = super().__call__(requests, starts)
            if requests[0].turn == 2:
                results[0] = (Edited(None, failed="out of memory"), None)
            return results

    table, _ = collected(Meter(), limit=0.05, policy=Tired())  # 2 of 42
    wanted = torch.zeros(5, 3, 3, dtype=torch.bool)
    wanted[0, 0, 1:] = True
    assert torch.equal(table.failed, wanted)
    assert not table.values["IF"][0, 0, 0].isnan()
    assert bool(table.values["IF"][0, 0, 1:].isnan().all())
    assert table.counts["no_image"] == 2
    assert table.example == "no image: out of memory"
    with pytest.raises(RewardOutage, match="2 no_image"):
        collected(Meter(), limit=0.04, policy=Tired())


def test_edits_that_all_fail_are_an_outage() -> None:
    def empty(requests, starts):
        return [(Edited(None, failed="no weights"), None) for _ in requests]

    with pytest.raises(RewardOutage, match=r"42 of 42 .*42 no_image.*no weights"):
        collected(Meter(), policy=empty)
