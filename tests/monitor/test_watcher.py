"""Each checkpoint is evaluated once, like the base run; a training that gets worse is stopped."""

import json
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest

from micebench.comparison.gate import GateOptions
from micebench.engine.evaluate import evaluate
from micebench.engine.golden import freeze
from micebench.engine.run_reader import open_run
from micebench.errors import CardError, EndpointError, RunError
from micebench.monitor.watch_log import Entry, WatchLog, failures_in_a_row, read_log
from micebench.monitor.watcher import watch
from tests.monitor.watched_training import COUNT, Light, Shades, age, bench, checkpoint, options

Bench = tuple[Path, Path, Path]


@pytest.fixture
def watched(tmp_path: Path) -> Bench:
    return bench(tmp_path)


def log_of(training: Path) -> WatchLog:
    log = read_log(training / "watch")
    assert log is not None
    return log


def outcomes(training: Path) -> dict[str, str]:
    return {entry.label: entry.outcome for entry in log_of(training).entries}


def test_checkpoints_are_evaluated_by_step_and_compared_with_the_base(watched: Bench) -> None:
    cards, base, training = watched
    for name, good in (("step-100", 0.9), ("step-20", 0.75), ("step-3", 0.3)):
        checkpoint(training, name, good)
    (training / "logs").mkdir()
    shown: list[int] = []
    stopped = watch(training, base, options(cards), show=lambda log, out: shown.append(len(log.entries)))
    assert not stopped
    assert list(outcomes(training).items()) == [
        ("step-3", "regressed"),
        ("step-20", "passed"),
        ("step-100", "passed"),
    ]
    assert shown == [1, 2, 3]
    entries = log_of(training).entries
    assert [entry.step for entry in entries] == [3, 20, 100]
    assert entries[1].cell is not None
    assert entries[1].cell["difference"] == 0.0
    assert entries[2].value == open_run(training / "watch/step-100").summary()["metrics"]["overall"]["3"]
    assert not any((training / "watch/.held").iterdir())
    one, other = open_run(base).manifest, open_run(training / "watch/step-3").manifest
    for field in ("task_hash", "judge_hash", "context", "limit", "seed", "repeats", "n_sessions"):
        assert getattr(one, field) == getattr(other, field), field


def test_the_base_runs_protocol_is_taken_over(watched: Bench, tmp_path: Path) -> None:
    cards, _, training = watched
    evaluate("toy", "painter", out=tmp_path / "other", cards=[cards], limit=9, seed=5, context="history", repeats=2)
    checkpoint(training, "a", 0.75)
    watch(training, tmp_path / "other", options(cards))
    manifest = open_run(training / "watch/a").manifest
    assert (manifest.limit, manifest.seed, manifest.context, manifest.repeats) == (9, 5, "history", 2)


def test_two_failures_in_a_row_stop_it_and_the_training_is_told(watched: Bench, tmp_path: Path) -> None:
    cards, base, training = watched
    for step, good in enumerate((0.2, 0.8, 0.2, 0.1, 0.9)):
        checkpoint(training, f"step-{step}", good)
    note, stop = tmp_path / "note", tmp_path / "stop"
    code = "import os, sys; open(sys.argv[1], 'w').write(os.environ['MICEBENCH_CHECKPOINT'] + sys.argv[2])"
    command = (sys.executable, "-c", code, str(note), f"; touch {tmp_path / 'shell'}")
    assert watch(training, base, options(cards, on_fail=command, stop_file=stop))
    assert list(outcomes(training)) == ["step-0", "step-1", "step-2", "step-3"], "and what follows is left alone"
    assert note.read_text().startswith("step-3;")
    assert not (tmp_path / "shell").exists(), "no shell reads the command"
    said = json.loads(stop.read_text())
    assert (said["checkpoint"], said["failures"]) == ("step-3", 2)
    assert "got worse" in said["reasons"][0]
    note.unlink()
    assert not watch(training, base, options(cards, on_fail=command)), "the next one has passed"
    assert not note.exists()
    assert not log_of(training).stopped


def test_a_stop_is_told_once_but_stays_a_failure(watched: Bench, tmp_path: Path) -> None:
    cards, base, training = watched
    for step in range(2):
        checkpoint(training, f"step-{step}", 0.1)
    assert watch(training, base, options(cards, stop_file=tmp_path / "stop"))
    (tmp_path / "stop").unlink()
    assert watch(training, base, options(cards, stop_file=tmp_path / "stop"))
    assert not (tmp_path / "stop").exists()
    log = log_of(training)
    log.stopped = False  # killed before the training was told
    log.save(training / "watch")
    assert watch(training, base, options(cards, stop_file=tmp_path / "stop"))
    assert (tmp_path / "stop").exists()


def test_it_can_go_on_regardless_and_a_command_that_fails_is_one_line(watched: Bench) -> None:
    cards, base, training = watched
    for step in range(3):
        checkpoint(training, f"step-{step}", 0.1)
    assert not watch(training, base, options(cards, stop_after=None))
    assert len(log_of(training).entries) == 3
    lines: list[str] = []
    assert watch(training, base, options(cards, on_fail=("/no/such/program",)), tell=lines.append)
    assert "--on-fail: /no/such/program: No such file or directory" in lines


def entry(outcome: str) -> Entry:
    return Entry(name="a", label="a", kind="card", step=None, signature="", held="", outcome=outcome, reasons=[])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("letters", "count"), [("", 0), ("p", 0), ("pr", 1), ("rr", 2), ("rpr", 1), ("rbr", 2), ("ridb", 1), ("rrp", 0)]
)
def test_what_proves_nothing_neither_counts_nor_excuses(letters: str, count: int) -> None:
    words = {"p": "passed", "r": "regressed", "i": "incomplete", "d": "drifted", "b": "broken"}
    assert failures_in_a_row([entry(words[letter]) for letter in letters]) == count


def test_a_broken_checkpoint_is_one_line_and_stops_nothing(watched: Bench) -> None:
    cards, base, training = watched
    checkpoint(training, "step-1", 0.1)
    (training / "step-1/editor.yaml").write_text("id: [")
    checkpoint(training, "step-2", 0.1, fail=True)
    checkpoint(training, "step-3", 0.75)
    (training / "step-4").mkdir()
    (training / "step-4/model_index.json").write_text('{"_class_name": "FluxKontextPipeline", "vae": ["a", "B"]}')
    checkpoint(training, "step-5", 0.75)
    for path in training.iterdir():
        age(path)
    assert not watch(training, base, options(cards, settle=0.0))
    assert outcomes(training) == {
        "step-1": "broken",
        "step-2": "incomplete",
        "step-3": "passed",
        "step-4": "broken",
        "step-5": "passed",
    }
    reasons = {entry.label: entry.reasons for entry in log_of(training).entries}
    assert "editor.yaml:1: not valid YAML" in reasons["step-1"][0]
    assert "not a number" in reasons["step-2"][-1]
    assert f"failed in {COUNT} sessions" in reasons["step-2"][-1]
    assert reasons["step-4"] == ["vae/ is missing"]


def test_a_judge_that_is_gone_is_no_fault_of_the_checkpoint(watched: Bench) -> None:
    cards, base, training = watched
    checkpoint(training, "a", 0.75)
    Light.mood = "gone"
    with pytest.raises(EndpointError):
        watch(training, base, options(cards))
    Light.mood = "calm"
    golden = cards / "judges/meter/golden.jsonl"
    golden.write_text("torn")
    with pytest.raises(CardError, match="golden"):
        watch(training, base, options(cards))
    golden.unlink()
    watch(training, base, options(cards))
    assert outcomes(training) == {"a": "passed"}


def test_a_judge_that_has_drifted_proves_nothing(watched: Bench, tmp_path: Path) -> None:
    cards, base, training = watched
    golden = freeze([open_run(base)], sessions=6, limit=0.01)[0]
    (cards / "judges/meter/golden.jsonl").write_bytes(golden)
    checkpoint(training, "a", 0.75)
    Light.mood = "contrary"
    try:
        watch(training, base, options(cards))
    finally:
        Light.mood = "calm"
    assert outcomes(training) == {"a": "drifted"}


def test_interrupted_anywhere_it_goes_on_where_it_was(watched: Bench, tmp_path: Path) -> None:
    cards, base, training = watched
    for step, good in enumerate((0.8, 0.3)):
        checkpoint(training, f"step-{step}", good, calls=str(tmp_path / "calls"))
    watch(training, base, options(cards, out=tmp_path / "straight"))
    (tmp_path / "calls").unlink()
    for _ in range(20):
        Shades.interrupt_after = 11
        try:
            watch(training, base, options(cards, out=tmp_path / "resumed"))
        except KeyboardInterrupt:
            continue
        break
    Shades.interrupt_after = None
    edits = (tmp_path / "calls").read_text().splitlines()
    assert len(edits) - 2 * len(set(edits)) <= 2 * 4, "no more than the batch in flight is done again"
    names = ("watch.json", "step-0/summary.json", "step-1/summary.json", "step-1/verdicts.parquet")
    for name in names:
        assert (tmp_path / "resumed" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes(), name


def test_a_checkpoint_may_be_deleted_while_it_is_evaluated(watched: Bench) -> None:
    cards, base, training = watched
    place = checkpoint(training, "best", 0.75)
    Shades.on_edit = lambda: shutil.rmtree(place, ignore_errors=True)
    Shades.interrupt_after = 2
    with pytest.raises(KeyboardInterrupt):
        watch(training, base, options(cards))
    Shades.interrupt_after = None
    assert not place.exists()
    watch(training, base, options(cards))
    assert outcomes(training) == {"best": "passed"}


def test_a_folder_that_is_replaced_is_another_checkpoint(watched: Bench) -> None:
    cards, base, training = watched
    checkpoint(training, "best", 0.75)
    watch(training, base, options(cards))
    new = checkpoint(training, "best-new", 0.3)
    watch(training, base, options(cards))
    assert outcomes(training) == {"best": "passed"}, "a trainer is still writing best-new"
    shutil.rmtree(training / "best")
    new.rename(training / "best")
    watch(training, base, options(cards))
    watch(training, base, options(cards))
    assert outcomes(training) == {"best": "passed", "best-2": "regressed"}


def test_files_changed_in_place_while_they_were_read_count_for_nothing(watched: Bench) -> None:
    cards, base, training = watched
    place = checkpoint(training, "a", 0.75)

    def change() -> None:
        Shades.on_edit = None
        with (place / "editor.yaml").open("a") as file:
            file.write("# more\n")

    Shades.on_edit = change
    watch(training, base, options(cards, settle=0.0))
    first = log_of(training).entries[0]
    assert (first.outcome, first.reasons) == ("broken", ["its files were changed in place while it was evaluated"])


def test_it_waits_for_what_a_training_writes(watched: Bench) -> None:
    cards, base, training = watched

    def train() -> None:
        for step, good in enumerate((0.9, 0.3, 0.2, 0.1)):
            time.sleep(0.3)
            checkpoint(training, f"step-{step}.tmp", good).rename(training / f"step-{step}")

    thread = threading.Thread(target=train)
    thread.start()
    try:
        assert watch(training, base, options(cards, once=False))
    finally:
        thread.join()
    assert outcomes(training) == {"step-0": "passed", "step-1": "regressed", "step-2": "regressed"}


def test_another_watch_or_another_task_is_refused(watched: Bench) -> None:
    cards, base, training = watched
    checkpoint(training, "a", 0.75)
    watch(training, base, options(cards))
    with pytest.raises(RunError, match="holds another watch"):
        watch(training, base, options(cards, gate=GateOptions(tolerance=5.0)))
    with pytest.raises(RunError, match="no such folder"):
        watch(training / "nowhere", base, options(cards))
    with pytest.raises(RunError, match="is not measured"):
        watch(training, base, options(cards, out=training / "w2", gate=GateOptions(metric="collapse")))
    path = cards / "tasks/toy/task.yaml"
    path.write_text(path.read_text() + "\nversion: 9\n")
    with pytest.raises(RunError, match="has changed since"):
        watch(training, base, options(cards))
