"""MSE-Bench and LME-Bench: replies in, SR@k and CR@k out; nothing unreadable becomes a score."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from micebench.cards import JudgeCard, check_fields, load_card
from micebench.errors import CardError
from micebench.judges.models.base import Ask, Components, Failure, Reply
from micebench.judges.models.factory import options_of
from micebench.judges.protocols.score_judge import ScoringJudge, ScoringOptions, ScoringRules
from micebench.judges.vlm.parsing import Unreadable
from micebench.judges.vlm.score_objects import read_scores
from micebench.metrics import STATUS_CODES, VerdictTable, summarize
from micebench.sessions import ImageFile, Session, Turn
from micebench.verdicts import Question, Status
from tests.judges.photographs import Shown

NAMES = ("prompt_following", "consistency")


def frame(number):
    return Shown(Image.fromarray(np.full((4, 4, 3), number, np.uint8)))


def session(name, turns):
    told = tuple(Turn(number, f"instruction {number}") for number in range(1, turns + 1))
    return Session(name, "mse", "plain", ImageFile("s.png"), told)


class Scripted:
    """A VLM that answers by a function of the request, and remembers what it was asked."""

    concurrency = 4

    def __init__(self, says: Callable[[Ask], str | Failure]) -> None:
        self.says = says
        self.asked: list[Ask] = []

    def ask(self, request: Ask) -> Reply | Failure:
        self.asked.append(request)
        said = self.says(request)
        return said if isinstance(said, Failure) else Reply((said,), usage={"total_tokens": 7})


def judge_of(card, says):
    vlm = Scripted(says)
    return ScoringJudge(load_card(JudgeCard, card), Components(vlm=vlm)), vlm


def questions(name, turns, metric="IF", offset=0):
    images = [frame(offset + number) for number in range(turns + 1)]
    made = session(name, turns)
    return [Question(metric, made, turn, images[: turn + 1]) for turn in range(1, turns + 1)]


def following(first, second):
    return json.dumps({"reason": "so", "prompt_following": first, "consistency": second})


@pytest.mark.parametrize(
    ("scores", "value"), [((7, 7), 1.0), ((6, 10), 0.0), ((10, 6), 0.0), ((6.5, 6.5), 1.0), ((0, 0), 0.0)]
)
def test_both_scores_must_exceed_six(scores, value):
    judge, _ = judge_of("mse", lambda ask: following(*scores))
    verdict = judge.judge(questions("s", 1))[0]
    assert verdict.value == value
    assert verdict.reason == f"prompt following {scores[0]:g}, consistency {scores[1]:g}"
    assert json.loads(verdict.raw[0])["consistency"] == scores[1]
    assert verdict.usage == {"total_tokens": 7}


def test_the_model_sees_the_session_so_far_and_only_that():
    judge, vlm = judge_of("mse", lambda ask: following(9, 9))
    judge.judge(questions("s", 3))
    for turn, asked in enumerate(sorted(vlm.asked, key=lambda ask: len(ask.images)), start=1):
        assert len(asked.images) == turn + 1
        assert f"instruction {turn}" in asked.prompt
        assert f"instruction {turn + 1}" not in asked.prompt


def test_judging_stops_at_the_first_failure_and_the_session_stays_in_the_rate():
    failing = {"a": 2, "b": 9, "c": 1}  # first failing turn; 9: none

    def says(ask):
        name = "abc"[ask_offset(ask) // 50]
        return following(9, 3 if len(ask.images) - 1 == failing[name] else 9)

    def ask_offset(ask):
        return int(np.asarray(ask.images[0].load())[0, 0, 0])

    judge, vlm = judge_of("mse", says)
    asked = [one for place, name in enumerate("abc") for one in questions(name, 3, offset=50 * place)]
    verdicts = judge.judge(asked)
    assert len(vlm.asked) == 2 + 3 + 1
    status = np.array([STATUS_CODES.index(verdict.status.value) for verdict in verdicts], np.int8).reshape(3, 3)
    values = np.array([verdict.value or 0.0 for verdict in verdicts]).reshape(3, 3)
    table = VerdictTable(
        np.array(list("abc")), np.array(["plain"] * 3), np.full((3, 3), ""), np.full(3, 3),
        {"IF": values}, {"IF": status},
    )  # fmt: skip
    rates = summarize(table, resamples=100)["metrics"]["turn_success"]
    assert [(rates[turn]["value"], rates[turn]["n"]) for turn in "123"] == [
        (pytest.approx(200 / 3), 3),
        (pytest.approx(100 / 3), 3),
        (pytest.approx(100 / 3), 3),
    ]
    assert verdicts[2].status == Status.NOT_APPLICABLE
    assert verdicts[2].reason == "not judged: turn 2 has failed"
    assert not verdicts[2].raw


def test_a_failed_call_is_a_status_and_the_walk_goes_on():
    def says(ask):
        if len(ask.images) == 3:
            return Failure(Status.REFUSED, "no", raw=("I cannot",))
        return following(9, 9) if len(ask.images) == 2 else "fine, I think"

    judge, _ = judge_of("mse", says)
    verdicts = judge.judge(questions("s", 3))
    assert [verdict.status for verdict in verdicts] == [Status.OK, Status.REFUSED, Status.UNPARSED]
    assert verdicts[1].raw == ("I cannot",)
    assert verdicts[2].raw == ("fine, I think",)


@pytest.mark.parametrize(
    ("damages", "destroyed"),
    [((0, 0), 0), ((1, 0), 0), ((0, 1), 0), ((1, 1), 1), ((2, 0), 1), ((0, 2), 1), ((2, 2), 1)],
)
def test_destroyed_from_two_points_of_damage(damages, destroyed):
    said = json.dumps({"content_loss": damages[0], "surface_corruption": damages[1]})
    judge, vlm = judge_of("lme", lambda ask: said)
    asked = questions("s", 4, "destroyed")
    assert judge.judge(asked[3:])[0].value == destroyed
    assert [image.sha256 for image in vlm.asked[0].images] == [asked[3].images[0].sha256, asked[3].images[4].sha256]
    assert "instruction 4" in vlm.asked[0].prompt


def test_lme_judges_every_frame_although_following_has_failed():
    def says(ask):
        return following(0, 0) if "prompt_following" in ask.prompt else '{"content_loss": 2, "surface_corruption": 0}'

    judge, _ = judge_of("lme", says)
    verdicts = judge.judge(questions("s", 3) + questions("s", 3, "destroyed"))
    assert [verdict.value for verdict in verdicts] == [0.0, None, None, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    "reply",
    [
        following(8, 7),
        f"```json\n{following(8, 7)}\n```",
        f"Well. {following(8, 7)} That is all.",
        f"<think>{following(1, 1)}</think>{following(8, 7)}",
        f"{following(8, 7)}\n{following(8.0, 7)}",
    ],
)
def test_one_object_is_found_wherever_it_stands(reply):
    assert read_scores(reply, NAMES, 10) == {"prompt_following": 8, "consistency": 7}


@pytest.mark.parametrize(
    "reply",
    [
        "", "8 and 7", following(8, 11), following(-1, 7), following("8", 7), following(True, 7), following(None, 7),
        '{"prompt_following": 8}', '{"prompt_following": NaN, "consistency": 7}', following(8, 7)[:-3],
        '{"prompt_following": 8, "prompt_following": 2, "consistency": 7}', f"{following(8, 7)} {following(2, 7)}",
        f"<think>{following(8, 7)}",
    ],
)  # fmt: skip
def test_what_is_not_clear_is_no_score(reply):
    with pytest.raises(Unreadable):
        read_scores(reply, NAMES, 10)


@pytest.mark.parametrize("name", ["mse", "lme"])
def test_the_shipped_cards_have_the_published_constants(name):
    card = load_card(JudgeCard, name)
    options = check_fields(card.options, ScoringOptions, where=name)
    assert options.rules == ScoringRules(passes_above=6, destroyed_from=2, stop_at_failure=True)
    assert options_of(card, "vlm", options.vlm)


def test_other_metrics_are_refused():
    card = load_card(JudgeCard, "mse").model_copy(update={"metrics": ["IF", "GA"]})
    with pytest.raises(CardError, match="cannot judge 'GA'"):
        ScoringJudge(card, Components())
