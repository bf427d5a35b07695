"""Source, previous and target; what is missing is not applicable; the numbers reach summary and report."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from micebench import evaluate
from micebench.cards import JudgeCard, TaskCard, check_fields, load_card
from micebench.errors import CardError
from micebench.judges.perceptual.clip import ClipWeights
from micebench.judges.perceptual.judge import PerceptualJudge, PerceptualOptions
from micebench.report.html import write_report
from micebench.report.tables import overall_table
from micebench.sessions import ImageFile, Session, Turn
from micebench.verdicts import Question, Status
from tests.judges.photographs import Shown, noise


def judge_of(*metrics, **options):
    return PerceptualJudge(
        JudgeCard(id="p", description="", domain="any", judge="-:-", metrics=list(metrics), options=options)
    )


def flat(level, size=(32, 24)):
    return Image.fromarray(np.full((size[1], size[0], 3), level, np.uint8))


def png(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def question(metric, *images, target=None):
    turns = tuple(
        Turn(number, "edit", target_image=target and ImageFile("t.png", data=target))
        for number in range(1, len(images))
    )
    session = Session("s", "t", "plain", ImageFile("s.png"), turns)
    return Question(metric, session, len(images) - 1, [Shown(image) for image in images])


def test_each_reference_is_the_right_image():
    images = flat(0), flat(51), flat(153)
    target = png(flat(255))
    names = ("L1.source", "L1.previous", "L1.target")
    verdicts = judge_of(*names).judge([question(name, *images, target=target) for name in names])
    assert [1 - verdict.value for verdict in verdicts] == pytest.approx([0.6, 0.4, 0.4])
    first = judge_of("L1.previous").judge([question("L1.previous", *images[:2])])
    assert 1 - first[0].value == pytest.approx(0.2)  # before turn 1 there is only the source
    made_from_source = replace(question("L1.previous", *images), composed=True)
    (verdict,) = judge_of("L1.previous").judge([made_from_source])
    assert 1 - verdict.value == pytest.approx(0.6), "the image that was edited is the source"


def test_sessions_with_equal_images_keep_their_own_targets():
    asked = [question("L1.target", flat(0), flat(51), target=png(flat(level))) for level in (51, 153)]
    asked[1] = replace(asked[1], session=replace(asked[1].session, id="other"))
    verdicts = judge_of("L1.target").judge(asked)
    assert [1 - verdict.value for verdict in verdicts] == pytest.approx([0.0, 0.4])


def test_mice_mini_has_targets_and_the_oracle_meets_them(tmp_path):
    task = load_card(TaskCard, "mice-mini")
    task = task.model_copy(update={"options": {**task.options, "targets": True}})
    card = load_card(JudgeCard, "perceptual").model_copy(update={"metrics": ["L1.target", "PSNR.target"]})
    metrics = evaluate(task, "oracle", out=tmp_path / "run", judge=card, limit=3).summary()["metrics"]
    assert [metrics["L1.target"][turn]["value"] for turn in "123"] == [100.0] * 3
    assert metrics["PSNR.target"]["3"]["n"] == 3
    still = evaluate(task, "identity", out=tmp_path / "still", judge=card, limit=3).summary()["metrics"]
    assert still["L1.target"]["3"]["value"] < 100.0


def test_what_cannot_be_measured_has_no_value():
    small = flat(0, (8, 8))
    asked = [
        question("L1.target", flat(0), flat(9)),
        question("L1.target", flat(0), flat(9), target=b"no image"),
        question("SSIM.source", small, small),
        question("SSIM.source", flat(0), flat(9)),
    ]
    verdicts = judge_of("L1.target", "SSIM.source").judge(asked)
    expected = [Status.NOT_APPLICABLE, Status.ERROR, Status.NOT_APPLICABLE, Status.OK]
    assert [verdict.status for verdict in verdicts] == expected


def test_another_size_is_resampled_and_said():
    verdict = judge_of("L1.source").judge([question("L1.source", flat(10), flat(10, (64, 48)))])[0]
    assert verdict.value == 1.0
    assert "resampled from 64 x 48 to 32 x 24" in verdict.reason


def test_quality_and_destroyed():
    rng = np.random.default_rng(0)
    smooth = np.clip(np.cumsum(rng.normal(0, 6, (64, 64, 3)), axis=0) + 128, 0, 255).astype(np.uint8)
    source = Image.fromarray(smooth)
    judge = judge_of("quality", "destroyed", destroyed_below=0.1)

    def ask(current):
        asked = [question(name, source, current) for name in ("quality", "destroyed")]
        return [verdict.value for verdict in judge.judge(asked)]

    assert ask(source) == [1.0, 0.0]
    quality, destroyed = ask(noise(source, 20))
    assert 0.1 < quality < 0.9
    assert destroyed == 0.0
    assert ask(flat(90, (64, 64)))[1] == 1.0


def test_cards_that_do_not_fit_are_refused():
    with pytest.raises(CardError, match="cannot measure 'IF'"):
        judge_of("IF")
    with pytest.raises(CardError, match=r"options.clip: CLIP needs a model"):
        judge_of("CLIP.source")
    with pytest.raises(CardError, match="destroyed_bellow"):
        judge_of("quality", destroyed_bellow=0.1)


def test_measures_reach_the_summary_and_the_tables(tmp_path):
    card = load_card(JudgeCard, "perceptual")
    run = evaluate("mice-mini", "identity", out=tmp_path / "run", judge=card, limit=3)
    summary = run.summary()
    for turn in ("1", "2", "3"):
        cell = summary["metrics"]["SSIM.source"][turn]
        assert (cell["value"], cell["n"], cell["of"]) == (100.0, 3, 3)
        assert summary["metrics"]["quality_drift"][turn]["value"] == 0.0
    assert "CLIP.source" not in summary["metrics"]
    labels = [row.label for row in overall_table(summary).rows]
    assert "SSIM to source" in labels
    assert "PSNR to previous" in labels


def test_the_report_shows_them(tmp_path):
    run = evaluate("mice-mini", "identity", out=tmp_path / "run", judge="perceptual", limit=1)
    page = write_report(run).read_text()
    assert "SSIM to source" in page
    assert "Quality drift" in page


@pytest.mark.parametrize("name", ["perceptual", "perceptual-neural", "magicbrush"])
def test_the_shipped_cards_say_what_their_metrics_need(name):
    card = load_card(JudgeCard, name)
    options = check_fields(card.options, PerceptualOptions, where=name)
    kinds = {metric.partition(".")[0] for metric in card.metrics}
    assert (options.clip is not None) == ("CLIP" in kinds)
    assert (options.features is not None) == ("DINO" in kinds)
    if options.clip is not None:
        assert ClipWeights.model_validate(options.clip).revision is not None
