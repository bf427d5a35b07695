"""Saved pipelines and LoRAs, as our trainers write them, run with the settings of the base run's model."""

import shutil
from pathlib import Path

import pytest

from micebench.cards import EditorCard
from micebench.comparison.gate import GateOptions
from micebench.engine.evaluate import evaluate
from micebench.engine.run_reader import open_run
from micebench.errors import RunError
from micebench.monitor.watch_log import read_log
from micebench.monitor.watcher import WatchOptions, watch
from micebench.training.rl.policies.diffusion import Policy
from micebench.training.rl.policies.lora import LoraOptions
from tests.monitor.watched_training import age, bench, tensors
from tests.training.rl.tiny import tiny_editor

GATE = GateOptions(metric="content_consistency@3", coverage=0.0)


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> EditorCard:
    return tiny_editor(tmp_path_factory.mktemp("tiny") / "weights", steps=2)


def test_pipelines_and_loras_are_evaluated_like_the_base(card: EditorCard, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    base, training = tmp_path / "base", tmp_path / "training"
    evaluate("mice-mini", card, out=base, limit=2)
    shutil.copytree(card.weights_folder(), training / "checkpoint-1")
    Policy(card, LoraOptions(rank=2, alpha=2), copies=()).save(training / "checkpoint-2")
    shutil.copytree(training / "checkpoint-2", training / "checkpoint-3")
    lora = training / "checkpoint-3/pytorch_lora_weights.safetensors"
    lora.write_bytes(lora.read_bytes()[:-5])
    age(training)
    assert not watch(training, base, WatchOptions(gate=GATE, once=True))
    log = read_log(training / "watch")
    assert log is not None
    first, second, third = log.entries
    assert [entry.kind for entry in log.entries] == ["pipeline", "adapter", "adapter"]
    assert [entry.cell and entry.cell["difference"] for entry in (first, second)] == [
        0.0,
        pytest.approx(0.0, abs=0.2),
    ]
    assert (third.outcome, third.reasons) == (
        "broken", ["pytorch_lora_weights.safetensors lacks 5 bytes"]
    )  # fmt: skip
    manifests = [open_run(training / "watch" / f"checkpoint-{number}").manifest for number in (1, 2)]
    assert [manifest.model for manifest in manifests] == ["checkpoint-1", "tiny+checkpoint-2"]
    for manifest in manifests:
        assert manifest.editor_card is not None
        assert manifest.editor_card["options"] == card.options
    assert manifests[0].editor_hash == open_run(base).manifest.editor_hash, "the same weights and settings"


def test_a_lora_without_its_model_is_nobodys_checkpoint(tmp_path: Path) -> None:
    cards, base, training = bench(tmp_path)
    (training / "checkpoint-1").mkdir()
    tensors(training / "checkpoint-1/pytorch_lora_weights.safetensors")
    age(training)
    (cards / "baselines/painter/editor.yaml").rename(tmp_path / "gone.yaml")
    with pytest.raises(RunError, match=r"unknown model 'painter'.*--model"):
        watch(training, base, WatchOptions(once=True, cards=(cards,)))
    with pytest.raises(RunError, match="no such folder"):
        watch(training, base, WatchOptions(once=True, cards=(cards,), model="kontext", weights=tmp_path / "nowhere"))
