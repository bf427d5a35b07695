"""The parts of a `FluxKontextPipeline`, from a recipe; and the pipeline, from its parts."""
# pyright: reportPrivateImportUsage=false, reportArgumentType=false, reportAttributeAccessIssue=false
# (diffusers exports its classes lazily and annotates them too narrowly)

import copy
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxKontextPipeline,
    FluxTransformer2DModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

from micebench.mini.world import IMAGE_PX
from micebench.training.supervised.recipe import AutoencoderRecipe, Recipe, TextRecipe
from micebench.training.supervised.tokenizer import EOS_ID, PAD_ID, build_tokenizer


def build_autoencoder(part: AutoencoderRecipe) -> AutoencoderKL:
    """4x-down autoencoder; 48 x 48 pixels become 12 x 12 latents, which the transformer packs 2 x 2."""
    levels = len(part.channels)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=part.channels,
        layers_per_block=1,
        latent_channels=part.latent_channels,
        norm_num_groups=16,
        sample_size=IMAGE_PX,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
        scaling_factor=1.0,
        shift_factor=0.0,
    )


class Editor(torch.nn.Module):
    """What flow matching trains together: transformer and both text encoders."""

    def __init__(self, transformer: FluxTransformer2DModel, t5: T5EncoderModel, clip: CLIPTextModel) -> None:
        super().__init__()
        self.transformer, self.t5, self.clip = transformer, t5, clip

    def forward(
        self, hidden: torch.Tensor, sigmas: torch.Tensor, prompt: "Prompt", image_ids: torch.Tensor
    ) -> torch.Tensor:
        """Velocity of every image token, the context's included.

        Args:
            hidden: (B, 2N, C) packed latents, image then context.
            sigmas: (B,) noise levels.
            prompt: token ids; padding is attended to, as the pipeline does.
            image_ids: (2N, 3), see `flow.position_ids`.
        """
        return self.transformer(
            hidden_states=hidden,
            timestep=sigmas,
            encoder_hidden_states=self.t5(prompt.t5)[0],
            pooled_projections=self.clip(prompt.clip).pooler_output,
            txt_ids=torch.zeros(prompt.t5.shape[1], 3, device=hidden.device),
            img_ids=image_ids,
            return_dict=False,
        )[0]


def build_editor(recipe: Recipe, latent_channels: int) -> Editor:
    """A new editor with random weights."""
    part, text = recipe.transformer, recipe.text
    words = len(build_tokenizer(text.tokens))
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=4 * latent_channels,
        num_layers=part.double_blocks,
        num_single_layers=part.single_blocks,
        attention_head_dim=part.head_dim,
        num_attention_heads=part.heads,
        joint_attention_dim=text.width,
        pooled_projection_dim=text.width,
        guidance_embeds=False,
        axes_dims_rope=part.rope_axes,
    )
    t5 = T5EncoderModel(
        T5Config(
            vocab_size=words,
            d_model=text.width,
            d_kv=text.width // text.heads,
            d_ff=4 * text.width,
            num_layers=text.t5_layers,
            num_heads=text.heads,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            pad_token_id=PAD_ID,
            eos_token_id=EOS_ID,
        )
    )
    clip = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=words,
            hidden_size=text.width,
            intermediate_size=4 * text.width,
            num_hidden_layers=text.clip_layers,
            num_attention_heads=text.heads,
            max_position_embeddings=text.pooled_tokens,
            projection_dim=text.width,
            pad_token_id=PAD_ID,
            bos_token_id=EOS_ID,
            eos_token_id=EOS_ID,
        )
    )
    return Editor(transformer, t5, clip)


def load_editor(weights: Path) -> Editor:
    """The editor of a saved pipeline, in float32."""
    return Editor(
        FluxTransformer2DModel.from_pretrained(weights, subfolder="transformer", dtype=torch.float32),
        T5EncoderModel.from_pretrained(weights, subfolder="text_encoder_2", dtype=torch.float32),
        CLIPTextModel.from_pretrained(weights, subfolder="text_encoder", dtype=torch.float32),
    )


class Prompt(NamedTuple):
    """Token ids of a batch of prompts: (B, tokens) for the T5 encoder, (B, pooled_tokens) for the CLIP text model."""

    t5: torch.Tensor
    clip: torch.Tensor


def tokenize(prompts: list[str], text: TextRecipe, device: torch.device) -> Prompt:
    """Prompts as the pipeline tokenizes them."""

    def ids(tokens: int) -> torch.Tensor:
        options = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
        return build_tokenizer(tokens)(prompts, max_length=tokens, **options).input_ids.to(device)

    return Prompt(ids(text.tokens), ids(text.pooled_tokens))


def build_pipeline(autoencoder: AutoencoderKL, editor: Editor, text: TextRecipe) -> FluxKontextPipeline:
    """A plain diffusers pipeline around the given parts."""
    pipeline = FluxKontextPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0, use_dynamic_shifting=False),
        vae=autoencoder,
        text_encoder=editor.clip,
        tokenizer=build_tokenizer(text.pooled_tokens),  # type: ignore[arg-type]
        text_encoder_2=editor.t5,
        tokenizer_2=build_tokenizer(text.tokens),  # type: ignore[arg-type]
        transformer=editor.transformer,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def save_pipeline(pipeline: Any, folder: Path) -> None:
    """Write any diffusers pipeline as bf16 safetensors; the pipeline itself stays as it was."""
    shrunk = copy.copy(pipeline)
    for name, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module):
            setattr(shrunk, name, copy.deepcopy(part).to(torch.bfloat16))
    shrunk.save_pretrained(folder, safe_serialization=True)
    for path in (
        folder / "model_index.json",
        *folder.glob("*/config.json"),
    ):  # where a part was loaded from is nobody's business, and no cause
        config = json.loads(path.read_text(encoding="utf-8"))
        if config.pop("_name_or_path", None) is not None:
            path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
