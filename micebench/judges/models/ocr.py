"""Reading text in images with PP-OCR models through ONNX Runtime; they come with the rapidocr package."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from micebench.errors import described, needs_extra
from micebench.judges.models.base import Box, Failure, Read, TextLine
from micebench.judges.models.batching import decoded
from micebench.verdicts import Status


class OcrOptions(BaseModel):
    """The `reader` section of a judge card."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["rapidocr"] = "rapidocr"
    floor: float = Field(default=0.5, ge=0, le=1, description="lines of less confidence are not returned")


class RapidOcr:
    """PP-OCR: Latin and Chinese script, lines of any orientation, on the CPU."""

    def __init__(self, options: OcrOptions) -> None:
        """Raises MicebenchError if rapidocr or onnxruntime is not installed."""
        self.options = options
        try:
            import_module("onnxruntime")  # which rapidocr itself misses only at its first image
            from rapidocr import RapidOCR
        except ImportError as error:
            raise needs_extra("ocr", error) from error
        self._engine: Any = RapidOCR(params={"Global.log_level": "error", "Global.text_score": options.floor})

    def read(self, requests: Sequence[Read]) -> list[tuple[TextLine, ...] | Failure]:
        """Lines of each image from top to bottom, then left to right; () where there is no text."""
        return [self._read(request) for request in requests]

    def _read(self, request: Read) -> tuple[TextLine, ...] | Failure:
        image = decoded(request.image)
        if isinstance(image, Failure):
            return image
        try:
            found = self._engine(np.asarray(image)[..., ::-1])  # the engine expects B G R
        except Exception as error:  # noqa: BLE001
            return Failure(Status.ERROR, f"rapidocr: {described(error, 300)}")
        if not found.txts:
            return ()
        lines = [
            TextLine(text, float(confidence), _surrounding(corners, image.size))
            for corners, text, confidence in zip(found.boxes, found.txts, found.scores, strict=True)
            if text.strip()
        ]
        return tuple(sorted(lines, key=lambda line: (line.box.top, line.box.left)))


def _surrounding(corners: Any, size: tuple[int, int]) -> Box:
    """The upright rectangle around four corners (4, 2) in pixels."""
    shares = np.clip(np.asarray(corners, np.float64) / np.asarray(size, np.float64), 0.0, 1.0)
    (left, top), (right, bottom) = shares.min(0), shares.max(0)
    return Box(float(left), float(top), float(right), float(bottom))
