"""Image editing by Gemini's protocol, ``POST models/MODEL:generateContent`` with images in the answer.

Protocol: ai.google.dev/api/generate-content. The dialogue is sent whole with every call; no session is kept on the
server, so that resuming a run changes nothing.
"""

import base64
from collections.abc import Iterator, Sequence
from math import sqrt
from typing import Any
from urllib.parse import quote

from pydantic import Field

from micebench.cards import EditorCard, check_fields
from micebench.editors.base import Edited, EditRequest
from micebench.editors.remote.endpoint_editor import (
    RemoteOptions,
    at,
    edit_each,
    from_base64,
    reach,
    spent,
    token_counts,
)
from micebench.editors.resize_pad import Canvas, CanvasRules, canvas_for, decode, place, take_back
from micebench.errors import EditorError, one_line
from micebench.utils.finish_reasons import declined, ending
from micebench.utils.http import Answer, Outage
from micebench.utils.png import encode_png

_RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
_SEEDS = 1 << 31  # the protocol's seed is an int32


class GeminiOptions(RemoteOptions):
    """How a card's model is asked for an edit."""

    base_url: str = "https://generativelanguage.googleapis.com/v1beta"
    aspect_ratios: tuple[str, ...] = Field(default=_RATIOS, min_length=1, description="W:H the model can make")
    pixels: int = Field(default=1 << 20, ge=1, description="of the canvas that is sent")
    generation: dict[str, Any] = Field(
        default_factory=dict, description="further fields of generationConfig, e.g. temperature"
    )
    model_part: dict[str, Any] = Field(
        default_factory=dict,
        description="further fields of the image parts that stand for the model's earlier answers, e.g. a "
        "thoughtSignature where the model insists on one",
    )

    @property
    def canvas(self) -> CanvasRules:
        return CanvasRules(sizes=tuple(self.size_of(ratio) for ratio in self.aspect_ratios))

    def size_of(self, ratio: str) -> tuple[int, int]:
        """(width, height) of a canvas of this ratio."""
        across, down = (int(part) for part in ratio.split(":"))
        unit = sqrt(self.pixels / (across * down))
        return max(1, round(across * unit)), max(1, round(down * unit))


class GeminiEditor:
    """One call per edit, many at once.

    Context `last` and `composed`: the image and the instruction. Context `history`: the whole dialogue, in turns of
    user and model, each earlier output as the model's answer. An answer in words alone is a refusal: it is what the
    model had to say.
    """

    def __init__(self, card: EditorCard) -> None:
        self.card = card
        self.options = check_fields(card.options, GeminiOptions, where=f"model {card.id!r}, options")
        self.endpoint = self.options.endpoint(card, lambda key: {"x-goog-api-key": key})
        self.rules = self.options.canvas

    @classmethod
    def probe(cls, card: EditorCard) -> None:
        """Whether the server is there; nothing is paid for. Raises CardError as making one does, or if it is not."""
        reach(card, cls(card).endpoint)

    def edit(self, requests: Sequence[EditRequest]) -> list[Edited]:
        return edit_each(self._edit, requests, self.options.concurrency)

    def _edit(self, request: EditRequest) -> Edited:
        canvas = canvas_for(request.image.size, self.rules)
        path = f"models/{quote(self.options.model, safe='')}:generateContent"
        called = self.endpoint.post(path, json=self._body(request, canvas))
        if isinstance(called, Outage):
            return Edited(None, failed=called.reason, usage=spent(called, {}))
        return self._read(called, canvas, request.image.size)

    def _body(self, request: EditRequest, canvas: Canvas) -> dict[str, Any]:
        ratio = next(one for one in self.options.aspect_ratios if self.options.size_of(one) == canvas.size)
        asked = {
            "responseModalities": ["TEXT", "IMAGE"],
            "imageConfig": {"aspectRatio": ratio},
            "seed": request.seed % _SEEDS,
        }
        return {
            "contents": list(self._dialogue(request)),
            "generationConfig": asked | self.options.generation,
        }

    def _dialogue(self, request: EditRequest) -> Iterator[dict[str, Any]]:
        """Source and first instruction; then, turn by turn, what the model made and what it was told next."""
        images = [_inline(encode_png(place(image, canvas_for(image.size, self.rules)))) for image in request.images]
        if len(images) != len(request.instructions):
            raise EditorError(f"{len(images)} images for {len(request.instructions)} instructions")
        for number, (image, said) in enumerate(zip(images, request.instructions, strict=True)):
            if number:
                yield {"role": "model", "parts": [image | self.options.model_part]}
            yield {"role": "user", "parts": [{"text": said}] if number else [image, {"text": said}]}

    def _read(self, answer: Answer, canvas: Canvas, size: tuple[int, int]) -> Edited:
        said = answer.object
        tokens = _tokens(said)
        if not answer.ok and (reason := declined(said)):
            return Edited(None, refused=reason, usage=spent(answer, tokens, self.options.prices))
        if not answer.ok:
            return self.options.no(self.card, answer, tokens)
        images, words = _parts(said)
        if not images:
            reason = _refusal(said, words)
            usage = spent(answer, tokens, self.options.prices)
            if reason:
                return Edited(None, refused=reason, usage=usage)
            finish = at(said, "candidates", 0, "finishReason") or answer.excerpt
            return Edited(None, failed=f"the answer holds no image ({finish})", usage=usage)
        usage = spent(answer, tokens, self.options.prices, len(images))
        try:
            image = take_back(decode(from_base64(images[-1]), self.options.max_pixels), canvas, size)
        except EditorError as error:
            return Edited(None, failed=f"the answer holds no usable image: {error}", usage=usage)
        return Edited(image, usage=usage)


def _inline(png: bytes) -> dict[str, Any]:
    return {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(png).decode()}}


def _parts(said: dict[str, Any]) -> tuple[list[str], str]:
    """(images as base64, words) of the answer proper: sketches made while thinking are left out."""
    parts = at(said, "candidates", 0, "content", "parts")
    shown = [part for part in parts if not at(part, "thought")] if isinstance(parts, list) else []
    images = [data for part in shown if isinstance(data := at(part, "inlineData", "data"), str)]
    words = " ".join(text for part in shown if isinstance(text := at(part, "text"), str))
    return images, one_line(words)


def _refusal(said: dict[str, Any], words: str) -> str:
    if reason := declined(said):
        return reason
    finish = at(said, "candidates", 0, "finishReason")
    if ending(finish) == "refused":
        why = at(said, "candidates", 0, "finishMessage") or words
        return f"{finish}: {why}" if why else str(finish)
    return f"answered in words: {words}" if words and finish == "STOP" else ""


def _tokens(said: dict[str, Any]) -> dict[str, int]:
    counted = token_counts(
        input_tokens=at(said, "usageMetadata", "promptTokenCount"),
        output_tokens=at(said, "usageMetadata", "candidatesTokenCount"),
    )
    details = at(said, "usageMetadata", "promptTokensDetails")
    for detail in details if isinstance(details, list) else []:
        if at(detail, "modality") == "TEXT":
            counted |= token_counts(input_text_tokens=at(detail, "tokenCount"))
    return counted
