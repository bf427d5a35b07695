"""What is still being written is left alone; what a file says about its own length counts."""

import threading
import time
from pathlib import Path

import pytest

from micebench.monitor.checkpoints import find_checkpoints, hold, unfinished
from micebench.monitor.watch_log import read_log
from micebench.monitor.watcher import watch
from tests.monitor.watched_training import age, bench, checkpoint, options, tensors


def write(path: Path, text: str = "{}") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_pipelines_loras_and_cards_are_found_by_step(tmp_path: Path) -> None:
    write(tmp_path / "checkpoint-1000/model_index.json")
    write(tmp_path / "checkpoint-200/adapter/pytorch_lora_weights.safetensors")
    write(tmp_path / "checkpoint-30/pytorch_lora_weights.safetensors")
    write(tmp_path / "best/weights/model_index.json")
    write(tmp_path / "mine/editor.yaml")
    for name in ("best-new", "best-old", "checkpoint-5.tmp", ".hidden", "checkpoint-6.partial"):
        write(tmp_path / name / "model_index.json")
    write(tmp_path / "logs/curve.jsonl")
    write(tmp_path / "model_index.json")
    found = [
        (one.name, one.kind, one.step, one.path.relative_to(tmp_path).as_posix())
        for one in find_checkpoints(tmp_path)
    ]
    assert found == [
        ("checkpoint-30", "adapter", 30, "checkpoint-30"),
        ("checkpoint-200", "adapter", 200, "checkpoint-200/adapter"),
        ("checkpoint-1000", "pipeline", 1000, "checkpoint-1000"),
        ("best", "pipeline", None, "best/weights"),
        ("mine", "card", None, "mine"),
    ]


@pytest.mark.parametrize("missing", [0, 1, 15, 16, 17, 60, 10_000])
def test_a_torn_tensor_file_is_unfinished(tmp_path: Path, missing: int) -> None:
    path = tmp_path / "a/pytorch_lora_weights.safetensors"
    path.parent.mkdir()
    tensors(path, missing=missing)
    (found,) = find_checkpoints(tmp_path)
    assert bool(unfinished(found)) == bool(missing), unfinished(found)


@pytest.mark.parametrize("inner", ["", "adapter/"])
def test_an_adapter_of_peft_needs_its_config(tmp_path: Path, inner: str) -> None:
    (tmp_path / "step-7" / inner).mkdir(parents=True)
    tensors(tmp_path / f"step-7/{inner}adapter_model.safetensors")
    (found,) = find_checkpoints(tmp_path)
    assert (found.kind, found.step) == ("adapter", 7)
    assert unfinished(found) == "adapter_config.json is missing"
    write(tmp_path / f"step-7/{inner}adapter_config.json")
    assert unfinished(found) == ""


def test_what_an_index_names_must_be_there(tmp_path: Path) -> None:
    write(tmp_path / "a/model_index.json", '{"_class_name": "X", "vae": ["diffusers", "V"], "extra": [null, null]}')
    (found,) = find_checkpoints(tmp_path)
    assert unfinished(found) == "vae/ is missing"
    write(tmp_path / "a/vae/model.safetensors.index.json", '{"weight_map": {"x": "model-1.safetensors"}}')
    assert unfinished(found) == "vae/model-1.safetensors is missing"
    tensors(tmp_path / "a/vae/model-1.safetensors")
    assert unfinished(found) == ""


def test_what_is_held_costs_no_bytes_and_survives(tmp_path: Path) -> None:
    tensors(tmp_path / "w.safetensors")
    place = tmp_path / "a"
    place.mkdir()
    (place / "pytorch_lora_weights.safetensors").symlink_to(tmp_path / "w.safetensors")
    (found,) = find_checkpoints(tmp_path)
    held = hold(found, tmp_path / "held")
    assert held.look().signature == found.look().signature
    file = held.path / "pytorch_lora_weights.safetensors"
    assert file.stat().st_ino == (tmp_path / "w.safetensors").stat().st_ino
    (place / "pytorch_lora_weights.safetensors").unlink()
    assert unfinished(held) == ""


def outcomes(training: Path) -> dict[str, str]:
    log = read_log(training / "watch")
    return {} if log is None else {entry.label: entry.outcome for entry in log.entries}


def test_a_growing_file_is_waited_for(tmp_path: Path) -> None:
    cards, base, training = bench(tmp_path)
    place = checkpoint(training, "a", 0.1)  # bad until the last byte is there
    growing = threading.Event()

    def train() -> None:
        for _ in range(8):
            with (place / "weights.bin").open("ab") as file:
                file.write(b"x")
            growing.set()
            time.sleep(0.1)
        checkpoint(training, "a", 0.75)

    thread = threading.Thread(target=train)
    thread.start()
    growing.wait()
    watch(training, base, options(cards, settle=2.0))
    thread.join()
    assert outcomes(training) == {"a": "passed"}


def test_a_marker_says_more_than_time(tmp_path: Path) -> None:
    cards, base, training = bench(tmp_path)
    place = checkpoint(training, "a", 0.75)
    said: list[str] = []
    watch(training, base, options(cards, marker="DONE"), tell=said.append)
    assert said[-1] == "not complete, left out: a"
    assert outcomes(training) == {}
    (place / "DONE").touch()
    watch(training, base, options(cards, marker="DONE", settle=1000.0))
    assert outcomes(training) == {"a": "passed"}


def test_a_file_that_stays_torn_is_broken_in_the_end_and_whole_later(tmp_path: Path) -> None:
    cards, base, training = bench(tmp_path)
    place = checkpoint(training, "a", 0.75)
    tensors(place / "more.safetensors", missing=3)
    age(place)
    watch(training, base, options(cards))
    assert outcomes(training) == {"a": "broken"}
    tensors(place / "more.safetensors")
    age(place)
    watch(training, base, options(cards))
    assert outcomes(training) == {"a": "broken", "a-2": "passed"}
