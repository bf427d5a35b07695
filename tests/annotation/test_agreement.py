"""Agreement, filled gaps and exports say what the labels say; people and judges are never mixed unmarked."""

import csv
import json
import random

import numpy as np
import pytest
from pydantic import ValidationError

from micebench.annotation.agreement import agreement
from micebench.annotation.calibration import calibrate
from micebench.annotation.export import COLUMNS, export
from micebench.annotation.gap_filling import filled
from micebench.annotation.human_labels import NothingShared
from micebench.cards import JudgeCard, TaskCard, load_card
from micebench.engine.run_reader import open_run
from micebench.errors import CardError, DataError, RunError
from micebench.metrics.agreement import vote_kappa
from micebench.registry.sources import judge_source
from tests.annotation.sitting import answer, desk_for, press


@pytest.fixture
def three(labelled):
    """Anna agrees with the judge, bob turns every fourth round, carl labels half and declines the rest."""
    desk = desk_for(labelled)
    rng = random.Random(0)
    for who in ("anna", "bob", "carl"):
        said = {}
        for number, asked in enumerate(desk.queue.items):
            verdict = desk.queue.automatic.get(asked)
            yes = verdict is not None and verdict.value is not None and verdict.value > 0.5
            if who == "bob" and number % 4 == 0:
                yes = not yes
            said[asked] = "u" if who == "carl" and rng.random() < 0.5 else "ny"[yes]
        answer(desk, who, said)
    return open_run(labelled.path)


def values(run, judge_name, metric="IF"):
    if judge_name == "exact":
        return {(v.session, v.turn): v.value for v in run.verdicts() if v.metric == metric and v.value is not None}
    path = run.path / "labels" / f"{judge_name}.jsonl"
    said = [json.loads(line) for line in path.read_text().splitlines()]
    return {(one["session"], one["turn"]): one["value"] for one in said if one["value"] is not None}


def test_agreement_is_what_the_labels_say(three):
    found = agreement(three)["metrics"]["IF"]
    pairs = {(one["judge"], one["against"]): one for one in (*found["judge"], *found["reviewers"])}
    assert list(pairs) == [
        *(("exact", f"human:{who}") for who in ("anna", "bob", "carl", "*")),
        ("human:anna", "human:bob"), ("human:anna", "human:carl"), ("human:bob", "human:carl"),
    ]  # fmt: skip
    for (one, other), cells in pairs.items():
        if other == "human:*":
            continue
        a, b = (values(three, name.removeprefix("human:")) for name in (one, other))
        both = [edit for edit in a if edit in b]
        assert cells["n"] == len(both) > 5
        assert cells["agreement"]["value"] == pytest.approx(np.mean([a[edit] == b[edit] for edit in both]))
    assert pairs["exact", "human:anna"]["kappa"]["value"] == 1.0
    bob = pairs["exact", "human:bob"]
    assert bob["kappa"]["low"] < bob["kappa"]["value"] < bob["kappa"]["high"] < 1.0
    assert sum(sum(kind[name] for name in bob["confusion"]) for kind in bob["edit_types"].values()) == bob["n"]


def test_all_reviewers_together_are_their_majority_and_splits_are_said(three):
    found = agreement(three)["metrics"]["IF"]
    given = [values(three, who) for who in ("anna", "bob", "carl")]
    edits = set().union(*given)
    votes = {edit: [one[edit] for one in given if edit in one] for edit in edits}
    splits = [edit for edit, said in votes.items() if np.mean(said) == 0.5]
    complete = [said for said in votes.values() if len(said) == 3]
    assert splits
    assert found["together"] == {
        "reviewers": 3,
        "edits": len(complete),
        "split": len(splits),
        "kappa": pytest.approx(vote_kappa(np.array(complete))),
    }
    everyone = next(one for one in found["judge"] if one["against"] == "human:*")
    exact = values(three, "exact")
    decided = [edit for edit in edits if edit in exact and edit not in splits]
    assert everyone["n"] == len(decided)
    same = np.mean([(np.mean(votes[edit]) > 0.5) == (exact[edit] > 0.5) for edit in decided])
    assert everyone["agreement"]["value"] == pytest.approx(same)


def test_two_who_always_disagree_have_no_agreement(labelled):
    """Their split edits count against Fleiss' kappa, although they have no common answer."""
    desk = desk_for(labelled)
    answer(desk, "anna", {asked: "yn"[number % 2] for number, asked in enumerate(desk.queue.items)})
    answer(desk, "bob", {asked: "ny"[number % 2] for number, asked in enumerate(desk.queue.items)})
    found = agreement(labelled)["metrics"]["IF"]
    assert found["reviewers"][0]["agreement"]["value"] == 0.0
    assert found["together"]["kappa"] < -0.9
    assert found["together"]["split"] == len(desk.queue.items)
    assert [one["against"] for one in found["judge"]] == ["human:anna", "human:bob"]


def test_labels_given_with_knowledge_of_the_verdict_count_only_on_request(labelled):
    audit = desk_for(labelled, blind=False)
    answer(audit, "anna", dict.fromkeys(audit.queue.automatic, "y"))
    with pytest.raises(NothingShared, match="without having seen the automatic verdict"):
        calibrate(labelled, "exact", "human:anna")
    assert agreement(labelled)["metrics"]["IF"]["judge"] == []
    found = agreement(labelled, seen=True)
    assert found["labels_seen"] is True
    assert found["metrics"]["IF"]["judge"][0]["n"] == len(values(labelled, "exact"))


def test_calibrate_takes_a_reviewer_for_a_judge(three):
    ours = calibrate(three, "exact", "human:bob")
    theirs = calibrate(three, "human:bob", "exact")
    assert ours["n"] == theirs["n"]
    assert ours["kappa"]["value"] == pytest.approx(theirs["kappa"]["value"])
    assert calibrate(three, "human:*", "exact")["votes"]["votes"] == 3
    with pytest.raises(RunError, match=r"human:dora has labelled no IF.*those who have: anna, bob, carl"):
        calibrate(three, "exact", "human:dora")


def test_no_run_pretends_to_call_a_person():
    with pytest.raises(CardError, match=r"is a person.*micebench review"):
        judge_source("human:anna", load_card(TaskCard, "mice-mini"))
    with pytest.raises(ValidationError):
        JudgeCard(id="human:anna", description="", domain="any", judge="module:Class", metrics=["IF"])


def test_nobody_has_labelled(labelled):
    for ask in (agreement, filled):
        with pytest.raises(NothingShared, match="has no labels"):
            ask(labelled)


def test_gaps_are_filled_and_nothing_else(labelled):
    desk = desk_for(labelled, pending=True)
    opens = len(desk.queue.items)
    assert opens == 3  # unjudged, unparsed, failed
    answer(desk, "anna", dict.fromkeys(desk.queue.items, "y"))
    whole = desk_for(labelled)
    answer(whole, "bob", {asked: "n" for asked in whole.queue.items if asked not in desk.queue.items})
    stored = (labelled.path / "summary.json").read_bytes()
    found = filled(open_run(labelled.path))
    assert found["filled"]["IF"] == {"gaps": opens + 2, "filled": opens}  # two have no image
    assert (labelled.path / "summary.json").read_bytes() == stored
    assert found["automatic"] == open_run(labelled.path).summary()
    for turn in ("1", "2", "3"):
        alone = found["automatic"]["metrics"]["marginal_success"][turn]
        together = found["with_people"]["metrics"]["marginal_success"][turn]
        added = sum(asked.turn == int(turn) for asked in desk.queue.items)
        assert together["n"] == alone["n"] + added
        passed = round(alone["value"] * alone["n"] / 100) + added  # bob's no's have replaced nothing
        assert together["value"] == pytest.approx(100 * passed / together["n"])
        assert together["at_least"] <= together["value"] <= together["at_most"]
    assert found["with_people"]["metrics"]["global_awareness"] == found["automatic"]["metrics"]["global_awareness"]


def test_a_split_leaves_the_gap(labelled):
    desk = desk_for(labelled, pending=True)
    for who, key in (("anna", "y"), ("bob", "n")):
        answer(desk, who, dict.fromkeys(desk.queue.items, key))
    assert filled(labelled)["filled"]["IF"]["filled"] == 0


def test_a_run_without_a_judge_has_peoples_numbers_only(labelled):
    bare = {"judge": None, "judge_hash": None, "judge_card": None, "metrics": []}
    labelled.manifest.model_copy(update=bare).save(labelled.path / "manifest.json")
    run = open_run(labelled.path)
    desk = desk_for(run)
    answer(desk, "anna", {asked: "yn"[asked.turn == 2] for asked in desk.queue.items})
    found = filled(run)
    assert found["automatic"] is None
    cells = found["with_people"]["metrics"]["marginal_success"]
    assert [cells[turn]["value"] for turn in ("1", "2", "3")] == [100.0, 0.0, 100.0]
    assert agreement(run)["metrics"]["IF"]["judge"] == []


def rows_of(path):
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    import pyarrow.parquet

    return pyarrow.parquet.read_table(path).to_pylist()


@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".parquet"])
def test_an_export_has_every_last_label(three, tmp_path, kind):
    path = tmp_path / f"labels{kind}"
    rows = (export(three, path), rows_of(path))[1]
    assert list(rows[0]) == list(COLUMNS)
    assert len(rows) == 3 * len(desk_for(three).queue.items)
    for who in ("anna", "bob", "carl"):
        mine = [row for row in rows if row["judge"] == f"human:{who}"]
        given = {(r["session"], int(r["turn"])): float(r["label"]) for r in mine if r["label"] not in ("", None)}
        assert given == values(three, who)
        assert {row["automatic_judge"] for row in mine} == {"exact"}


def test_an_export_of_one_reviewer_is_labels_for_calibrate(three, tmp_path):
    path = tmp_path / "bob.csv"
    export(three, path, reviewer="bob", metrics=("IF",))
    direct, through = calibrate(three, "exact", "human:bob"), calibrate(three, "exact", path)
    assert {**direct, "against": ""} == {**through, "against": ""}


def test_hostile_notes_and_names_survive_an_export(labelled, tmp_path):
    note = 'a,"b"\n=1+1\u202e\ud800'
    desk = desk_for(labelled)
    seat = desk.sit_down("anna")
    while seat.place is not None:
        seat = desk.act(seat, seat.view, "y", note)
    for kind in (".csv", ".jsonl", ".parquet"):
        path = tmp_path / f"labels{kind}"
        export(labelled, path)
        rows = rows_of(path)
        assert {row["note"] for row in rows} == {note.replace("\ud800", "?")}
        assert {row["session"] for row in rows} == {asked.session for asked in desk.queue.items}


def test_an_export_of_another_kind_is_refused(three, tmp_path):
    with pytest.raises(DataError, match=r"\.csv, \.jsonl or \.parquet"):
        export(three, tmp_path / "labels.xlsx")


def test_the_last_answer_is_exported_and_whether_it_was_blind(labelled, tmp_path):
    desk = desk_for(labelled)
    press(desk, desk.sit_down("anna"), "yvbn")
    path = tmp_path / "labels.jsonl"
    assert export(labelled, path) == 1
    (row,) = rows_of(path)
    assert (row["label"], row["blind"], row["seen"]) == (0.0, False, True)
