"""A LoRA that learns, on a denoiser that does not."""

import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from micebench.errors import CardError, needs_extra, one_line

if TYPE_CHECKING:
    import torch

    from micebench.training.rl.policies.weights import Copy, Which


class LoraOptions(BaseModel):
    """Low-rank adapters (Hu et al. 2021) on linear layers of the denoiser; their output is scaled by alpha / rank."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(default=32, ge=1)
    alpha: int = Field(default=64, ge=1)
    targets: list[str] | None = Field(
        default=None,
        min_length=1,
        description="names of linear layers, or how they end; null: all projections of attention",
    )


class LoraWeights:
    """Adapters `default` (current) and `old`, in float32; the reference is the denoiser with neither."""

    def __init__(self, pipeline: Any, options: LoraOptions, copies: "Collection[Copy]") -> None:
        """Add the adapters; before the first step they change nothing, as their second factor is zero.

        Raises:
            CardError: `targets` names no layer that can have an adapter.
            MicebenchError: peft is not installed.
        """
        try:
            from peft import LoraConfig
        except ImportError as error:
            raise needs_extra("adapters", error) from error
        self._pipeline, self._denoiser = pipeline, pipeline.transformer
        config: dict[str, Any] = {
            "r": options.rank,
            "lora_alpha": options.alpha,
            "init_lora_weights": "gaussian",
            "target_modules": options.targets or attention_layers(self._denoiser),
        }
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Already found a `peft_config`")  # `old` beside `default`: meant
                for name in ("default", *({"old"} & set(copies))):
                    self._denoiser.add_adapter(LoraConfig(**config), name)
        except ValueError as error:
            raise CardError(f"lora.targets: {one_line(error, 300)}") from error
        for tensor in (*self._tensors("default").values(), *self._tensors("old").values()):
            tensor.data = tensor.data.float()
        self._listen_to("default")
        self.move_old(0)

    def parameters(self) -> "list[torch.nn.Parameter]":
        return list(self._tensors("default").values())

    @contextmanager
    def speaking(self, which: "Which") -> "Iterator[torch.nn.Module]":
        if which == "old":
            self._listen_to("old")
        elif which == "reference":
            self._denoiser.disable_adapters()
        try:
            yield self._denoiser
        finally:
            if which == "reference":
                self._denoiser.enable_adapters()
            if which != "current":
                self._listen_to("default")

    def move_old(self, decay: float) -> None:
        current = self._tensors("default")
        for name, old in self._tensors("old").items():
            old.data.lerp_(current[name].data, 1 - decay)

    def state_dict(self) -> "dict[str, dict[str, torch.Tensor]]":
        state = {"current": self._tensors("default"), "old": self._tensors("old")}
        return {
            copy: {name: tensor.detach() for name, tensor in part.items()} for copy, part in state.items() if part
        }

    def load_state_dict(self, state: "Mapping[str, Mapping[str, torch.Tensor]]") -> None:
        for copy, part in self.state_dict().items():
            for name, tensor in part.items():
                tensor.copy_(state[copy][name])

    def save(self, folder: Path) -> None:
        """An adapter as diffusers loads it."""
        self._pipeline.save_lora_weights(
            folder,
            transformer_lora_layers={
                name: tensor.detach().cpu().contiguous() for name, tensor in self._tensors("default").items()
            },
            transformer_lora_adapter_metadata=self._denoiser.peft_config["default"].to_dict(),
        )

    def _tensors(self, adapter: str) -> "dict[str, torch.nn.Parameter]":
        """An adapter's tensors, by their names without the adapter's."""
        return {
            name.replace(f".{adapter}.", "."): tensor
            for name, tensor in self._denoiser.named_parameters()
            if ".lora_" in name and f".{adapter}." in name
        }

    def _listen_to(self, adapter: str) -> None:
        """Switch, and say again what learns: peft takes the adapter in use for the one in training."""
        self._denoiser.set_adapter(adapter)
        for name in ("default", "old"):
            for tensor in self._tensors(name).values():
                tensor.requires_grad_(name == "default")


def attention_layers(denoiser: "torch.nn.Module") -> list[str]:
    """The names of all linear layers inside attention."""
    from torch.nn import Linear

    return [
        name for name, layer in denoiser.named_modules() if isinstance(layer, Linear) and "attn" in name.split(".")
    ]
