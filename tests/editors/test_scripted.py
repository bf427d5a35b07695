"""What each scripted editor is for: the numbers it must produce, on every track and edit type."""

import json
from pathlib import Path

import pytest

import micebench
from micebench.instructions import EDIT_TYPES

TRACKS = ("plain", "cm", "cu")


@pytest.fixture(scope="module")
def summaries(tmp_path_factory):
    """Summaries of full runs, made once: (model, task) -> summary."""
    made = {}

    def summary(model: str, task: str = "mice-mini") -> dict:
        if (model, task) not in made:
            out = tmp_path_factory.mktemp("runs") / f"{model}-{task}"
            made[model, task] = micebench.evaluate(task, model, out=out).summary()
        return made[model, task]

    return summary


def values(metrics: dict, name: str) -> list[float]:
    return [cell["value"] for cell in metrics[name].values()]


@pytest.mark.parametrize("task", ["mice-mini", "mice-mini-long"])
def test_oracle_is_perfect_everywhere(summaries, task):
    summary = summaries("oracle", task)
    for metrics in (summary["metrics"], *(summary["tracks"][track] for track in TRACKS)):
        for name in ("marginal_success", "turn_success", "overall", "global_awareness", "cumulative_awareness"):
            assert set(values(metrics, name)) == {100.0}, name
        assert set(values(metrics, "collapse")) == {0.0}
    assert {kind: cell["value"] for kind, cell in summary["edit_types"].items()} == dict.fromkeys(EDIT_TYPES, 100.0)


@pytest.mark.parametrize("task", ["mice-mini", "mice-mini-long"])
def test_doing_nothing_follows_nothing_and_keeps_everything(summaries, task):
    summary = summaries("identity", task)
    for metrics in (summary["metrics"], *(summary["tracks"][track] for track in TRACKS)):
        assert set(values(metrics, "marginal_success")) == {0.0}
        assert set(values(metrics, "turn_success")) == {0.0}
        assert set(values(metrics, "content_consistency")) == {100.0}
    assert {kind: cell["value"] for kind, cell in summary["edit_types"].items()} == dict.fromkeys(EDIT_TYPES, 0.0)


@pytest.mark.parametrize("task", ["mice-mini", "mice-mini-long"])
def test_without_memory_plain_is_perfect_and_awareness_is_lost(summaries, task):
    tracks = summaries("oracle-last", task)["tracks"]
    assert set(values(tracks["plain"], "global_awareness")) == {100.0}
    assert set(values(tracks["plain"], "turn_success")) == {100.0}
    for track in ("cm", "cu"):
        last = list(tracks[track]["cumulative_awareness"].values())[-1]
        assert last["high"] < 50
    assert values(tracks["cm"], "marginal_success")[0] == 100.0  # the edits happen; only the rule is forgotten


def test_drift_costs_consistency_and_quality_before_success(summaries):
    metrics = summaries("drifting")["metrics"]
    consistency = values(metrics, "content_consistency")
    assert consistency == sorted(consistency, reverse=True)
    assert consistency[-1] < 90
    drift = values(metrics, "quality_drift")
    assert drift == sorted(drift)
    assert drift[-1] > 10
    assert values(metrics, "turn_success")[-1] > 95


def test_clumsy_fails_each_type_as_often_as_its_card_says(summaries):
    from micebench.cards import EditorCard, load_card

    rates = load_card(EditorCard, "clumsy").options["failure"]
    measured = summaries("clumsy")["edit_types_by_turn"]
    for kind, rate in rates.items():  # turn 1 only: later turns also suffer from earlier failures
        cell = measured[kind]["1"]
        assert cell["low"] <= 100 * (1 - rate) <= cell["high"], kind


@pytest.mark.parametrize("model", ["identity", "oracle", "oracle-last", "drifting", "clumsy"])
def test_the_accepted_results_are_what_they_score_today(summaries, model):
    path = Path(__file__).parents[2] / "results" / "mice-mini" / model / "summary.json"
    accepted, today = json.loads(path.read_text(encoding="utf-8"))["metrics"], summaries(model)["metrics"]
    assert accepted.keys() == today.keys()
    for name, cells in today.items():
        for turn, cell in cells.items():
            assert accepted[name][turn] == pytest.approx(cell, abs=1e-3), (name, turn)


def test_same_seed_same_images_whatever_the_batch():
    """Batching never changes a result."""
    from micebench.cards import EditorCard, load_card, resolve_kind
    from micebench.editors.base import EditRequest
    from micebench.tasks.load import iter_sessions, load_task

    sessions = [session for session, _ in zip(iter_sessions(load_task("mice-mini")), range(12), strict=False)]
    requests = [
        EditRequest(s.id, 1, (s.turns[0].instruction,), (s.image.open(),), seed=7 + i) for i, s in enumerate(sessions)
    ]
    for model in ("drifting", "clumsy", "oracle"):
        card = load_card(EditorCard, model)
        editor = resolve_kind("editor", card.editor, where=model)(card)
        together = editor.edit(requests)
        alone = [editor.edit([request])[0] for request in requests]
        assert all((a == b).all() for a, b in zip(together, alone, strict=True))
