"""What of a policy learns, and its earlier selves: all weights of the denoiser. (A LoRA on it: see `lora`.)"""

import copy
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

import torch

from micebench.training.supervised.model_builder import save_pipeline

Which = Literal["current", "old", "reference"]
"""current: learns; old: what sampled, a slow copy; reference: as training found it."""

Copy = Literal["old", "reference"]


class Weights(Protocol):
    """Which weights the denoiser of a pipeline has, and which of them learn."""

    def parameters(self) -> list[torch.nn.Parameter]:
        """All that learns."""
        ...

    def speaking(self, which: Which) -> AbstractContextManager[torch.nn.Module]:
        """A context in which the pipeline has these weights; gives the denoiser that has them."""
        ...

    def move_old(self, decay: float) -> None:
        """old <- decay old + (1 - decay) current."""
        ...

    def state_dict(self) -> dict[str, dict[str, torch.Tensor]]:
        """By name of the copy, then of the tensor."""
        ...

    def load_state_dict(self, state: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
        """What `state_dict` gave, of the same model with the same copies."""
        ...

    def save(self, folder: Path) -> None:
        """The current weights, for evaluation."""
        ...


class FullWeights:
    """Every weight of the denoiser learns; its earlier selves are whole copies."""

    def __init__(self, pipeline: Any, copies: Collection[Copy]) -> None:
        self._pipeline = pipeline
        self._denoiser: torch.nn.Module = pipeline.transformer
        self._copies = {name: copy.deepcopy(self._denoiser).requires_grad_(False) for name in copies}
        self._denoiser.requires_grad_(True)

    def parameters(self) -> list[torch.nn.Parameter]:
        return list(self._denoiser.parameters())

    @contextmanager
    def speaking(self, which: Which) -> Iterator[torch.nn.Module]:
        if which == "current":
            yield self._denoiser
            return
        self._pipeline.transformer = self._copies[which]
        try:
            yield self._copies[which]
        finally:
            self._pipeline.transformer = self._denoiser

    @torch.no_grad()
    def move_old(self, decay: float) -> None:
        for old, current in zip(self._copies["old"].parameters(), self._denoiser.parameters(), strict=True):
            old.lerp_(current, 1 - decay)

    def state_dict(self) -> dict[str, dict[str, torch.Tensor]]:
        return {name: module.state_dict() for name, module in self._modules().items()}

    def load_state_dict(self, state: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
        for name, module in self._modules().items():
            module.load_state_dict(state[name])

    def save(self, folder: Path) -> None:
        """A pipeline directory in bfloat16."""
        save_pipeline(self._pipeline, folder)

    def _modules(self) -> dict[str, torch.nn.Module]:
        return {"current": self._denoiser, **self._copies}
