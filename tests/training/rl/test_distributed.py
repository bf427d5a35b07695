"""Several processes share an iteration's sessions, and learn what one would: to float rounding, whoever has what.

The sessions have one, three, one and two turns, so that the processes differ in the length of what they roll out; the
batches are so small that in many optimizer steps one of them has nothing to learn from.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("peft")
pytest.importorskip("accelerate")
pytest.importorskip("tensorboard")

from micebench.training.rl.recipe import load_rl_recipe  # noqa: E402
from micebench.training.rl.trainer import train_rl  # noqa: E402
from tests.editors.tiny_pipelines import with_small_megapixels, without_torchvision  # noqa: E402
from tests.training.rl.photographs import write_judge, write_model, write_recipe, write_sessions  # noqa: E402
from tests.training.rl.policies.diffusion_policies import UNGUIDED  # noqa: E402

TOLERANCE = 0.05
"""Distance (L2, over all weights) between the two trainings, as a share of the way that one of them went. Float
rounding (another order of sums, other places in memory) now and then rounds a pixel the other way, which the rewards
show; and AdamW makes whole steps of gradients that are nearly zero, of which a model with all its weights has some.
Seen: 0.0002 (LoRA, NFT) and 0.016 (all weights, GRPO). A process that is not heard changes half of the gradient."""

WORKER = """
import json, os, sys
from accelerate.state import AcceleratorState
from tests.training.rl.test_distributed import with_small_pipelines
from micebench.cli import build_app, main

with_small_pipelines()
*commands, last = json.loads(sys.argv[1])
for command in commands:
    build_app()(command, standalone_mode=False)
    AcceleratorState._reset_state(reset_partial_state=True)
    os.environ["MASTER_PORT"] = str(int(os.environ["MASTER_PORT"]) + 1)
sys.argv[1:] = last
main()
"""

CASES = {
    "nft": {"kind": "QwenImageEditPipeline", "lora": {"rank": 4, "alpha": 8}, "batch": 2},
    "grpo": {"kind": "FluxKontextPipeline", "lora": None, "batch": 7},
}
"""A LoRA on a denoiser of which some layers have no gradient, and all weights; `batch`: edits per optimizer step."""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def launch(processes: int, commands: list[list[str]]) -> list[tuple[int, str]]:
    """Exit code and standard error of each process, as accelerate and torchrun start them."""
    port, run = free_port(), []
    for rank in range(processes):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
        place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
        run.append(
            subprocess.Popen(
                [sys.executable, "-c", WORKER, json.dumps(commands)],
                env={**os.environ, **{name: str(value) for name, value in place.items()}},
                cwd=Path(__file__).resolve().parents[3],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        said = [process.communicate(timeout=900)[1] for process in run]
    finally:
        for process in run:
            process.kill()
    return [(process.returncode, text) for process, text in zip(run, said, strict=True)]


@pytest.fixture(scope="module")
def folder(tiny_card, tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    write_sessions(folder, turns=(1, 3, 1, 2))
    write_judge(folder)
    write_judge(folder, "down", down=["s1"])
    for method, case in CASES.items():
        write(folder, tiny_card, method, method, **case)
    write(folder, tiny_card, "outage", "nft", **CASES["nft"], judge=str(folder / "judges" / "down" / "judge.yaml"))
    return folder


def write(folder, tiny_card, name, method, *, kind, batch, **changes):
    batch_of_one = {} if kind.startswith("Qwen") else {"max_batch": 1}  # the same images, whoever makes them
    model = write_model(folder, tiny_card(kind, id=kind.lower(), steps=3, **batch_of_one))
    learn = {"lr": 1e-3, "batch": batch, "micro": 2, "warmup": 2, "min_advantage": 0.0, "ema": 0.5}
    rollout = {"sessions": 4, "group": 2, "sampling": {"kind": "cps", "window": 2} if method == "grpo" else {}}
    parts = {"model": str(model), "options": UNGUIDED[kind], "learn": learn, "rollout": rollout, "iterations": 1}
    write_recipe(folder, name, method, **parts, **changes)


def with_small_pipelines():
    """What the fixtures of this process do, in a process of its own."""
    patch = pytest.MonkeyPatch()
    without_torchvision(patch)
    with_small_megapixels(patch)


def recipe_of(folder, name):
    return folder / "recipes" / f"{name}.yaml"


@pytest.fixture(scope="module")
def two(folder):
    """Both methods, then a judge that is down for one session: what each process said in the end."""

    def command(name):
        work, data = str(folder / f"two-{name}"), str(folder / "data")
        return ["train", str(recipe_of(folder, name)), "--data", data, "--device", "cpu", "--out", work]

    return launch(2, [command(name) for name in (*CASES, "outage")])


def trained(work):
    """Every tensor that has learnt, in float32, and the average that is kept."""
    saved = torch.load(work / "checkpoint" / "custom_checkpoint_0.pkl", weights_only=True)
    average = torch.load(work / "checkpoint" / "custom_checkpoint_2.pkl", weights_only=True)["shadow_params"]
    return {**saved["current"], **{f"average {number}": tensor for number, tensor in enumerate(average)}}


@pytest.mark.parametrize("method", CASES)
def test_they_learn_the_same(folder, two, method):
    assert [code for code, _ in two] == [1, 1], two  # the last command fails, see below; nothing before it
    recipe = load_rl_recipe(recipe_of(folder, method))
    train_rl(recipe, folder / f"one-{method}", data=folder / "data", device="cpu")
    ours, theirs = trained(folder / f"one-{method}"), trained(folder / f"two-{method}")
    assert ours.keys() == theirs.keys()
    moved, apart = distance(ours, trained(untrained(folder, method))), distance(ours, theirs)
    assert moved > 0.01
    assert apart < TOLERANCE * moved
    single, shared = (json.loads((folder / f"{n}-{method}" / "curve.jsonl").read_text()) for n in ("one", "two"))
    assert single["learn/gradient_norm"] == pytest.approx(shared["learn/gradient_norm"], rel=0.01)


def distance(one, other):
    return sum((one[name] - other[name]).square().sum().item() for name in one) ** 0.5


def untrained(folder, method):
    """The work folder of the same training with a learning rate of next to nothing."""
    recipe = load_rl_recipe(recipe_of(folder, method))
    slow = recipe.model_copy(update={"learn": recipe.learn.model_copy(update={"lr": 1e-12})})
    train_rl(slow, folder / f"still-{method}", data=folder / "data", device="cpu")
    return folder / f"still-{method}"


def test_a_judge_that_is_down_for_one_stops_both(folder, two):
    """In the process that has the session the reason stands, in the other that there is one; one line each."""
    ends = sorted(text.strip().splitlines()[-1] for _, text in two)
    assert ends[0].startswith("error: 6 of 8 edits have no reward")
    assert "503 Service Unavailable" in ends[0]
    assert ends[1] == "error: another process has stopped, for the reason it names"
    assert "Traceback" not in two[0][1] + two[1][1]
    assert not (folder / "two-outage" / "checkpoint").exists()
