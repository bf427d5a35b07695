"""Golden items are scored before the first verdict and after the last; what has moved is kept and said."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from micebench.cards import JudgeCard, TaskCard, find_cards, load_card
from micebench.engine.drift import DriftCheck, drifted, read_drift
from micebench.engine.evaluate import judge
from micebench.engine.golden import freeze, golden_of, load_golden
from micebench.engine.job import Options, make_job
from micebench.engine.plan import make_plan
from micebench.engine.run_reader import open_run
from micebench.errors import CardError, RunError
from micebench.registry.sources import judge_source
from micebench.report.drift import drift_line
from micebench.report.html import render
from micebench.report.terminal import print_run
from micebench.store.run_dir import RunDir
from tests.engine.flaky_judge import MOOD, calm, cards, run

ITEMS = 2 * 3 * 3  # sessions, turns, metrics
VERDICTS = 17 * 3  # five sessions of three turns and one of two


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return cards(tmp_path / "cards")


def said(path: Path) -> str:
    stream = io.StringIO()
    print_run(open_run(path), Console(file=stream, width=400))
    return stream.getvalue()


def test_a_steady_judge_has_no_drift(folder: Path, tmp_path: Path) -> None:
    found = read_drift(run(folder, tmp_path / "run"))
    assert found is not None
    assert MOOD.golden == 2 * ITEMS
    assert [golden for golden, *_ in MOOD.asked] == [True] * ITEMS + [False] * VERDICTS + [True] * ITEMS
    assert (found["shift"], found["largest"], found["drifted"], found["coverage"]) == (0.0, 0.0, False, 1.0)
    assert found["items"] == ITEMS == len(found["start"]["scores"])
    assert found["start"] == found["end"]
    assert "Judge drift on 18 golden items" in said(tmp_path / "run")
    page = render(open_run(tmp_path / "run"))
    assert 'id="drift"' in page
    assert 'aria-label="Judge drift"' not in page


@pytest.mark.parametrize("concurrent", [False, True], ids=["judged afterwards", "judged beside editing"])
def test_one_that_changes_its_mind_during_the_run_is_noticed(tmp_path: Path, concurrent: bool) -> None:
    folder = cards(tmp_path / "cards", concurrent=concurrent)
    MOOD.shift_from = ITEMS + VERDICTS // 2
    found = read_drift(run(folder, tmp_path / "run"))
    assert found is not None
    assert found["drifted"]
    assert found["changes"]["stored to start"] == dict.fromkeys(("CC.object", "GA", "IF"), 0.0)
    stored, end = found["start"]["scores"], found["end"]["scores"]
    expected = {}
    for metric in ("CC.object", "GA", "IF"):
        names = [name for name in stored if name.endswith(f"/{metric}")]
        expected[metric] = sum(end[name] - stored[name] for name in names) / len(names)
    assert found["changes"]["start to end"] == pytest.approx(expected)
    assert found["shift"] == pytest.approx(max(map(abs, expected.values())))
    assert "the judge does not answer as it did" in said(tmp_path / "run")
    assert 'aria-label="Judge drift"' in render(open_run(tmp_path / "run"))


def test_one_that_has_changed_since_its_items_were_made_is_noticed(folder: Path, tmp_path: Path) -> None:
    before = run(folder, tmp_path / "before")
    calm().shift_from = 0
    after = run(folder, tmp_path / "after")
    found = read_drift(after)
    assert found is not None
    assert found["drifted"]
    assert set(found["changes"]["start to end"].values()) == {0.0}
    assert drifted(before, after)
    assert not drifted(before, before)


def test_two_runs_each_within_the_limit_may_lie_too_far_apart(tmp_path: Path) -> None:
    folder = cards(tmp_path / "cards", limit=0.09)
    runs = []
    for towards in (0.0, 1.0):
        calm().shift_from, MOOD.towards, MOOD.by = 0, towards, 0.1
        runs.append(run(folder, tmp_path / f"towards {towards}"))
        found = read_drift(runs[-1])
        assert found is not None
        assert 0 < found["shift"] < 0.09
        assert not found["drifted"]
    assert drifted(*runs)
    golden = folder / "judges/meter/golden.jsonl"
    golden.write_text(golden.read_text().replace('"limit":0.09', '"limit":0.3'))
    other = run(folder, tmp_path / "other items")
    assert not drifted(runs[0], other), "other items: nothing to be compared"


def test_a_failed_golden_call_is_never_a_score(folder: Path, tmp_path: Path) -> None:
    MOOD.fail_from = ITEMS + VERDICTS
    found = read_drift(run(folder, tmp_path / "run"))
    assert found is not None
    assert found["coverage"] == pytest.approx(2 / 3)
    assert not found["drifted"]
    assert not [name for name in found["end"]["scores"] if name.endswith("/GA")]
    assert set(found["end"]["missing"].values()) == {"error: no answer in time"}
    assert "GA" not in found["changes"]["start to end"]
    assert "67 % scored both times (error: no answer in time)" in said(tmp_path / "run")


def test_nothing_is_asked_where_nothing_is_judged(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "run")
    there = (tmp_path / "run/drift.json").read_bytes()
    calm()
    run(folder, tmp_path / "run")
    judge(tmp_path / "run", cards=[folder])
    assert MOOD.asked == []
    assert (tmp_path / "run/drift.json").read_bytes() == there


@pytest.mark.parametrize("concurrent", [False, True], ids=["judged afterwards", "judged beside editing"])
def test_interrupted_anywhere_the_finished_file_is_the_same(tmp_path: Path, concurrent: bool) -> None:
    folder = cards(tmp_path / "cards", concurrent=concurrent)
    run(folder, tmp_path / "straight")
    straight = (tmp_path / "straight/drift.json").read_bytes()
    for moment in (0, ITEMS - 1, ITEMS, ITEMS + VERDICTS - 1, ITEMS + VERDICTS, 2 * ITEMS + VERDICTS - 1):
        out = tmp_path / f"killed at {moment}"
        calm().interrupt_at = moment
        with pytest.raises(KeyboardInterrupt):
            run(folder, out)
        golden = MOOD.golden
        calm()
        run(folder, out)
        assert MOOD.golden == (2 * ITEMS if golden < ITEMS else ITEMS), "the start is scored once"
        assert (out / "drift.json").read_bytes() == straight


def test_a_server_gone_at_the_end_leaves_a_finished_run(folder: Path, tmp_path: Path) -> None:
    MOOD.gone_from = ITEMS + VERDICTS
    finished = run(folder, tmp_path / "run")
    assert sum(finished.summary()["coverage"]["IF"].values()) == 17
    found = read_drift(finished)
    assert found is not None
    assert found["end"] is None
    assert "not scored again at the end" in said(tmp_path / "run")
    job = make_job("toy", "painter", None, Options(cards=(folder,)), tmp_path / "run")
    assert make_plan(job).golden == ITEMS
    calm()
    found = read_drift(run(folder, tmp_path / "run"))
    assert found is not None
    assert MOOD.golden == len(MOOD.asked) == ITEMS
    assert found["coverage"] == 1.0


def test_it_can_be_left_out_and_is_counted_before(folder: Path, tmp_path: Path) -> None:
    def planned(**options) -> int:
        job = make_job("toy", "painter", None, Options(cards=(folder,), **options), tmp_path / "run")
        return make_plan(job).golden

    assert (planned(), planned(golden=False)) == (2 * ITEMS, 0)
    assert read_drift(run(folder, tmp_path / "run", golden=False)) is None
    assert MOOD.golden == 0
    assert not (tmp_path / "run/drift.json").exists()
    assert planned() == 0, "all is judged"
    assert drift_line(open_run(tmp_path / "run")) is None


def test_each_judge_of_a_run_has_its_own(folder: Path, tmp_path: Path) -> None:
    first = read_drift(run(folder, tmp_path / "run"))
    other = cards(tmp_path / "other")
    yaml = other / "judges/meter/judge.yaml"
    yaml.write_text(yaml.read_text().replace("id: meter", "id: second"))
    (other / "judges/meter").rename(other / "judges/second")
    second = judge(tmp_path / "run", "second", cards=[other, folder])
    found = read_drift(second)
    assert found is not None
    assert found["judge"] == "second"
    assert read_drift(judge(tmp_path / "run", "meter", cards=[folder])) == first


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "golden.jsonl:1: not JSON"),
        ('{"format":2,"limit":0}', "golden.jsonl:1: format"),
        ('{"format":1,"limit":0}\n[]', "golden.jsonl:2: expected an object"),
        ('{"format":1,"limit":0}\n{"task":"t","session":{},"images":["a","b"],"scores":{}}', "golden.jsonl:2 images"),
    ],
)
def test_damaged_items_are_one_line(folder: Path, tmp_path: Path, content: str, words: str) -> None:
    (folder / "judges/meter/golden.jsonl").write_text(content)
    with pytest.raises(CardError, match=words):
        run(folder, tmp_path / "run")
    assert not (tmp_path / "run/edits").exists(), "before any edit"


def test_items_are_made_of_one_judges_scored_sessions(folder: Path, tmp_path: Path) -> None:
    MOOD.fail_from = 0
    failing = run(folder, tmp_path / "failing")
    with pytest.raises(RunError, match="no session has a score for all that was asked"):
        freeze([failing], sessions=2, limit=0.1)


SHIPPED = sorted(name for name, path in find_cards(JudgeCard).items() if (path.parent / "golden.jsonl").exists())


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_judges_answer_their_items_as_they_did(name: str, tmp_path: Path) -> None:
    source = judge_source(name, load_card(TaskCard, "mice-mini"))
    assert source is not None
    golden = golden_of(source)
    assert golden is not None
    assert golden.limit <= 0.001
    by_metric: dict[str, set[float]] = {}
    for item in golden.items:
        by_metric.setdefault(item.question.metric, set()).add(round(item.score, 2))
    assert set(by_metric) == set(source.metrics)
    assert all(len(values) > 1 for metric, values in by_metric.items() if metric != "destroyed"), by_metric
    check = DriftCheck(RunDir(tmp_path), source)
    judge = source.build()
    check.before(judge)
    check.after(lambda: judge)
    (found,) = json.loads((tmp_path / "drift.json").read_text())["judges"].values()
    assert (found["drifted"], found["coverage"]) == (False, 1.0)


def test_exact_noisy_and_perceptual_carry_items() -> None:
    assert SHIPPED == ["exact", "noisy-exact", "perceptual"]
    path = find_cards(JudgeCard)["exact"].with_name("golden.jsonl")
    assert load_golden(path, ["CLIP.text"]) is None
