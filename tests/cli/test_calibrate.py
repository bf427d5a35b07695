"""`micebench calibrate` on mice-mini: known errors are found, missing verdicts are counted, labels are checked."""

import csv
import json

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from micebench import evaluate, judge, open_run
from micebench.annotation.calibration import calibrate
from micebench.cards import JudgeCard, load_card
from micebench.cli import build_app
from micebench.errors import DataError, RunError

METRICS = ["IF", "CC.object"]
NOISY = {
    "domain": "mini",
    "judge": "noisy",
    "metrics": METRICS,
    "description": "",
}
EXACT = {"judge": "exact", "version": load_card(JudgeCard, "exact").version}
MEMBERS = [EXACT, *({"judge": name, "version": 1} for name in ("noisy", "silent"))]


@pytest.fixture(scope="module")
def cards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cards")
    for name, options in (
        ("noisy", {**EXACT, "flip": dict.fromkeys(METRICS, 0.2)}),
        ("silent", {**EXACT, "flip": dict.fromkeys(METRICS, 0.1), "outage": 0.3, "seed": 1}),
        ("vote", {"members": MEMBERS, "require": 2}),
    ):
        card = {**NOISY, "id": name, "options": options}
        if name == "vote":
            card["judge"] = "ensemble"
        path = folder / "judges" / name / "judge.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(yaml.safe_dump(card))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory, cards):
    """A run of an editor that fails now and then, judged by all of them."""
    path = tmp_path_factory.mktemp("runs") / "run"
    evaluate("mice-mini", "clumsy", out=path, judge="exact", limit=40, seed=1)
    for name in ("noisy", "silent", "vote"):
        judge(path, name, cards=(cards,))
    return path


def values(run, name, cards, metric="IF"):
    judge(run, name, cards=(cards,))
    return {(r.session, r.turn): r.value for r in open_run(run).verdicts() if r.metric == metric}


def test_agreement_is_what_the_verdicts_say(run, cards):
    found = calibrate(run, "noisy", "exact", cards=(cards,))
    a, b = values(run, "noisy", cards), values(run, "exact", cards)
    assert set(a) == set(b)
    assert 0.0 < np.mean(list(b.values())) < 1.0  # else there is nothing to disagree about
    assert (found["n"], found["edits"], found["sessions"]) == (len(b), len(b), 40)
    same = np.mean([(a[edit] > 0.5) == (b[edit] > 0.5) for edit in b])
    assert found["agreement"]["value"] == pytest.approx(same)
    assert 0.7 < same < 0.9  # one in five was turned round
    assert found["kappa"]["low"] < found["kappa"]["value"] < found["kappa"]["high"]
    assert sum(sum(cells[name] for name in found["confusion"]) for cells in found["edit_types"].values()) == len(b)
    assert calibrate(run, "exact", "exact")["kappa"]["value"] == 1.0


def test_missing_verdicts_are_left_out_and_counted(run, cards):
    found = calibrate(run, "silent", "exact", cards=(cards,))
    assert 0 < found["unscored_judge"] == found["edits"] - found["n"]
    assert found["unscored_against"] == 0


def test_an_ensembles_votes_are_compared(run, cards):
    found = calibrate(run, "vote", "exact", cards=(cards,))
    assert found["votes"]["votes"] == 3
    assert 0 < found["votes"]["items"] < found["n"]  # where one member was silent there are two votes
    assert 0.0 < found["votes"]["kappa"] < 1.0
    assert found["auc"]["value"] > 0.9  # two of three votes, one of them right


def test_labels(run, tmp_path):
    judge(run, "exact")
    truth = {(r.session, r.turn): r.value for r in open_run(run).verdicts() if r.metric == "IF"}
    labelled = list(truth.items())[:30]
    path = tmp_path / "labels.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["session", "turn", "label", "note"])
        for number, ((session, turn), value) in enumerate(labelled):
            label = "" if number == 0 else "pass" if (value > 0.5) != (number < 6) else "fail"  # five are wrong
            writer.writerow([session, turn, label, "seen"])
    found = calibrate(run, "exact", path)
    assert found["n"] == 29
    assert found["agreement"]["value"] == pytest.approx(24 / 29)
    lines = [{"session": session, "turn": turn, "label": value} for (session, turn), value in labelled]
    jsonl = tmp_path / "labels.jsonl"
    jsonl.write_text("\n".join(map(json.dumps, lines)))
    assert calibrate(run, "exact", jsonl)["agreement"]["value"] == 1.0


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["session,turn", "a,1"], "no 'label'"),
        (["session,turn,label", "cm-0000,1,maybe"], r":2 label: expected a number in \[0, 1\]"),
        (["session,turn,label", "cm-0000,first,1"], ":2 turn: expected a whole number"),
        (["session,turn,label", "cm-0000,1,1", "cm-0000,1,0"], ":3: turn 1 of session 'cm-0000' is labelled twice"),
        (["session,turn,label", "nobody,1,1"], "1 labels of edits .* first turn 1 of session 'nobody'"),
    ],
)
def test_labels_that_do_not_fit_are_named(run, tmp_path, lines, message):
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=message):
        calibrate(run, "exact", path)


def test_what_is_not_there_is_said_with_the_remedy(run, cards):
    with pytest.raises(RunError, match=r"no verdicts of 'perceptual'.*micebench judge .* --judge perceptual"):
        calibrate(run, "perceptual", "exact", metric="quality")
    with pytest.raises(RunError, match="not asked about GA"):
        calibrate(run, "noisy", "exact", metric="GA", cards=(cards,))
    with pytest.raises(RunError, match="unknown metric"):
        calibrate(run, "noisy", "exact", metric="if", cards=(cards,))


def test_the_verb_prints_the_same_numbers(run, cards):
    words = ["calibrate", str(run), "--judge", "noisy", "--against", "exact", "--cards", str(cards)]
    shown = CliRunner().invoke(build_app(), words)
    assert shown.exit_code == 0, shown.output
    found = json.loads(CliRunner().invoke(build_app(), [*words, "--json"]).output)
    assert found == calibrate(run, "noisy", "exact", cards=(cards,))
    assert f"{found['kappa']['value']:.3f}" in shown.output
    assert "subject_add" in shown.output
