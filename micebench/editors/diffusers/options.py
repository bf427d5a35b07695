"""What an editor card may say about a diffusers pipeline."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Area(_Strict):
    """Work at this many pixels, in the image's own aspect ratio."""

    area: int = Field(ge=64 * 64)


class AtMost(_Strict):
    """Work at the image's own size, scaled down to this many pixels where it is larger."""

    at_most: int = Field(ge=64 * 64)


Resolution = Literal["native", "preferred"] | Area | AtMost
"""native: the image's own size; preferred: the nearest of the sizes the model was trained on."""


class Quantization(_Strict):
    """`diffusers.PipelineQuantizationConfig`, for the backends whose options diffusers and transformers share."""

    backend: Literal["bitsandbytes_4bit", "bitsandbytes_8bit"] = Field(description="quant_backend")
    components: list[str] = Field(min_length=1, description="components_to_quantize")
    options: dict[str, bool | int | float | str] = Field(min_length=1, description="quant_kwargs")


class PipelineOptions(_Strict):
    """How a card's pipeline is loaded and called.

    Nothing here can name code to run: classes are looked up in diffusers alone, remote code is never trusted,
    and attention kernels that would be fetched from the hub are not on offer.
    """

    pipeline: str = Field(description="diffusers pipeline class, e.g. FluxKontextPipeline")
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str | None = Field(default=None, description="cpu | cuda | ...; None: a GPU if there is one")

    steps: int | None = Field(default=None, ge=1, description="num_inference_steps; None: the pipeline's default")
    scheduler: str | None = Field(default=None, description="diffusers scheduler class; None: the saved one")
    call: dict[str, Any] = Field(default_factory=dict, description="further arguments of the call, as they are")
    prompt: str = Field(default="{instruction}", description="template of the prompt")
    negative_prompt: str | None = None
    references: Literal["last", "source_and_last"] = Field(
        default="last",
        description="source_and_last: show the source before the image to edit (context history, pipelines that "
        "take several images)",
    )

    resolution: Resolution = "native"
    output: Literal["input", "kept"] = Field(
        default="input", description="input: results are scaled back to the size of the image edited; kept: as made"
    )

    max_batch: int | None = Field(default=None, ge=1, description="images per call; None: as many as asked")
    offload: Literal["model", "sequential"] | None = Field(default=None, description="weights rest in main memory")
    text_cache_mib: int = Field(
        default=1024,
        ge=0,
        description="main memory for text embeddings of prompts seen before, in MiB, where they depend on the prompt "
        "alone; 0: none are kept",
    )
    vae_tiling: bool = False
    vae_slicing: bool = False
    without: list[str] = Field(default_factory=list, description="optional components left out: safety_checker ...")
    quantization: Quantization | None = None
    attention: (
        Literal[
            "native",
            "_native_cudnn",
            "_native_efficient",
            "_native_flash",
            "_native_math",
            "flash",
            "_flash_3",
            "sage",
            "xformers",
        ]
        | None
    ) = Field(default=None, description="attention backend; None: the default")
    compile: bool = Field(default=False, description="torch.compile the repeated blocks of the denoiser")

    @field_validator("prompt")
    @classmethod
    def _names_the_instruction(cls, prompt: str) -> str:
        if "{instruction}" not in prompt:
            raise ValueError("the template must contain {instruction}")
        return prompt
