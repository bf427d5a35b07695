"""Shipped cards of photo models fit their pipelines, and are refused in one line while their weights are missing."""

import json

import pytest
from typer.testing import CliRunner

import micebench
from micebench.cards import EditorCard, check_fields, find_cards, load_card
from micebench.cli import build_app
from micebench.editors.diffusers.checks import check_call, check_options
from micebench.editors.diffusers.options import PipelineOptions
from micebench.errors import CardError
from micebench.registry.model_files import ModelFiles
from micebench.registry.sources import editor_source
from micebench.tasks.load import load_task_card

PHOTO_MODELS = sorted(
    name
    for name, card in ((name, load_card(EditorCard, name)) for name in find_cards(EditorCard))
    if card.domain == "photo" and card.editor == "diffusers"
)


def test_the_well_known_editors_have_cards():
    assert set(PHOTO_MODELS) >= {
        *("flux.1-kontext-dev", "flux.2-dev", "flux.2-klein-4b", "flux.2-klein-9b", "flux.2-klein-base-4b"),
        *("flux.2-klein-base-9b", "qwen-image-edit", "qwen-image-edit-2509", "qwen-image-edit-2511"),
        *("longcat-image-edit", "omnigen", "instruct-pix2pix", "magicbrush"),
    }


@pytest.mark.parametrize("name", PHOTO_MODELS)
def test_a_shipped_card_fits_its_pipeline(name):
    diffusers = pytest.importorskip("diffusers")
    import inspect

    card = load_card(EditorCard, name)
    assert card.licence
    options = check_fields(card.options, PipelineOptions, where=name)
    check_options(card, options)
    check_call(card, options, inspect.signature(getattr(diffusers, options.pipeline).__call__).parameters)


@pytest.mark.parametrize("name", PHOTO_MODELS)
def test_without_weights_it_is_refused_with_the_remedy(name, tmp_path):
    if load_card(EditorCard, name).revision is not None:
        pytest.skip("pinned")
    words = ["run", "--model", name, "--task", "mice", "--data", str(tmp_path), "--out", str(tmp_path / "run")]
    refused = CliRunner().invoke(build_app(), words).exception
    assert isinstance(refused, CardError)
    assert f"model {name!r}: no pinned revision" in str(refused)
    assert "--weights DIR" in str(refused)
    assert not (tmp_path / "run").exists()


def test_a_repository_out_of_reach_is_one_line(monkeypatch, tiny_card):
    pytest.importorskip("diffusers")
    from huggingface_hub import constants

    from micebench.editors.diffusers import DiffusersEditor

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    card = tiny_card(weights=None, repo="nobody/nothing-at-all", revision="0" * 40)
    with pytest.raises(CardError, match=r"nobody/nothing-at-all@00000000 cannot be loaded.*--weights DIR") as refused:
        DiffusersEditor(card)
    assert "\n" not in str(refused.value)


def test_a_local_copy_takes_the_place_of_the_repository(saved):
    weights = saved("FluxKontextPipeline")
    source = editor_source("flux.1-kontext-dev", load_task_card("mice"), files=ModelFiles(weights=weights))
    assert source.id == "flux.1-kontext-dev"
    assert source.card is not None
    assert source.card.weights_folder() == weights
    with pytest.raises(CardError, match="no such folder"):
        editor_source("flux.1-kontext-dev", load_task_card("mice"), files=ModelFiles(weights=weights / "nowhere"))


def test_a_saved_pipeline_is_a_model_by_its_path(saved, tmp_path):
    folder = saved("FluxKontextPipeline")
    run = micebench.evaluate("mice-mini", str(folder), limit=1, out=tmp_path / "run")
    assert run.manifest.model == "fluxkontextpipeline"
    assert run.failures() == []
    assert run.manifest.editor_card is not None
    assert run.manifest.editor_card["weights"] == "."
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "model_index.json").write_text(json.dumps({}))
    with pytest.raises(CardError, match="names no pipeline class"):
        editor_source(str(tmp_path / "pipeline"), load_task_card("mice"))


def test_a_photo_model_is_not_asked_for_rendered_scenes():
    with pytest.raises(CardError, match="edits photographs: give a photo task"):
        editor_source("flux.2-klein-4b", load_task_card("mice-mini"))
