"""Values are averaged, votes kept; what a member cannot say is never made up for."""

import numpy as np
import pytest
import yaml

from micebench.cards import JudgeCard, load_card
from micebench.errors import CardError
from micebench.judges.wrappers.ensemble import EnsembleJudge
from micebench.sessions import ImageFile, Session, Turn
from micebench.verdicts import Question, Status, Verdict
from tests.judges.scenario import Pixels

SAYS = {
    "yes": Verdict.ok(1.0),
    "no": Verdict.ok(0.0),
    "half": Verdict(Status.OK, 0.5, "so so", raw=("hm",), usage={"tokens": 3}, latency_s=0.5),
    "refuses": Verdict.missing(Status.REFUSED, "no comment"),
    "broken": Verdict.missing(Status.ERROR, "timeout"),
    "nothing": Verdict.missing(Status.NOT_APPLICABLE, "no object"),
}


class Says:
    """Always the same verdict: the one its card is named after."""

    def __init__(self, card):
        self.verdict = SAYS[card.id]

    def judge(self, questions):
        return [self.verdict] * len(questions)


def ensemble(folder, *members, metrics=("IF",), version=1, require=None):
    for name in SAYS:
        write(folder, name, f"{__name__}:Says", {}, ["IF", "GA"])
    pinned = [{"judge": name, "version": version} for name in members]
    write(
        folder,
        "all",
        "ensemble",
        {"members": pinned, "require": require},
        metrics,
    )
    return EnsembleJudge(load_card(JudgeCard, "all", (folder,)))


def write(folder, name, judge, options, metrics):
    path = folder / "judges" / name / "judge.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    card = {"id": name, "description": "", "domain": "mini", "judge": judge, "metrics": list(metrics)}
    path.write_text(yaml.safe_dump(card | {"options": options}))


def ask(judge):
    images = [Pixels(np.zeros((2, 2, 3), np.uint8))] * 2
    return judge.judge([Question("IF", Session("s", "t", "plain", ImageFile("s"), (Turn(1, "x"),)), 1, images)])[0]


def test_mean_votes_and_record(tmp_path):
    verdict = ask(ensemble(tmp_path, "yes", "no", "half"))
    assert verdict.value == pytest.approx(0.5)
    assert verdict.votes == (1.0, 0.0, 0.5)
    assert verdict.reason == "yes 1.00, no 0.00, half 0.50"
    assert (verdict.raw, dict(verdict.usage), verdict.latency_s) == (("hm",), {"tokens": 3}, 0.5)


def test_one_missing_member_is_enough_to_have_no_value(tmp_path):
    verdict = ask(ensemble(tmp_path, "yes", "nothing", "broken", "refuses"))
    assert (verdict.status, verdict.value, verdict.reason) == (Status.ERROR, None, "broken: timeout")
    assert verdict.votes == (1.0,)


def test_require_allows_for_some(tmp_path):
    verdict = ask(ensemble(tmp_path, "yes", "no", "refuses", require=2))
    assert (verdict.value, verdict.votes) == (0.5, (1.0, 0.0))
    assert verdict.reason == "yes 1.00, no 0.00, refuses refused"
    assert ask(ensemble(tmp_path, "yes", "broken", "refuses", require=2)).status == Status.ERROR


def test_what_no_member_can_measure_is_not_applicable(tmp_path):
    assert ask(ensemble(tmp_path, "nothing", "yes")).status == Status.NOT_APPLICABLE


def test_members_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(CardError, match="version 1 now, pinned is 2"):
        ensemble(tmp_path, "yes", "no", version=2)
    with pytest.raises(CardError, match=r"'yes' is not asked about CC\.object"):
        ensemble(tmp_path, "yes", "no", metrics=("IF", "CC.object"))
    with pytest.raises(CardError, match="twice"):
        ensemble(tmp_path, "yes", "yes")
    with pytest.raises(CardError, match="requires 3 of 2"):
        ensemble(tmp_path, "yes", "no", require=3)
    with pytest.raises(CardError, match="unknown judge 'nobody'"):
        ensemble(tmp_path, "yes", "nobody")


def test_the_shipped_example_pins_todays_versions():
    card = load_card(JudgeCard, "ensemble")
    for member in card.options["members"]:
        found = load_card(JudgeCard, member["judge"])
        assert found.version == member["version"]
        assert set(card.metrics) <= set(found.metrics)
