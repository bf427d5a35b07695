"""`micebench train` of an RL recipe: it trains, and what it cannot do is one line before anything is loaded."""

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("accelerate")
pytest.importorskip("tensorboard")

import yaml

from micebench.cards import TaskCard, load_card
from micebench.cli import main
from tests.training.rl.tiny import tiny_editor, tiny_rl


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The verb, in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["micebench", "train", *words])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return int(end.value.code or 0), said.out, said.err

    return call


def test_a_recipe_is_trained_from_the_command_line(train, tmp_path: Path) -> None:
    card = tiny_editor(tmp_path / "tiny-weights", steps=2)
    said = card.model_dump(mode="json", exclude_defaults=True)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(said), encoding="utf-8")
    task = load_card(TaskCard, "mice-mini-train").model_dump(mode="json", exclude={"fingerprint", "sessions"})
    few = {**task, "options": {**task["options"], "counts": {"plain": 4}}}
    (tmp_path / "few.yaml").write_text(yaml.safe_dump(few), encoding="utf-8")
    recipe = json.loads(
        tiny_rl(model="nobody", task="few.yaml", iterations=40).model_dump_json(exclude_defaults=True)
    )
    (tmp_path / "rl.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    words = ("rl.yaml", "--model", "tiny.yaml", "--iterations", "2", "--seed", "7", "--device", "cpu", "-o", "work")
    code, out, err = train(*words)
    assert code == 0, err
    assert out.splitlines()[-1].split() == ["weights", "work/best"]
    noted = json.loads((tmp_path / "work" / "recipe.json").read_text(encoding="utf-8"))
    assert (noted["model"], noted["iterations"], noted["seed"]) == ("tiny.yaml", 2, 7)
    steps = [line.split()[0] for line in out.splitlines()[:-1]]
    assert steps == ["1", "2"]
    assert "CC" in out.splitlines()[0]

    code, out, _ = train(*words)  # the same command again has nothing to do
    assert (code, len(out.splitlines())) == (0, 1)
    code, out, _ = train(*words[:4], "3", *words[5:])  # one more iteration
    assert (code, [line.split()[0] for line in out.splitlines()]) == (0, ["3", "weights"])
    code, out, err = train(*words)
    assert code == 1
    assert err.startswith("error: work holds a training of 3 iterations, more than the 2 asked for")
    code, out, err = train(*words[:6], "8", *words[7:])
    assert code == 1
    assert err.startswith("error: work holds a training run of another recipe")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["mt-editflow-nft", "--model", "kontexts"], "'kontexts'"),
        (["mt-editflow-nft", "--model", "flux.1-kontext-dev"], "e.g. mt-editflow-nft-lora"),
        (["mt-editflow-nft", "--task", "mice-cm-train"], "'mice-cm-train'"),
        (["mt-editflow-nft", "--task", "nowhere"], "'nowhere'"),
        (["mt-editflow-nft", "--task", "mice-mini"], "'mice-mini' is a test split"),
        (["mt-editflow-nft", "--device", "gpu"], "device is 'gpu'"),
        (["mt-editflow-nft", "--judge", "nobody"], "'nobody'"),
        (["mt-editflow-nft", "--iterations", "0"], "iterations"),
        (["mt-editflow-nft", "--seed", str(2**70)], "seed"),
        (["kontext", "--seed", str(2**70)], "--seed: seed"),
        (["mt-editflow"], "mt-editflow-nft"),
        (["kontext", "--model", "kontext"], "--model: for post-training"),
        (["kontext", "--iterations", "3", "--judge", "exact"], "--judge, --iterations: for post-training"),
    ],
)
def test_what_cannot_be_trained_is_one_line(train, tmp_path: Path, words: list[str], named: str) -> None:
    code, out, err = train("--device", "cpu", *words)
    assert (code, out) == (1, "")
    line = err.rstrip("\n")
    assert line.startswith("error: ")
    assert named in line
    assert "\n" not in line
    assert not (tmp_path / "training").exists(), "nothing was begun"


def test_help_shows_how_it_is_used(train) -> None:
    code, out, _ = train("--help")
    assert code == 0
    assert "micebench train kontext" in out
    assert "micebench train mt-editflow-nft --model kontext --out training/rl" in out
    assert "accelerate launch -m micebench train" in out


def test_a_training_that_learns_nothing_ends_with_code_3(train, tmp_path: Path) -> None:
    """Random weights follow no instruction: IF is 0 in all rollouts, and no group has any spread."""
    card = tiny_editor(tmp_path / "tiny-weights", steps=2)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(card.model_dump(mode="json", exclude_defaults=True)))
    recipe = tiny_rl(model="tiny.yaml", iterations=1, advantages={"weights": {"IF": 1.0}})
    (tmp_path / "rl.yaml").write_text(yaml.safe_dump(json.loads(recipe.model_dump_json(exclude_defaults=True))))
    for _ in range(2):
        code, _, err = train("rl.yaml", "--device", "cpu", "-o", "work")
        assert code == 3, err
        assert "nothing was learnt in 1 iterations" in err
        assert "work/best" in err
    assert (tmp_path / "work" / "best").is_dir()
