"""Randomly initialised instances of the real pipeline classes, small enough for a CPU, and saved without a network.

One byte is one token, so that no vocabulary is needed.
"""

from functools import reduce
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    EulerAncestralDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Pipeline,
    Flux2Transformer2DModel,
    FluxKontextPipeline,
    FluxTransformer2DModel,
    LongCatImageEditPipeline,
    LongCatImageTransformer2DModel,
    OmniGenPipeline,
    OmniGenTransformer2DModel,
    QwenImageEditPipeline,
    QwenImageEditPlusPipeline,
    QwenImageTransformer2DModel,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.longcat_image import pipeline_longcat_image_edit
from diffusers.pipelines.omnigen import pipeline_omnigen, processor_omnigen
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus
from diffusers.utils import is_torchvision_available
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    PreTrainedTokenizerFast,
    ProcessorMixin,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5EncoderModel,
)

WIDTH = 16
_SPECIAL = (
    *("<pad>", "</s>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"),
    *("<|image_pad|>", "<|video_pad|>", "[IMG]", "[IMG_BREAK]", "[IMG_END]"),
)
_TALK = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_tokenizer(length: int) -> PreTrainedTokenizerFast:
    """One token per byte; ``</s>`` closes a text; what is too long loses its start."""
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate([*_SPECIAL, *symbols])}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        extra_special_tokens=list(_SPECIAL[2:]),
        model_max_length=length,
        truncation_side="left",
        chat_template=_TALK,
    )


VOCABULARY = len(_SPECIAL) + 256


def _flow(**options) -> FlowMatchEulerDiscreteScheduler:
    return FlowMatchEulerDiscreteScheduler(**options)


def _autoencoder(levels: int = 1, latent: int = 4, **options) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=(4,) * levels,
        layers_per_block=1,
        latent_channels=latent,
        norm_num_groups=1,
        mid_block_add_attention=False,
        **options,
    )


def _clip(length: int) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            intermediate_size=WIDTH,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=length,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=0,
            initializer_factor=10.0,
        )
    )


def kontext() -> FluxKontextPipeline:
    return FluxKontextPipeline(
        scheduler=_flow(),
        vae=_autoencoder(2, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1, scaling_factor=9.0),
        text_encoder=_clip(32),
        tokenizer=byte_tokenizer(32),
        text_encoder_2=T5EncoderModel(
            T5Config(vocab_size=VOCABULARY, d_model=WIDTH, d_kv=8, d_ff=WIDTH, num_layers=1, num_heads=2)
        ),
        tokenizer_2=byte_tokenizer(32),
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=WIDTH,
            pooled_projection_dim=WIDTH,
            guidance_embeds=True,
            axes_dims_rope=(4, 4, 8),
        ),
    )


def _flux2_parts() -> dict:
    return {
        "scheduler": _flow(),
        "vae": AutoencoderKLFlux2(
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=(4, 4),
            layers_per_block=1,
            latent_channels=2,
            norm_num_groups=1,
            mid_block_add_attention=False,
        ),
    }


def _flux2_transformer(**options) -> Flux2Transformer2DModel:
    return Flux2Transformer2DModel(
        patch_size=1,
        in_channels=8,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        axes_dims_rope=(4, 4, 4, 4),
        **options,
    )


def flux2() -> Flux2Pipeline:
    return Flux2Pipeline(
        **_flux2_parts(),
        text_encoder=Mistral3ForConditionalGeneration(
            Mistral3Config(
                text_config={
                    "model_type": "mistral",
                    "vocab_size": VOCABULARY,
                    "hidden_size": WIDTH,
                    "intermediate_size": WIDTH,
                    "num_hidden_layers": 2,
                    "num_attention_heads": 2,
                    "num_key_value_heads": 2,
                    "head_dim": 8,
                },
                vision_config={
                    "model_type": "pixtral",
                    "hidden_size": WIDTH,
                    "intermediate_size": WIDTH,
                    "num_hidden_layers": 1,
                    "num_attention_heads": 2,
                    "head_dim": 8,
                },
                image_token_index=_SPECIAL.index("[IMG]"),
            )
        ),
        tokenizer=byte_tokenizer(64),  # FLUX.2's is a processor, of which the pipeline uses the chat template alone
        transformer=_flux2_transformer(),
    )


def flux2_klein() -> Flux2KleinPipeline:
    return Flux2KleinPipeline(
        **_flux2_parts(),
        text_encoder=Qwen3ForCausalLM(
            Qwen3Config(
                vocab_size=VOCABULARY,
                hidden_size=WIDTH,
                intermediate_size=WIDTH,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=2,
                head_dim=8,
            )
        ),
        tokenizer=byte_tokenizer(64),
        transformer=_flux2_transformer(guidance_embeds=False),
    )


def _qwen_vl() -> Qwen2_5_VLForConditionalGeneration:
    shape = {"hidden_size": WIDTH, "intermediate_size": WIDTH}
    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            text_config={
                **shape,
                "vocab_size": VOCABULARY,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "num_key_value_heads": 2,
                "rope_parameters": {"mrope_section": [1, 1, 2], "rope_type": "default", "rope_theta": 10000.0},
                "bos_token_id": 0,
                "eos_token_id": 1,
            },
            vision_config={
                **shape,
                "depth": 1,
                "num_heads": 2,
                "out_hidden_size": WIDTH,
                "fullatt_block_indexes": [0],
            },
            image_token_id=_SPECIAL.index("<|image_pad|>"),
            video_token_id=_SPECIAL.index("<|video_pad|>"),
            vision_start_token_id=_SPECIAL.index("<|vision_start|>"),
            vision_end_token_id=_SPECIAL.index("<|vision_end|>"),
        )
    )


def _qwen_processor() -> Qwen2VLProcessor:
    """Sees images at 56 x 56 or a little more, whatever their size."""
    images = Qwen2VLImageProcessor(size={"shortest_edge": 56 * 56, "longest_edge": 4 * 56 * 56})
    return Qwen2VLProcessor(images, byte_tokenizer(1024), chat_template=_TALK)


def _qwen_parts() -> dict:
    return {
        "scheduler": _flow(),
        "vae": AutoencoderKLQwenImage(
            base_dim=4,
            z_dim=4,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[False, False, False],
            latents_mean=[0.0] * 4,
            latents_std=[1.0] * 4,
        ),
        "text_encoder": _qwen_vl(),
        "tokenizer": byte_tokenizer(1024),
        "processor": _qwen_processor(),
        "transformer": QwenImageTransformer2DModel(
            patch_size=2,
            in_channels=16,
            out_channels=4,
            num_layers=1,
            attention_head_dim=16,
            num_attention_heads=1,
            joint_attention_dim=WIDTH,
            axes_dims_rope=(8, 4, 4),
        ),
    }


def qwen_image_edit() -> QwenImageEditPipeline:
    return QwenImageEditPipeline(**_qwen_parts())


def qwen_image_edit_plus() -> QwenImageEditPlusPipeline:
    return QwenImageEditPlusPipeline(**_qwen_parts())


def longcat() -> LongCatImageEditPipeline:
    return LongCatImageEditPipeline(
        scheduler=_flow(),
        vae=_autoencoder(4, 16, shift_factor=0.1),
        text_encoder=_qwen_vl(),
        tokenizer=byte_tokenizer(1024),
        text_processor=_qwen_processor(),
        transformer=LongCatImageTransformer2DModel(
            patch_size=1,
            in_channels=64,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=1,
            joint_attention_dim=WIDTH,
            pooled_projection_dim=WIDTH,
            axes_dims_rope=(4, 4, 8),
        ),
    )


def omnigen() -> OmniGenPipeline:
    return OmniGenPipeline(
        transformer=OmniGenTransformer2DModel(
            hidden_size=16,
            num_attention_heads=4,
            num_key_value_heads=4,
            intermediate_size=32,
            num_layers=1,
            in_channels=4,
            time_step_dim=4,
            rope_scaling={"long_factor": [1, 2], "short_factor": [1, 2]},
        ),
        scheduler=_flow(invert_sigmas=True, num_train_timesteps=1),
        vae=_autoencoder(4),
        tokenizer=byte_tokenizer(1024),
    )


def pix2pix() -> StableDiffusionInstructPix2PixPipeline:
    return StableDiffusionInstructPix2PixPipeline(
        vae=_autoencoder(4),
        text_encoder=_clip(77),
        tokenizer=byte_tokenizer(77),
        unet=UNet2DConditionModel(
            block_out_channels=(8, 8),
            layers_per_block=1,
            in_channels=8,
            out_channels=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=WIDTH,
            attention_head_dim=4,
            norm_num_groups=4,
        ),
        scheduler=EulerAncestralDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


TINY = {
    "FluxKontextPipeline": kontext,
    "Flux2Pipeline": flux2,
    "Flux2KleinPipeline": flux2_klein,
    "QwenImageEditPipeline": qwen_image_edit,
    "QwenImageEditPlusPipeline": qwen_image_edit_plus,
    "LongCatImageEditPipeline": longcat,
    "OmniGenPipeline": omnigen,
    "StableDiffusionInstructPix2PixPipeline": pix2pix,
}

OPTIONS = {
    "FluxKontextPipeline": {"call": {"max_sequence_length": 32, "guidance_scale": 2.5}},
    "Flux2Pipeline": {"call": {"max_sequence_length": 64, "text_encoder_out_layers": [1]}},
    "Flux2KleinPipeline": {"call": {"max_sequence_length": 64, "text_encoder_out_layers": [1]}},
    "QwenImageEditPipeline": {"negative_prompt": " ", "resolution": {"at_most": 64 * 64}},
    "QwenImageEditPlusPipeline": {"negative_prompt": " ", "resolution": {"at_most": 64 * 64}},
    "LongCatImageEditPipeline": {"call": {"guidance_scale": 1.0}, "resolution": {"area": 1024 * 1024}},
    "OmniGenPipeline": {},
    "StableDiffusionInstructPix2PixPipeline": {"call": {"image_guidance_scale": 1.5}},
}
"""What a card of each says, beyond the pipeline's class."""


def without_torchvision(monkeypatch) -> None:
    """Stand-ins for the two things that are only there with torchvision, and not needed from it.

    `Qwen2VLProcessor` wants a processor of videos, which no editor is shown; OmniGen's turns an image into a
    tensor in [-1, 1] with `torchvision.transforms`.
    """
    if is_torchvision_available():
        return

    def init(self, image_processor=None, tokenizer=None, chat_template=None, **_) -> None:
        self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
        self.image_token_id, self.video_token_id = map(_SPECIAL.index, (self.image_token, self.video_token))
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    monkeypatch.setattr(Qwen2VLProcessor, "__init__", init)
    transforms = SimpleNamespace(
        Compose=lambda steps: lambda image: reduce(lambda value, step: step(value), steps, image),
        Lambda=lambda function: function,
        ToTensor=lambda: lambda image: torch.from_numpy(np.asarray(image, np.float32) / 255).permute(2, 0, 1),
        Normalize=lambda mean, std, inplace: lambda tensor: (tensor - mean[0]) / std[0],
    )
    monkeypatch.setattr(processor_omnigen, "transforms", transforms, raising=False)
    kind = processor_omnigen.OmniGenMultiModalProcessor
    monkeypatch.setattr(pipeline_omnigen, "OmniGenMultiModalProcessor", kind, raising=False)


def with_small_megapixels(monkeypatch) -> None:
    """Pipelines that always work at a megapixel work at a sixteenth of it: the same code, in less time."""
    for module in (pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus, pipeline_longcat_image_edit):
        whole = module.calculate_dimensions
        if whole.__module__ == __name__:  # small already
            continue
        monkeypatch.setattr(module, "calculate_dimensions", lambda area, ratio, f=whole: f(area / 16, ratio))


def save_tiny(name: str, folder: Path) -> Path:
    """Make and save one; the same seed gives the same weights."""
    torch.manual_seed(0)
    pipeline = TINY[name]()
    denoiser = pipeline.unet if hasattr(pipeline, "unet") else pipeline.transformer
    for parameter in denoiser.parameters():
        if parameter.ndim > 1:  # the usual start hides prompt and image behind the noise
            torch.nn.init.normal_(parameter, std=2 / parameter[0].numel() ** 0.5)
    pipeline.save_pretrained(folder)
    return folder
