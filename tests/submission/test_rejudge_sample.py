"""A judge with a model judges some sessions again, drawn by the verifier, and may answer a little otherwise."""

import json
from pathlib import Path

import pytest

from micebench.engine.evaluate import evaluate
from micebench.submission import BundleError, submit, verify_bundle
from micebench.submission.rejudge import Rejudged, check_rejudged
from tests.submission.conftest import ABOUT, write_card, write_cards
from tests.submission.forge import Forgery
from tests.submission.test_verify_forgeries import with_summary

METRICS = ["IF", "CC.object", "CC.background", "GA", "destroyed", "quality"]


class Slow:
    """Cards whose task is judged by a judge that is treated as one with a model, and a bundle."""

    def __init__(self, folder: Path) -> None:
        self.cards = [write_cards(folder / "cards")]
        path = folder / "cards/tasks/tiny/task.yaml"
        path.write_text(path.read_text().replace("judge: exact", "judge: slow"))
        write_card(folder / "cards", "judges", "slow", judge="exact", metrics=METRICS)
        run = evaluate("tiny", "fumbling", out=folder / "run", cards=self.cards)
        self.bundle = submit(run.path, **ABOUT, out=folder / "b.zip", cards=self.cards).path


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Slow:
    return Slow(tmp_path_factory.mktemp("slow"))


def test_the_verifier_draws_and_says_so(slow: Slow):
    found = verify_bundle(slow.bundle, cards=slow.cards)
    assert found.mark == "verified"
    assert found.verdicts_recomputed == 20 * 3 * 6
    assert found.detection_probability == pytest.approx(1 - (6 / 26) * (5 / 25))
    assert found.seed is not None
    assert found.command == f"micebench verify bundle.zip --seed {found.seed}"
    assert verify_bundle(slow.bundle, cards=slow.cards).seed != found.seed
    assert verify_bundle(slow.bundle, cards=slow.cards, sample=26).seed is None


@pytest.mark.parametrize(("praised", "passed"), [(2, True), (10_000, False)])
def test_a_little_may_differ(slow: Slow, tmp_path: Path, praised: int, passed: bool):
    forged = Forgery(slow.bundle)
    lines = forged.lines("verdicts.jsonl")
    for line in [line for line in lines if line["metric"] in ("IF", "GA") and line["value"] == 0][:praised]:
        line["value"] = 1.0
    forged = with_summary(slow, forged.write("verdicts.jsonl", lines), tmp_path / "b.zip")
    found = verify_bundle(forged.pack(tmp_path / "b.zip"), cards=slow.cards, sample=26)
    assert found.passed == passed, found.checks
    detail = {check.check: check.detail for check in found.checks}["verdicts"]
    assert ("at most 10% and +0.03 may be" in detail) != passed
    assert json.dumps(detail).count("\\n") == 0


@pytest.mark.parametrize(
    ("different", "favour", "passed"),
    [(0, 0.0, True), (10, 0.029, True), (11, 0.0, False), (5, 0.031, False), (10, -0.2, True)],
)
def test_where_the_limits_lie(different: int, favour: float, passed: bool):
    found = Rejudged(sessions=10, compared=100, different=different, first="IF of ...", favour=favour)
    if passed:
        assert "judged again" in check_rejudged(found, exact=False)
    else:
        with pytest.raises(BundleError) as error:
            check_rejudged(found, exact=False)
        assert error.value.check == "verdicts"
    if different:
        with pytest.raises(BundleError, match=f"{different} differ"):
            check_rejudged(found, exact=True)
