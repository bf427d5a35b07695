"""A LoRA of every kind of full-size editor is trained on photographs, and evaluation makes the trained images."""

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("peft")
pytest.importorskip("accelerate")
pytest.importorskip("tensorboard")

from typer.testing import CliRunner  # noqa: E402

import micebench.training.rl.trainer as trainer  # noqa: E402
from micebench.cli import build_app  # noqa: E402
from micebench.editors.diffusers import DiffusersEditor  # noqa: E402
from micebench.engine.run_reader import open_run  # noqa: E402
from micebench.registry.model_files import NO_FILES, ModelFiles, place  # noqa: E402
from micebench.training.rl.policies.diffusion import Policy  # noqa: E402
from micebench.training.rl.recipe import load_rl_recipe  # noqa: E402
from micebench.training.rl.preflight import starting_model  # noqa: E402
from micebench.tasks.load import load_task_card  # noqa: E402
from tests.editors.conftest import difference  # noqa: E402
from tests.judges.fake_vlm_server import Vlm, completes, walk  # noqa: E402
from tests.judges.photo_cards import judge_folder  # noqa: E402
from tests.training.rl.photographs import write_judge, write_model, write_recipe, write_sessions  # noqa: E402
from tests.training.rl.policies.diffusion_policies import KINDS, UNGUIDED, small  # noqa: E402

STEPS = 3


class Watched(Policy):
    """Makes an image whenever it is saved, with the weights that are."""

    made: list = []  # noqa: RUF012

    def save(self, folder):
        Watched.made.append(self.editor.edit([small(9)])[0])
        super().save(folder)


@pytest.fixture
def watched(monkeypatch):
    monkeypatch.setattr(trainer, "Policy", Watched)
    Watched.made = []
    return Watched.made


def train(recipe, work, folder, **how):
    said = {}
    best = trainer.train_rl(recipe, work, data=folder / "data", show=said.__setitem__, device="cpu", **how)
    return best, said


@pytest.mark.parametrize("method", ["nft", "grpo"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_trained_is_what_evaluation_loads(tiny_card, kind, method, tmp_path, watched):
    """The card has guidance as it ships; the recipe takes away what cannot be learnt through."""
    task = write_sessions(tmp_path)
    write_judge(tmp_path)
    write_model(tmp_path, tiny_card(kind, steps=STEPS))
    path = write_recipe(tmp_path, "tiny", method, options=UNGUIDED[kind])
    recipe = load_rl_recipe(path)
    best, said = train(recipe, tmp_path / "work", tmp_path)
    assert [said[n]["learn/lessons"] > 0 for n in (1, 2)] == [True, True]
    assert all(0 < said[n]["learn/gradient_norm"] < float("inf") for n in (1, 2))
    assert sorted(file.name for file in best.iterdir()) == ["pytorch_lora_weights.safetensors"]
    card, _ = starting_model(recipe, load_task_card(str(task)), None, NO_FILES)
    _, with_adapter = place(card, ModelFiles(adapter=best))
    loaded, plain = (DiffusersEditor(which).edit([small(9)])[0] for which in (with_adapter, card))
    assert difference(watched[-1], loaded) <= 1
    assert difference(plain, loaded) > 1


def test_from_the_command_line_to_a_run_with_the_adapter(tiny_card, tmp_path):
    """A card that names a repository at no commit, as those that ship do; the weights are given by hand. The first
    of the sessions is held out for validation."""
    card = tiny_card(steps=STEPS)
    write_judge(tmp_path)
    task, data = write_sessions(tmp_path, turns=(1, 2, 1)), str(tmp_path / "data")
    model = write_model(tmp_path, card, weights=None, repo="someone/tiny")
    judge = str(tmp_path / "judges" / "patterned" / "judge.yaml")
    held_out = {"task": str(task), "judge": judge, "limit": 1}
    recipe = write_recipe(tmp_path, "tiny", "nft", iterations=1, validation=held_out)
    work, files = str(tmp_path / "work"), ["--weights", str(card.weights)]

    def micebench(*words):
        done = CliRunner().invoke(build_app(), list(words))
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            return str(done.exception)
        return done.output

    command = ("train", str(recipe), "--data", data, "--device", "cpu", "--out", work)
    assert "give a local copy with --weights DIR" in micebench(*command)
    assert "best" in micebench(*command, *files)
    notes = sorted((tmp_path / "work" / "validation").glob("*.json"))
    readings = [json.loads(note.read_text(encoding="utf-8")) for note in notes]
    assert [(reading["iteration"], reading["overall"] > 0) for reading in readings] == [(0, True), (1, True)]
    validated = open_run(tmp_path / "work" / "validation" / "00001")
    assert [session.id for session in validated.sessions()] == ["s0"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "model_index.json").write_text("{}", encoding="utf-8")
    assert "another model, or of other weights" in micebench(*command, "--weights", str(other))
    for adapter, out in ((), "plain"), (("--adapter", f"{work}/best"), "trained"):
        where = ("--task", str(task), "--data", data, "--judge", judge, "--out", str(tmp_path / out))
        micebench("run", "--model", str(model), *files, *adapter, *where, "--no-report", "--quiet")
    plain, trained = open_run(tmp_path / "plain"), open_run(tmp_path / "trained")
    assert trained.manifest.model == "tiny+best"
    assert not plain.failures()
    assert not trained.failures()


def test_a_judge_behind_a_server_gives_the_rewards(tiny_card, tmp_path):
    """A vision-language model that says yes to every other call; two sessions, two rollouts, two turns."""

    def decide(number, body):
        last = sum(part["type"] == "image_url" for part in body["messages"][-1]["content"]) - 1
        return completes(walk(last, "yes" if number % 2 else "no"))

    write_sessions(tmp_path, turns=(2, 2))
    write_model(tmp_path, tiny_card(steps=STEPS))
    with Vlm(decide).running() as vlm:
        judge = judge_folder(tmp_path / "cards", vlm.url) / "judges" / "asking" / "judge.yaml"
        recipe = write_recipe(tmp_path, "tiny", "nft", judge=str(judge), advantages={"weights": {"GA": 1.0}})
        _, said = train(load_rl_recipe(recipe), tmp_path / "work", tmp_path)
    assert all(body["model"] == "tiny" for body in vlm.bodies)
    assert said[1]["judge/ok"] == 8
    assert 0 <= said[1]["advantage/reward/GA/turn_1"] <= 1
