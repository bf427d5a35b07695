"""Validation says which checkpoint is kept; what got worse is said aloud; what was read once is not read again."""

import json
from contextlib import nullcontext

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("accelerate")
pytest.importorskip("tensorboard")

from accelerate import Accelerator  # noqa: E402
from diffusers import FluxKontextPipeline  # noqa: E402
from diffusers.training_utils import EMAModel  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

import micebench.training.rl.validation as validating  # noqa: E402
from micebench.cards import EditorCard, load_card, resolve_kind  # noqa: E402
from micebench.registry.model_files import is_saved_pipeline, saved_pipeline_card  # noqa: E402
from micebench.errors import RunError  # noqa: E402
from micebench.training.rl.policies.diffusion import Policy  # noqa: E402
from micebench.training.rl.recipe import ValidationRecipe  # noqa: E402
from micebench.training.rl.report import best_reading, one_line, write_report  # noqa: E402
from micebench.training.rl.best_checkpoint import Selection  # noqa: E402
from micebench.training.rl.trainer import train_rl  # noqa: E402
from micebench.training.rl.validation import Reading, Validation  # noqa: E402
from tests.training.rl.tiny import tiny_editor, tiny_rl  # noqa: E402

VALIDATION = {"task": "mice-mini-validation", "every": 1, "limit": 4}


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    return tiny_editor(tmp_path_factory.mktemp("tiny") / "weights", steps=2)


class Scripted(Validation):
    """Readings as a script says: iteration -> overall at the last turn. Turn 1 says the opposite.

    `told`: iterations that have been read; of others there is no reading yet.
    """

    def __init__(self, script, told=()):
        self.script, self.told = script, set(told)

    def read(self, iteration):
        self.told.add(iteration)
        return self.reading(iteration)

    def readings(self):
        return [self.reading(iteration) for iteration in sorted(self.told)]

    def reading(self, iteration):
        overall = self.script[iteration]
        return Reading(iteration, overall, {"overall/1": 100 - overall, "overall/3": overall}, overall < 10)


def selection(policy, validation, work, average=None):
    average = average or EMAModel(policy.parameters(), decay=0.5)
    return Selection(Accelerator(cpu=True), policy, average, validation, work)


def moved(policy, to):
    """Every weight of the policy at one number."""
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.fill_(to)


def kept(work):
    """The number that all the kept weights are at."""
    weights = load_file(work / "best" / "transformer" / "diffusion_pytorch_model.safetensors")
    (value,) = {value for tensor in weights.values() for value in tensor.float().unique().tolist()}
    return value


@pytest.fixture(scope="module")
def policy(card):
    return Policy(card, None, copies=(), device="cpu")


@pytest.mark.parametrize(
    ("script", "best"),
    [
        ({0: 50.0, 1: 40.0, 2: 60.0, 3: 55.0}, 2),
        ({0: 50.0, 1: 40.0, 2: 45.0, 3: 5.0}, 2),  # nothing beats the start: the least loss, and the report says so
        ({0: 50.0, 1: 60.0, 2: 60.0}, 1),  # the earliest of equals
    ],
)
def test_the_highest_overall_at_the_last_turn_is_kept(policy, tmp_path, script, best):
    (tmp_path / "work").mkdir()
    average, said = EMAModel(policy.parameters(), decay=0.5), {}
    validation = Scripted(script)
    chosen = selection(policy, validation, tmp_path / "work", average)
    for iteration in script:
        moved(policy, 0.5 + iteration)
        average.shadow_params = [parameter.clone().detach() for parameter in policy.parameters()]
        chosen.look(iteration, said.__setitem__)
    assert kept(chosen.result().parent) == 0.5 + best
    assert best_reading(validation.readings()).iteration == best, "report and weights speak of the same checkpoint"
    assert {iteration: numbers["validation/regressed"] for iteration, numbers in said.items()} == {
        iteration: float(overall < 10) for iteration, overall in script.items()
    }


def test_what_is_kept_is_the_average_of_the_weights_and_loads_as_a_pipeline(policy, tmp_path):
    (tmp_path / "work").mkdir()
    average = EMAModel(policy.parameters(), decay=0.5, min_decay=0.5)
    for weight in (1.0, 3.0):  # diffusers' average begins with the first
        moved(policy, weight)
        average.step(policy.parameters())
    chosen = selection(policy, Scripted({0: 1.0, 1: 2.0}), tmp_path / "work", average)
    chosen.look(0, lambda *_: None)
    chosen.look(1, lambda *_: None)
    assert kept(tmp_path / "work") == 2.0
    assert all(bool((parameter == 3).all()) for parameter in policy.parameters()), "training goes on from its own"
    best = chosen.result()
    assert is_saved_pipeline(str(best))
    assert isinstance(FluxKontextPipeline.from_pretrained(best), FluxKontextPipeline)
    assert saved_pipeline_card(best, "mini").weights_folder() == best


def test_a_checkpoint_competes_with_those_before_it(policy, tmp_path):
    """Resumed from an older checkpoint there are readings of iterations that are still to come again; and one that
    was read, but whose weights were not kept any more, is kept now."""
    (tmp_path / "work").mkdir()
    chosen = selection(policy, Scripted({0: 50.0, 1: 40.0, 2: 60.0}, told=(0, 1, 2)), tmp_path / "work")
    chosen.look(1, lambda *_: None)
    assert (tmp_path / "work" / "best").is_dir()


def test_without_validation_the_end_is_kept_however_often_it_comes(policy, tmp_path):
    (tmp_path / "work").mkdir()
    average = EMAModel(policy.parameters(), decay=0.5)
    chosen = selection(policy, None, tmp_path / "work", average)
    for end in (1.0, 2.0):
        moved(policy, end)
        average.shadow_params = [parameter.clone().detach() for parameter in policy.parameters()]
        assert kept(chosen.result().parent) == end


class Painter:
    """Leaves `share` of the sessions' images as its model makes them, and paints the others black."""

    def __init__(self, model="oracle"):
        card = load_card(EditorCard, model)
        self.model, self.share = resolve_kind("editor", card.editor, where="x")(card), 1.0

    def edit(self, requests):
        black = Image.new("RGB", (48, 48))
        results = self.model.edit(requests)
        spoilt = [hash_of(request.session_id) >= self.share for request in requests]
        return [black if bad else result for bad, result in zip(spoilt, results, strict=True)]


def hash_of(session):
    """In [0, 1), evenly spread."""
    return int(session.rpartition("-")[2]) % 4 / 4


@pytest.fixture(scope="module")
def readings(tmp_path_factory):
    """Work folder and readings of a training that got worse, then a little better: real runs, really compared."""
    work = tmp_path_factory.mktemp("worse")
    recipe, editor = ValidationRecipe(task="mice-mini-validation", every=1, limit=16), Painter()
    card = load_card(EditorCard, "oracle")
    (work / "validation").mkdir()
    found = []
    for iteration, share in enumerate((1.0, 0.25, 0.75)):
        editor.share = share
        found.append(Validation(recipe, card, editor, work / "validation", 0, nullcontext).read(iteration))
    return work, found


def test_a_reading_is_compared_with_the_start(readings):
    _, (start, worse, better) = readings
    assert not start.regressed
    assert "gain/difference" not in start.numbers
    assert worse.regressed
    assert worse.numbers["gain/high"] < 0
    assert worse.numbers["gain/difference"] == pytest.approx(worse.overall - start.overall)
    assert start.overall > better.overall > worse.overall


def test_a_regression_is_in_the_line_people_watch(readings):
    _, (_, worse, _) = readings
    numbers = {f"validation/{name}": value for name, value in worse.numbers.items()}
    assert one_line({**numbers, "validation/regressed": 1.0}).endswith("against the start, regressed")
    assert "regressed" not in one_line({**numbers, "validation/regressed": 0.0})


def test_the_report_has_start_and_best_side_by_side(readings):
    work, found = readings
    lines = [{"step": step, "advantage/reward/IF/turn_1": 0.1 * step} for step in (1, 2)]
    (work / "curve.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    text = write_report(tiny_rl(validation=VALIDATION), work, found).read_text(encoding="utf-8")
    start, worse, better = found
    rows = {tuple(cell.strip() for cell in line.split("|")[1:3]): line for line in text.splitlines() if "|" in line}
    gain = f"{better.numbers['gain/difference']:+.1f}"
    assert f"|  | 3 | {start.overall:.1f} | {better.overall:.1f} | {gain}" in text[text.index("| Overall | 1 |") :]
    assert rows["1", f"{worse.overall:.1f}"].endswith("| regressed |")
    assert "kept" in rows["2", f"{better.overall:.1f}"]
    assert "after 2 iterations" in text
    with Image.open(work / "curve.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert min(pixels.shape[:2]) > 200
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50


def test_one_session_has_no_interval_and_is_no_error(tmp_path):
    recipe, editor = ValidationRecipe(task="mice-mini-validation", limit=1), Painter()
    (tmp_path / "validation").mkdir()
    validation = Validation(recipe, load_card(EditorCard, "oracle"), editor, tmp_path / "validation", 0, nullcontext)
    validation.read(0)
    editor.share = 0.0
    reading = validation.read(1)
    assert reading.numbers["gain/difference"] < 0
    assert all(isinstance(value, float) for value in reading.numbers.values()), "a log takes numbers alone"
    assert not reading.regressed, "one session proves nothing"


def test_without_an_overall_score_there_is_no_reading(monkeypatch, tmp_path):
    nothing = {"metrics": {"overall": {"3": {"value": None}}}}
    run = type("Run", (), {"summary": lambda self: nothing})()
    monkeypatch.setattr(validating, "evaluate", lambda *_, **__: run)
    recipe = ValidationRecipe(task="mice-mini-validation", limit=1)
    validation = Validation(recipe, load_card(EditorCard, "oracle"), Painter(), tmp_path, 0, nullcontext)
    with pytest.raises(RunError, match="overall score at turn 3"):
        validation.read(0)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def training(card, tmp_path_factory):
    """A recipe with validation, the work folder of its training and what was logged."""
    work, said = tmp_path_factory.mktemp("training") / "work", []
    recipe = tiny_rl(iterations=2, validation=VALIDATION)
    best = train_rl(recipe, work, card=card, show=lambda *told: said.append(told), device="cpu")
    assert best == work / "best"
    return recipe, work, said


def test_a_training_validates_its_start_and_every_few_iterations(training):
    _, work, said = training
    assert [step for step, numbers in said if "validation/overall/3" in numbers] == [0, 1, 2]
    notes = [json.loads(note.read_text()) for note in sorted((work / "validation").glob("*.json"))]
    assert [note["iteration"] for note in notes] == [0, 1, 2]
    assert (work / "report.md").is_file()
    assert is_saved_pipeline(str(work / "best"))


def test_a_resumed_training_reads_what_was_read(training, card, monkeypatch):
    recipe, work, _ = training

    def again(*_, **__):
        raise AssertionError("validated again")

    report = (work / "report.md").read_text(encoding="utf-8")
    (work / "report.md").unlink()
    monkeypatch.setattr(validating, "evaluate", again)
    train_rl(recipe, work, card=card, device="cpu")
    assert (work / "report.md").read_text(encoding="utf-8") == report
