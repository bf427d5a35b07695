"""kill -9 at 30 random moments, then the same command: the same bytes, and no journaled edit made twice."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from micebench.engine.evaluate import evaluate
from tests.toy import toy_cards

RUNS, KILLS = 3, 5  # for each way of judging
REPOSITORY = Path(__file__).parents[2]


def command(folder: str, name: str) -> None:
    """The command that is killed and repeated."""
    evaluate("toy", "painter", out=Path(folder) / name, cards=[Path(folder) / "cards"])


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """New processes that have everything imported already, so that 36 of them are cheap."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.test_kill", "micebench.metrics.summary", "datasets"])
    return context


def prepare(folder: Path, *, concurrent: bool = False) -> Path:
    """Cards whose editor notes every edit in a file; slow enough to be hit anywhere."""
    calls = folder / "calls"
    calls.touch()
    toy_cards(
        folder / "cards",
        task={"count": 100},
        editor={"calls": str(calls), "sleep_s": 0.004},
        judge={"sleep_s": 0.1},
        concurrent=concurrent,
    )
    return calls


def journaled(run: Path) -> Iterator[str]:
    path = run / "edits" / "main.jsonl"
    for line in path.read_bytes().splitlines(keepends=True) if path.exists() else ():
        if line.endswith(b"\n"):
            edit = json.loads(line)
            yield f"{edit['session']} {edit['turn']}"


def results(run: Path) -> dict[str, bytes]:
    (journal,) = (run / "verdicts").iterdir()
    names = ("summary.json", "verdicts.parquet", "sessions.jsonl", "edits/main.jsonl")
    return {name: (run / name).read_bytes() for name in names} | {"verdicts": journal.read_bytes()}


@pytest.mark.slow
@pytest.mark.parametrize("concurrent", [False, True], ids=["judged afterwards", "judged beside editing"])
def test_thirty_kills_leave_no_trace(tmp_path: Path, processes: ForkServerContext, concurrent: bool) -> None:
    calls = prepare(tmp_path, concurrent=concurrent)
    assert run_to_the_end(processes, tmp_path, "straight")
    straight = results(tmp_path / "straight")
    total = written(tmp_path / "straight")
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    killed, stages = 0, set()
    for number in range(RUNS):
        name = f"run{number}"
        run = tmp_path / name
        attempts = 0
        while True:
            done, called = set(journaled(run)), len(calls.read_text().splitlines())
            attempts += 1
            process = processes.Process(target=command, args=(str(tmp_path), name))
            process.start()
            if attempts <= KILLS:  # somewhere in each fifth of what is to be written, the first from the very start
                aim = total * (attempts - 1 + moments.random()) / KILLS
                while process.is_alive() and written(run) < aim:
                    time.sleep(0.001)
                process.join(moments.uniform(0, 0.01 if attempts > 1 else 0.3))
                if process.is_alive():
                    os.kill(process.pid, signal.SIGKILL)
                    killed += 1
                    stages.add(stage(run))
            process.join()
            repeated = done & set(calls.read_text().splitlines()[called:])
            assert not repeated, f"journaled edits made again: {repeated} (seed {seed})"
            if attempts > KILLS:
                assert process.exitcode == 0
                break
        assert results(run) == straight, f"{name} differs from the uninterrupted run (seed {seed})"
    assert killed >= RUNS * (KILLS - 1), f"only {killed} kills came before the end (seed {seed})"
    assert "verdicts" in stages, f"kills hit only {stages} (seed {seed})"


def run_to_the_end(processes: ForkServerContext, folder: Path, name: str) -> bool:
    process = processes.Process(target=command, args=(str(folder), name))
    process.start()
    process.join()
    return process.exitcode == 0


def written(run: Path) -> int:
    """Bytes journaled so far."""
    return sum(path.stat().st_size for room in ("edits", "verdicts") for path in (run / room).glob("*.jsonl"))


def stage(run: Path) -> str:
    """Which stage a killed run was in."""
    for name in ("verdicts", "edits"):
        if any((run / name).glob("*.jsonl")):
            return name
    return "before"


def die_while_the_manifest_is_written(folder: str) -> None:
    os.replace = lambda *_: os._exit(9)
    command(folder, "run")


def test_a_kill_before_the_manifest_stands_leaves_a_folder_to_start_in(
    tmp_path: Path, processes: ForkServerContext
) -> None:
    prepare(tmp_path)
    process = processes.Process(target=die_while_the_manifest_is_written, args=(str(tmp_path),))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert list((tmp_path / "run").glob("*.tmp"))
    command(str(tmp_path), "run")
    assert len(set(journaled(tmp_path / "run"))) == 280


def run_line(folder: Path, *more: str) -> list[str]:
    """``micebench run`` of the toy task into ``folder/run``."""
    line = [sys.executable, "-m", "micebench", "run", "--task", "toy", "--model", "painter", "--no-report"]
    return [*line, "--cards", str(folder / "cards"), "--out", str(folder / "run"), *more]


def test_the_command_line_survives_a_kill_too(tmp_path: Path) -> None:
    calls = prepare(tmp_path)
    line = run_line(tmp_path, "--limit", "40", "-q")
    process = subprocess.Popen(line, cwd=REPOSITORY)
    deadline = time.monotonic() + 60
    while len(calls.read_text().splitlines()) < 40 and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    process.wait()
    done, called = set(journaled(tmp_path / "run")), len(calls.read_text().splitlines())
    assert 0 < len(done) < 112
    subprocess.run(line, cwd=REPOSITORY, check=True, timeout=120)
    again = calls.read_text().splitlines()[called:]
    assert not done & set(again)
    assert len(set(journaled(tmp_path / "run"))) == 112


def test_an_interrupted_run_says_so_and_goes_on(tmp_path: Path) -> None:
    calls = prepare(tmp_path)
    line = run_line(tmp_path)
    process = subprocess.Popen(
        line, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # where tests run in the background
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while len(calls.read_text().splitlines()) < 40 and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert said.rstrip().endswith("interrupted; run the same command again to resume")
    lines = (tmp_path / "run" / "edits" / "main.jsonl").read_bytes()
    assert lines.endswith(b"\n"), "the batch that was being written is whole"
