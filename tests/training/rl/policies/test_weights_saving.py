"""What training writes, `micebench run` reads: the same images come out."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("peft")

from micebench.editors.diffusers import DiffusersEditor  # noqa: E402
from micebench.registry.model_files import ModelFiles, is_saved_pipeline, place, saved_pipeline_card  # noqa: E402
from micebench.training.common.work_dir import accelerator_for  # noqa: E402
from tests.editors.conftest import difference  # noqa: E402
from tests.training.rl.policies.diffusion_policies import (  # noqa: E402
    KINDS,
    LEARNT,
    LORA,
    card_of,
    disturb,
    log_ratio,
    policy_of,
    sampled,
    small,
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lora_is_an_adapter(tiny_card, kind, tmp_path):
    policy = policy_of(tiny_card, kind, LORA)
    disturb(policy, 0.3)
    policy.save(tmp_path / "mine")
    name, card = place(card_of(tiny_card, kind), ModelFiles(adapter=tmp_path / "mine"))
    assert name == "tiny+mine"
    ours, loaded, plain = (
        editor.edit([small()])[0]
        for editor in (policy.editor, DiffusersEditor(card), DiffusersEditor(card_of(tiny_card, kind)))
    )
    assert difference(ours, loaded) <= 1
    assert difference(ours, plain) > 2


@pytest.mark.parametrize("kind", ["Flux2KleinPipeline", "FluxKontextPipeline"])
def test_all_weights_are_a_pipeline(tiny_card, kind, tmp_path):
    """In bfloat16: what is saved is what is left of the weights after rounding."""
    policy = policy_of(tiny_card, kind)
    disturb(policy, 0.03)
    policy.save(tmp_path / "mine")
    assert is_saved_pipeline(str(tmp_path / "mine"))
    own = saved_pipeline_card(tmp_path / "mine", "photo")
    assert (own.id, own.options["pipeline"]) == ("mine", kind)
    assert str(tmp_path) not in (tmp_path / "mine" / "model_index.json").read_text(encoding="utf-8")
    _, card = place(card_of(tiny_card, kind), ModelFiles(weights=tmp_path / "mine"))
    loaded = DiffusersEditor(card)
    kept, read = policy.denoiser.state_dict(), loaded.pipeline.transformer.state_dict()
    assert all(torch.equal(read[name], kept[name].bfloat16().float()) for name in kept)
    assert all(tensor.dtype == torch.float32 for tensor in kept.values()), "the policy goes on in float32"
    ours, again, plain = (
        np.asarray(editor.edit([small()])[0], np.float32)
        for editor in (policy.editor, loaded, DiffusersEditor(card_of(tiny_card, kind)))
    )
    assert np.abs(ours - again).mean() < 0.25 * np.abs(ours - plain).mean()


@pytest.mark.parametrize("lora", LEARNT, ids=["full", "lora"])
def test_it_is_saved_as_accelerate_left_it(tiny_card, lora, tmp_path):
    """Mixed precision replaces the denoiser's forward; sampling, learning and saving go on."""
    policy = policy_of(tiny_card, lora=lora)
    accelerator = accelerator_for(tmp_path, "bf16", "cpu")
    module = accelerator.prepare(policy.denoiser)
    with accelerator.autocast():
        traces = sampled(policy)
        ratio = log_ratio(policy, traces, 0, module=module)
    assert ratio.abs().max() < 1e-6
    accelerator.backward(ratio.sum())
    assert any(parameter.grad is not None for parameter in policy.parameters())
    policy.save(tmp_path / "mine")
    files = ModelFiles(weights=tmp_path / "mine") if lora is None else ModelFiles(adapter=tmp_path / "mine")
    _, card = place(card_of(tiny_card), files)
    assert DiffusersEditor(card).edit([small()])[0].size == (64, 64)
