"""Muon for the matrices, AdamW for the rest (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/)."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer


def split_parameters(model: nn.Module, ends: Iterable[nn.Module] = ()) -> tuple[list[Tensor], list[Tensor]]:
    """(matrices and convolution kernels of hidden layers, everything else).

    Args:
        ends: layers that read the input or write the output; theirs belong to the rest, as embeddings do.
    """
    apart = {id(parameter) for module in ends for parameter in module.parameters()}
    apart |= {id(p) for module in model.modules() if isinstance(module, nn.Embedding) for p in module.parameters()}
    hidden: list[Tensor] = [p for p in model.parameters() if p.ndim >= 2 and id(p) not in apart]
    inside = {id(parameter) for parameter in hidden}
    return hidden, [p for p in model.parameters() if id(p) not in inside]


def build_optimizers(
    hidden: list[Tensor], rest: list[Tensor], lr: float, beta2: float, weight_decay: float = 0.0
) -> tuple[Optimizer, Optimizer]:
    """The two optimizers; Muon's updates are scaled to the size of AdamW's, so that one rate serves both."""
    muon = _KernelMuon(hidden, lr=lr, momentum=0.9, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
    return muon, AdamW(rest, lr=lr, betas=(0.9, beta2), weight_decay=weight_decay)


def set_rate(optimizers: Iterable[Optimizer], lr: float) -> None:
    """Give every parameter this learning rate."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr


class _KernelMuon(Muon):
    """`torch.optim.Muon`, which takes matrices only; it is shown kernels (out, in, h, w) as (out, in * h * w)."""

    def __init__(self, parameters: list[Tensor], **options: object) -> None:
        self._parameters = parameters
        super().__init__([p.detach().flatten(1) for p in parameters], **options)  # type: ignore[arg-type]

    def _matrices(self) -> Iterator[Tensor]:
        return (matrix for group in self.param_groups for matrix in group["params"])

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for parameter, matrix in zip(self._parameters, self._matrices(), strict=True):
            matrix.grad = None if parameter.grad is None else parameter.grad.flatten(1)
        super().step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        for parameter in self._parameters:
            parameter.grad = None
        super().zero_grad(set_to_none)
