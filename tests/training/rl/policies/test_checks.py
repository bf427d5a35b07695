"""What sampling does and learning could not repeat is refused when the policy is made, with the remedy."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("peft")

from micebench.cards import AdapterSource
from micebench.errors import CardError
from micebench.training.rl.policies.lora import LoraOptions
from micebench.training.rl.policies.diffusion import Policy
from tests.editors.tiny_pipelines import OPTIONS
from tests.training.rl.policies.diffusion_policies import LORA, policy_of


@pytest.mark.parametrize(
    ("kind", "changes", "remedy"),
    [
        ("QwenImageEditPlusPipeline", {}, r"true_cfg_scale: 1\.0 in options\.call and leave negative_prompt out"),
        (
            "FluxKontextPipeline",
            {"negative_prompt": "ugly", "call": {"max_sequence_length": 32, "true_cfg_scale": 2.0}},
            r"true_cfg_scale: 1\.0",
        ),
        ("Flux2KleinPipeline", {}, r"guidance_scale: 1\.0 in options\.call"),
    ],
)
def test_guidance_by_a_second_prediction(tiny_card, kind, changes, remedy):
    card = tiny_card(kind, **{**OPTIONS[kind], **changes})
    with pytest.raises(CardError, match=remedy):
        Policy(card, LORA, copies=[])


@pytest.mark.parametrize(
    ("lora", "changes", "said"),
    [
        (LORA, {"compile": True}, r"options\.compile: not while training"),
        (LORA, {"offload": "model"}, r"options\.offload: not while training"),
        (None, {"dtype": "bfloat16"}, r"options\.dtype: .* set float32"),
        (LoraOptions(targets=["no_such_layer"]), {}, r"lora\.targets: .*no_such_layer"),
    ],
)
def test_options_that_do_not_go_with_learning(tiny_card, lora, changes, said):
    with pytest.raises(CardError, match=said):
        policy_of(tiny_card, lora=lora, changes=changes)


def test_a_pipeline_of_another_kind(tiny_card):
    with pytest.raises(CardError, match="StableDiffusionInstructPix2PixPipeline cannot be trained"):
        Policy(tiny_card("StableDiffusionInstructPix2PixPipeline"), None, copies=[])


def test_an_adapter_below(tiny_card, tmp_path):
    policy_of(tiny_card, lora=LORA).save(tmp_path)
    card = tiny_card(adapter=AdapterSource(weights=str(tmp_path)))
    with pytest.raises(CardError, match="leave `adapter` out"):
        Policy(card, LORA, copies=[])
