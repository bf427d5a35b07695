"""Bias, noise, flips, votes, levels and outages have the stated size, and a question has one answer.

Statistics over n = 4000 questions. A share that should be p may be off by 4 sqrt(p (1 - p) / n), a mean of values
with standard deviation s by 4 s / sqrt(n): one run in 16000 would fail by chance, and the seeds are fixed.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import pytest
import yaml
from scipy.stats import norm

from micebench.cards import JudgeCard, load_card
from micebench.errors import CardError
from micebench.judges.wrappers.noisy import NoisyJudge
from micebench.registry.sources import judge_source
from micebench.sessions import ImageFile, Session, Turn
from micebench.tasks.load import load_task_card
from micebench.verdicts import METRICS, Question, Status, Verdict

N = 4000
TURNS = tuple(Turn(number, "x") for number in range(1, 4))


class Fixed:
    """Answers with the value in its card; the session "n/a" has nothing to measure."""

    def __init__(self, card: JudgeCard) -> None:
        self.value = card.options["value"]

    def judge(self, questions: Sequence[Question]) -> list[Verdict]:
        nothing = Verdict.missing(Status.NOT_APPLICABLE, "nothing there")
        fixed = Verdict(Status.OK, self.value, "seen", raw=("said",))
        return [nothing if question.session.id == "n/a" else fixed for question in questions]


class Named:
    """An image that is nothing but its hash."""

    def __init__(self, name: int) -> None:
        self.sha256 = hashlib.sha256(str(name).encode()).hexdigest()

    def load(self):
        raise AssertionError("not looked at")


@pytest.fixture
def noisy(tmp_path):
    def build(value: float, **options: object) -> NoisyJudge:
        write(tmp_path, "fixed", f"{__name__}:Fixed", {"value": value})
        write(
            tmp_path,
            "noisy",
            "noisy",
            {"judge": "fixed", "version": 1, **options},
        )
        return NoisyJudge(load_card(JudgeCard, "noisy", (tmp_path,)))

    return build


def write(folder, name: str, judge: str, options: dict, metrics: Sequence[str] = METRICS) -> None:
    path = folder / "judges" / name / "judge.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    card = {"id": name, "description": "", "domain": "mini", "judge": judge, "metrics": list(metrics)}
    path.write_text(yaml.safe_dump(card | {"options": options}))


def questions(count: int = N, metric: str = "IF", session: str = "s", turn: int = 1) -> list[Question]:
    """About different images of one session."""
    asked = Session(session, "t", "plain", ImageFile("s"), TURNS)
    return [Question(metric, asked, turn, [Named(-1)] * turn + [Named(number)]) for number in range(count)]  # type: ignore[arg-type]


def values(judge: NoisyJudge, count: int = N, metric: str = "IF") -> np.ndarray:
    return np.array([verdict.value for verdict in judge.judge(questions(count, metric))])


def test_flips_come_as_often_as_stated(noisy) -> None:
    for value in (0.0, 1.0):
        flipped = np.abs(values(noisy(value, flip={"IF": 0.1})) - value)
        assert set(flipped) == {0.0, 1.0}
        assert abs(flipped.mean() - 0.1) < 4 * np.sqrt(0.1 * 0.9 / N)  # 0.019


def test_noise_is_gaussian_and_clipped(noisy) -> None:
    middle = values(noisy(0.5, noise={"IF": 0.05}))
    assert abs(middle.mean() - 0.5) < 4 * 0.05 / np.sqrt(N)
    assert abs(middle.std() - 0.05) < 4 * 0.05 / np.sqrt(2 * N)  # standard error of a normal sample's deviation
    within = (np.abs(middle - 0.5) < 0.05).mean()
    assert abs(within - 0.6827) < 4 * np.sqrt(0.6827 * 0.3173 / N)
    edge = values(noisy(1.0, noise={"IF": 0.2}))
    assert edge.max() == 1.0
    assert edge.min() > 0.0
    assert abs((edge == 1.0).mean() - 0.5) < 4 * 0.5 / np.sqrt(N)
    # 1 + min(0, N(0, s)): mean 1 - s / sqrt(2 pi), deviation s sqrt(1/2 - 1/(2 pi))
    assert abs(edge.mean() - (1 - 0.2 / np.sqrt(2 * np.pi))) < 4 * 0.2 * np.sqrt(0.5 - 0.5 / np.pi) / np.sqrt(N)


def test_a_bias_is_added_and_votes_do_not_remove_it(noisy) -> None:
    assert np.allclose(values(noisy(0.5, bias={"IF": -0.2}), 20), 0.3)
    assert np.allclose(values(noisy(0.9, bias={"IF": 0.2}), 20), 1.0)
    voted = values(noisy(0.5, bias={"IF": -0.2}, noise={"IF": 0.05}, votes=16))
    assert abs(voted.mean() - 0.3) < 4 * 0.05 / 4 / np.sqrt(N)


def test_votes_average_variance_out(noisy) -> None:
    verdicts = noisy(1.0, flip={"IF": 0.2}, votes=4).judge(questions())
    votes = np.array([verdict.votes for verdict in verdicts])
    assert votes.shape == (N, 4)
    assert np.allclose(votes.mean(1), [verdict.value for verdict in verdicts])
    assert abs(votes.mean() - 0.8) < 4 * np.sqrt(0.2 * 0.8 / (4 * N))
    # independent votes: the mean of four has variance p (1 - p) / 4; its fourth moment gives the tolerance
    counts = 4 - votes.sum(1)
    deviation = (counts / 4 - 0.2) ** 2
    assert abs(deviation.mean() - 0.2 * 0.8 / 4) < 4 * deviation.std() / np.sqrt(N)
    for wrong, chance in enumerate((0.4096, 0.4096, 0.1536, 0.0256, 0.0016)):  # binomial(4, 0.2)
        assert abs((counts == wrong).mean() - chance) < 4 * np.sqrt(chance * (1 - chance) / N)
    assert noisy(1.0, flip={"IF": 0.2}).judge(questions(1))[0].votes == ()


def test_levels_are_the_only_values_of_a_vote(noisy) -> None:
    eleven = noisy(0.5, noise={"IF": 0.3}, levels={"IF": 11}, votes=3).judge(questions(500))
    votes = {round(vote * 10, 9) for verdict in eleven for vote in verdict.votes}
    assert votes == set(range(11))
    # a threshold at one half: yes with probability P(0.6 + 0.1 z > 0.5)
    binary = values(noisy(0.6, noise={"IF": 0.1}, levels={"IF": 2}))
    assert set(binary) == {0.0, 1.0}
    chance = norm.cdf(1.0)
    assert abs(binary.mean() - chance) < 4 * np.sqrt(chance * (1 - chance) / N)


def test_an_outage_is_an_error_and_never_a_number(noisy) -> None:
    verdicts = noisy(1.0, outage=0.05, flip={"IF": 0.1}).judge(questions())
    down = [verdict for verdict in verdicts if verdict.value is None]
    assert {verdict.status for verdict in down} == {Status.ERROR}
    assert abs(len(down) / N - 0.05) < 4 * np.sqrt(0.05 * 0.95 / N)
    answered = [verdict.value for verdict in verdicts if verdict.value is not None]
    assert abs(np.mean(answered) - 0.9) < 4 * np.sqrt(
        0.1 * 0.9 / len(answered)
    )  # outages do not choose whom they hit


def test_a_question_has_one_answer_however_it_is_asked(noisy) -> None:
    how = {"noise": {"IF": 0.1}, "flip": {"IF": 0.3}, "outage": 0.1, "votes": 2, "seed": 7}
    asked = questions(200)
    whole, judge = noisy(0.5, **how).judge(asked), noisy(0.5, **how)
    backwards = judge.judge(asked[::-1])[::-1]
    singly = [verdict for question in asked for verdict in judge.judge([question])]
    assert whole == backwards == singly
    assert len({verdict.value for verdict in whole}) > 150


def test_another_image_session_turn_metric_or_seed_is_another_draw(noisy) -> None:
    errors = {"IF": 0.5, "GA": 0.5}
    first = values(noisy(1.0, flip=errors))
    assert np.array_equal(values(noisy(1.0, flip=errors)), first)
    others = {
        "metric": values(noisy(1.0, flip=errors), metric="GA"),
        "seed": values(noisy(1.0, flip=errors, seed=1)),
        "session": [verdict.value for verdict in noisy(1.0, flip=errors).judge(questions(session="r"))],
        "turn": [verdict.value for verdict in noisy(1.0, flip=errors).judge(questions(turn=2))],
    }
    for name, other in others.items():
        agreement = np.mean(np.equal(other, first))
        assert abs(agreement - 0.5) < 4 * 0.5 / np.sqrt(N), name


def test_larger_errors_hit_the_same_questions_and_more(noisy) -> None:
    """Judges that differ by the size of an error share their draws, so that a comparison is a paired one."""
    rare, often = (values(noisy(1.0, flip={"IF": rate})) == 0.0 for rate in (0.05, 0.2))
    assert bool((often >= rare).all())
    assert often.sum() > rare.sum() > 0


def test_what_no_error_names_stays_as_it_is(noisy) -> None:
    judge = noisy(0.7, flip={"IF": 1.0}, bias={"GA": 0.1}, votes=3)
    consistency = judge.judge(questions(1, "CC.object"))[0]
    assert (consistency.value, consistency.votes, consistency.reason) == (0.7, (), "seen")
    following = judge.judge(questions(1))[0]
    assert following.value == pytest.approx(0.3)
    assert (following.reason, following.raw) == ("0.30 instead of 0.70: seen", ("said",))
    for metric in ("IF", "CC.object"):
        without = noisy(0.7, flip={"IF": 1.0}, outage=1.0).judge(questions(1, metric, session="n/a"))[0]
        assert without == Verdict.missing(Status.NOT_APPLICABLE, "nothing there")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"flip": {"IF": 1.2}}, r"flip of IF is 1.2; give a number in \[0, 1\]"),
        ({"noise": {"IF": -0.1}}, "noise of IF is -0.1"),
        ({"bias": {"IF": 2}}, r"bias of IF is 2; give a number in \[-1, 1\]"),
        ({"bias": {"IF": float("nan")}}, r"\.nan is no finite number"),
        ({"levels": {"IF": 1}}, "levels of IF is 1"),
        ({"flip": {"IQ": 0.1}}, "IQ"),
        ({"votes": 0}, "votes"),
        ({"outage": 1.5}, "outage"),
        ({"flips": {}}, "unknown key 'flips'; did you mean 'flip'"),
        ({"version": 2}, "version 1 now, pinned is 2"),
        ({"judge": "nobody"}, "unknown judge 'nobody'"),
    ],
)
def test_options_that_make_no_sense_are_named(noisy, options, said) -> None:
    with pytest.raises(CardError, match=said):
        noisy(1.0, **options)


def test_the_shipped_card_is_the_exact_judge_with_one_in_ten_wrong() -> None:
    source = judge_source("noisy-exact", load_task_card("mice-mini"))
    exact = judge_source("exact", load_task_card("mice-mini"))
    assert source is not None
    assert exact is not None
    assert source.metrics == exact.metrics
    assert isinstance(source.build(), NoisyJudge)
    options = source.build()._options  # type: ignore[attr-defined]
    assert (options.flip, options.votes, options.outage) == ({"IF": 0.1, "GA": 0.1}, 1, 0.0)
