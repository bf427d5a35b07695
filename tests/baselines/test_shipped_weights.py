"""The bundled miniature loads as a plain pipeline, is small, and gives the same images however they are run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from diffusers import FluxKontextPipeline  # noqa: E402
from safetensors import safe_open  # noqa: E402

import micebench  # noqa: E402
from micebench.cards import EditorCard, load_card  # noqa: E402
from micebench.execution.images import decode_png  # noqa: E402
from micebench.tasks.dataset import iter_sessions  # noqa: E402

BASELINES = Path(__file__).parents[2] / "baselines"
MODELS = ("kontext", "kontext-history", "kontext-rl", "kontext-grpo")
SESSIONS = 24
LIMIT_BYTES = 16 * 2**20


@pytest.fixture(scope="module", params=MODELS)
def card(request) -> EditorCard:
    return load_card(EditorCard, request.param)


def test_the_weights_are_small_safetensors(card):
    files = [path for path in card.weights_folder().rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".safetensors", ".json"}
    for path in files:
        assert path.stat().st_size <= LIMIT_BYTES, path
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as tensors:
                assert {tensors.get_slice(name).get_dtype() for name in tensors.keys()} == {"BF16"}, path  # noqa: SIM118


def test_they_are_a_plain_pipeline(card):
    index = json.loads((card.weights_folder() / "model_index.json").read_text())
    assert index["_class_name"] == "FluxKontextPipeline"
    assert all(part[0] in {"diffusers", "transformers"} for name, part in index.items() if name[0] != "_" and part[0])
    FluxKontextPipeline.from_pretrained(card.weights_folder(), local_files_only=True)


def pictures(run) -> dict[tuple[str, int], np.ndarray]:
    return {
        (edit.session, edit.turn): np.asarray(decode_png(run.blob(edit.image)), np.int16)
        for edit in run.edits()
        if edit.image
    }


def difference(one, other) -> tuple[float, float]:
    """(mean, 99.9th percentile) of the absolute differences of all pixels, in 8-bit steps."""
    first, second = pictures(one), pictures(other)
    assert set(first) == set(second)
    steps = np.concatenate([np.abs(first[key] - second[key]).ravel() for key in first])
    return float(steps.mean()), float(np.percentile(steps, 99.9))


def changed(card: EditorCard, **options) -> EditorCard:
    return card.model_copy(update={"options": {**card.options, **options}})


@pytest.fixture(scope="module")
def straight(card, tmp_path_factory):
    return micebench.evaluate("mice-mini", card, limit=SESSIONS, out=tmp_path_factory.mktemp("runs") / card.id)


def test_one_by_one_is_the_same_as_together(card, straight, tmp_path):
    alone = micebench.evaluate("mice-mini", card, limit=SESSIONS, batch=1, out=tmp_path / "alone")
    mean, high = difference(straight, alone)
    assert mean < 0.05
    assert high <= 2


def test_resumed_is_the_same_as_straight(card, straight, tmp_path):
    shutil.copytree(straight.path, tmp_path / "resumed")
    journal = tmp_path / "resumed" / "edits" / "main.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[: len(lines) // 2]))
    resumed = micebench.evaluate("mice-mini", card, limit=SESSIONS, out=tmp_path / "resumed")
    mean, high = difference(straight, resumed)
    assert mean < 0.05
    assert high <= 2


def test_bfloat16_follows_float32(card, straight, tmp_path):
    """Rounding may tip a choice that hangs in the balance, so sessions are compared by how they are judged."""
    low = micebench.evaluate("mice-mini", changed(card, dtype="bfloat16"), limit=SESSIONS, out=tmp_path / "bf16")
    ours, theirs = ({(v.session, v.turn, v.metric): v.value for v in run.verdicts()} for run in (straight, low))
    pairs = [(ours[key], theirs[key]) for key in ours if key[2] == "IF" and key[1] == 1]
    assert np.mean([one == other for one, other in pairs]) >= 0.9


def test_it_does_what_it_was_trained_for(card, straight):
    first = straight.summary()["metrics"]["marginal_success"]["1"]
    assert first["n"] == SESSIONS
    assert first["value"] > 50  # of all tracks; the model card says how much more


def test_every_session_is_the_task_s(straight):
    said = {session.id for session in iter_sessions(micebench.load_task("mice-mini").select(range(SESSIONS)))}
    assert {edit.session for edit in straight.edits()} == said
