"""GA: one call per prefix, its own verdict for each turn, and no call after a failure where the card says so."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from micebench.cards import JudgeCard, load_card
from micebench.judges.models.base import Ask, Components, Failure, Reply
from micebench.judges.protocols.protocol_judge import PhotoJudge
from micebench.verdicts import Question, Status, Verdict
from tests.judges.fake_vlm_server import walk
from tests.judges.photo_cards import SHIPPED, judge_card, questions, session

YES = {turns: walk(turns, "yes") for turns in (1, 2, 3)}
NO = {turns: walk(turns, "no") for turns in (1, 2, 3)}


class Scripted:
    """Answers by the length of the prefix; remembers what it was asked."""

    concurrency = 4

    def __init__(self, replies: dict[int, Any]) -> None:
        self.replies = replies
        self.asked: list[Ask] = []

    def ask(self, request: Ask) -> Reply | Failure:
        self.asked.append(request)
        said = self.replies[len(request.images) - 1]
        if isinstance(said, Failure):
            return said
        texts = (said,) * request.votes if isinstance(said, str) else said
        return Reply(texts, None, {"prompt_tokens": 10}, 0.1)

    @property
    def turns(self) -> list[int]:
        return sorted(len(request.images) - 1 for request in self.asked)


def judged(folder: Path, vlm: Scripted, asked: Sequence[Question], **rules: Any) -> list[Verdict]:
    options = {"awareness": rules, "vlm": {"temperature": 0.5}}
    return PhotoJudge(judge_card(folder, "http://unused", **options), Components(vlm=vlm)).judge(asked)


@pytest.mark.parametrize("track", ["cm", "cu"])
def test_each_turn_has_the_verdict_of_its_prefix(tmp_path: Path, track: str) -> None:
    vlm = Scripted(YES)
    asked = questions("GA", session(track=track))
    verdicts = judged(tmp_path, vlm, asked)
    assert [verdict.value for verdict in verdicts] == [1.0, 1.0, 1.0]
    assert [verdict.raw for verdict in verdicts] == [(YES[1],), (YES[2],), (YES[3],)]
    assert [verdict.usage for verdict in verdicts] == [{"prompt_tokens": 10}] * 3
    for request in vlm.asked:
        turn = len(request.images) - 1
        assert [image.sha256 for image in request.images] == [image.sha256 for image in asked[turn - 1].images]
        said = [text.instruction for text in asked[0].session.turns]
        assert [text in request.prompt for text in said] == [number < turn for number in range(3)]
        assert ("[red cat]" in request.prompt) == (track == "cu" and turn == 3)
        assert ("the color blue" in request.prompt) == (track == "cm")


def test_later_prefixes_are_not_asked_after_a_failure(tmp_path: Path) -> None:
    vlm = Scripted(YES | {2: NO[2]})
    verdicts = judged(tmp_path, vlm, questions("GA"))
    assert vlm.turns == [1, 2]
    assert [verdict.value for verdict in verdicts] == [1.0, 0.0, 0.0]
    assert verdicts[1].reason == "turn 2: gone"
    assert verdicts[2].reason == "not asked: the prefix up to turn 2 had failed"
    assert (verdicts[2].raw, verdicts[2].usage) == ((), None)


def test_where_the_card_wants_it_every_prefix_is_asked(tmp_path: Path) -> None:
    vlm = Scripted(YES | {2: NO[2]})
    verdicts = judged(tmp_path, vlm, questions("GA"), stop_at_failure=False)
    assert vlm.turns == [1, 2, 3]
    assert [verdict.value for verdict in verdicts] == [1.0, 0.0, 1.0]


def test_an_unanswered_prefix_is_missing_and_stops_nothing(tmp_path: Path) -> None:
    vlm = Scripted(YES | {1: Failure(Status.ERROR, "no route"), 2: "Yes, all of it."})
    verdicts = judged(tmp_path, vlm, questions("GA"))
    assert [verdict.status for verdict in verdicts] == [Status.ERROR, Status.UNPARSED, Status.OK]
    assert [verdict.raw for verdict in verdicts] == [(), ("Yes, all of it.",), (YES[3],)]


def test_a_turn_asked_alone_gets_the_same_verdict(tmp_path: Path) -> None:
    vlm = Scripted(YES | {1: NO[1]})
    (verdict,) = judged(tmp_path, vlm, questions("GA")[2:])
    assert vlm.turns == [1]
    assert (verdict.value, verdict.reason) == (0.0, "not asked: the prefix up to turn 1 had failed")


def test_votes_are_averaged_if_all_can_be_read(tmp_path: Path) -> None:
    vlm = Scripted({1: (YES[1], NO[1], YES[1], YES[1])})
    (verdict,) = judged(tmp_path, vlm, questions("GA")[:1], votes=4)
    assert (verdict.value, verdict.votes) == (0.75, (1.0, 0.0, 1.0, 1.0))
    vlm = Scripted({1: (YES[1], NO[1], "<final>yes", YES[1])})
    (verdict,) = judged(tmp_path / "other", vlm, questions("GA")[:1], votes=4)
    assert (verdict.status, len(verdict.raw)) == (Status.UNPARSED, 4)


def test_the_published_parser_takes_the_first_final_tag(tmp_path: Path) -> None:
    vlm = Scripted({1: "<turn_1>no</turn_1> <final>yes</final> <final>no</final>"})
    (verdict,) = judged(tmp_path, vlm, questions("GA")[:1], parse="first_match")
    assert verdict.value == 1.0


def test_plain_sessions_have_no_awareness(tmp_path: Path) -> None:
    vlm = Scripted({})
    verdicts = judged(tmp_path, vlm, questions("GA", session(track="plain")))
    assert {verdict.status for verdict in verdicts} == {Status.NOT_APPLICABLE}
    assert not vlm.asked


def test_rollouts_of_one_session_are_kept_apart(tmp_path: Path) -> None:
    """Two editors' images of the same session in one call: verdicts in the order of the questions."""
    one, other = questions("GA", seed=1), questions("GA", seed=2)
    mixed = [question for pair in zip(one, other, strict=True) for question in pair]
    bad = {image.sha256 for image in other[0].images}

    class Partial(Scripted):
        def ask(self, request: Ask) -> Reply | Failure:
            turn = len(request.images) - 1
            return Reply(((NO if request.images[0].sha256 in bad else YES)[turn],))

    verdicts = judged(tmp_path, Partial({}), mixed)
    assert [verdict.value for verdict in verdicts] == [1.0, 0.0] * 3


@pytest.mark.parametrize(("name", "votes", "stops"), [("mice", 4, False), ("micebench", 1, True)])
def test_shipped_judges_ask_as_they_say(name: str, votes: int, stops: bool) -> None:
    card = load_card(JudgeCard, str(SHIPPED / name / "judge.yaml"))
    vlm = Scripted(YES | {1: NO[1]})
    verdicts = PhotoJudge(card, Components(vlm=vlm)).judge(questions("GA"))
    assert {request.votes for request in vlm.asked} == {votes}
    assert vlm.turns == ([1] if stops else [1, 2, 3])
    assert [verdict.value for verdict in verdicts] == ([0.0] * 3 if stops else [0.0, 1.0, 1.0])
