"""LPIPS, by the `lpips` package (Zhang, Isola, Efros, Shechtman, Wang 2018)."""

from importlib import import_module
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from micebench.errors import needs_extra
from micebench.judges.perceptual.pixels import Pixels


class LpipsOptions(BaseModel):
    """`net`: alex, vgg or squeeze; its ImageNet weights come from torchvision, the calibration with the package."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    net: str = "alex"
    device: str | None = None


class Lpips:
    """The distance of two images; 0 = the same."""

    def __init__(self, options: LpipsOptions) -> None:
        """Loads the weights. Raises MicebenchError where lpips or torchvision is not installed."""
        try:
            import torch

            lpips: Any = import_module("lpips")
        except ImportError as error:
            raise needs_extra("perceptual", error) from error
        self._torch: Any = torch
        self._device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._network: Any = lpips.LPIPS(net=options.net, verbose=False).to(self._device).eval()

    def __call__(self, a: Pixels, b: Pixels) -> float:
        """Distance of two arrays (H, W, 3) in [0, 1] of one size."""
        with self._torch.inference_mode():
            return float(self._network(self._tensor(a), self._tensor(b)).item())

    def _tensor(self, image: Pixels) -> Any:
        """(1, 3, H, W) in [-1, 1]."""
        planes = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32) * 2 - 1
        return self._torch.from_numpy(planes)[None].to(self._device)
