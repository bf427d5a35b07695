"""The queue: what is in it, in which order, and that it says so."""

import shutil

import pytest

from micebench.annotation.queue import Choice, make_queue
from micebench.engine.run_reader import open_run
from micebench.errors import RunError
from micebench.store.journal import Journal
from micebench.store.keys import verdict_key
from micebench.store.records import VerdictRecord
from micebench.store.run_dir import RunDir
from micebench.verdicts import METRICS, Status


def items(run, **choice):
    return make_queue(run, Choice(**choice)).items


def test_every_edit_with_an_image_is_asked_about_once(finished):
    edits = {(edit.session, edit.turn) for edit in finished.edits() if edit.image}
    asked = items(finished, metrics=("IF", "GA"))
    assert len(asked) == len(set(asked)) == 2 * len(edits)
    assert {(one.session, one.turn) for one in asked} == edits


def test_the_order_is_the_seeds_and_sessions_stay_together(finished):
    first = items(finished)
    assert first == items(open_run(finished.path), seed=0)
    assert first != items(finished, seed=1)
    assert sorted(first) == sorted(items(finished, seed=1))
    seen = list(dict.fromkeys(one.session for one in first))
    assert seen != [session.id for session in finished.sessions()]
    for name in seen:
        turns = [one.turn for one in first if one.session == name]
        at = [place for place, one in enumerate(first) if one.session == name]
        assert turns == sorted(turns)
        assert at == list(range(at[0], at[0] + len(at)))


def test_a_sample_is_the_beginning_of_the_order(finished):
    whole = items(finished, seed=3)
    some = items(finished, seed=3, sessions=4)
    assert some == whole[: len(some)]
    assert len({one.session for one in some}) == 4
    rule = make_queue(finished, Choice(seed=3, sessions=4)).rule
    assert rule == "the first 4 sessions in the order of a hash of seed 3, turn by turn"


def test_pending_is_what_the_judge_left_open(finished):
    """Not judged, unparsed, refused, failed; what is rightly without a value was answered."""
    answers = {(v.session, v.turn, v.metric): v.status.value for v in finished.verdicts()}
    images = [(edit.session, edit.turn) for edit in finished.edits() if edit.image]
    closed = ("ok", "not_applicable", "invalid_annotation")
    expected = {
        (name, turn, metric) for name, turn in images for metric in METRICS
        if answers.get((name, turn, metric), "missing") not in closed
    }  # fmt: skip
    found = {(one.session, one.turn, one.metric) for one in items(finished, metrics=METRICS, pending=True)}
    assert found == expected
    assert len({answers.get(one, "missing") for one in found}) == 4  # all four kinds of gaps are in the run


def test_a_run_without_a_judge_can_be_labelled(finished, tmp_path):
    shutil.copytree(finished.path, tmp_path / "run")
    path = RunDir(tmp_path / "run").manifest
    bare = finished.manifest.model_copy(update={"judge": None, "judge_hash": None, "judge_card": None, "metrics": []})
    bare.save(path)
    assert len(items(open_run(tmp_path / "run"), pending=True)) == len(items(finished))


@pytest.mark.parametrize("metric", ["L1.source", "if", "overall"])
def test_what_people_cannot_be_asked_is_refused(metric):
    with pytest.raises(RunError, match="no question for metric"):
        Choice(metrics=(metric,))


def test_nothing_to_ask_is_said(labelled):
    judge_the_rest(labelled, "destroyed")
    with pytest.raises(RunError, match="no edit that its judge has left open to be asked about destroyed"):
        items(open_run(labelled.path), metrics=("destroyed",), pending=True)


def judge_the_rest(run, metric: str) -> None:
    """Give every edit that has an image a verdict about `metric`."""
    judged = {(verdict.session, verdict.turn) for verdict in run.verdicts() if verdict.metric == metric}
    lines = [
        VerdictRecord(
            verdict_key(edit.key, edit.image, run.manifest.judge_hash, metric), edit.key, edit.session, 0, edit.turn,
            metric, Status.OK, 0.0,
        ).to_line()
        for edit in run.edits() if edit.image and (edit.session, edit.turn) not in judged
    ]  # fmt: skip
    assert lines
    with Journal(run.verdict_index().path) as journal:
        journal.append(lines)
