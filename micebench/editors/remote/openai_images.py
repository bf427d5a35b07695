"""Image editing by the OpenAI protocol, ``POST /v1/images/edits``: gpt-image-*, vLLM-Omni, SGLang and others."""

from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import urljoin

from pydantic import Field, model_validator

from micebench.cards import EditorCard, check_fields
from micebench.editors.base import Edited, EditRequest, one_prompt
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
from micebench.errors import EditorError
from micebench.utils.finish_reasons import declined, ending, flagged
from micebench.utils.http import Answer, Outage
from micebench.utils.png import encode_png

_READ_FOR_REFUSALS = (200, 400, 403, 422, 451)
_OURS = {"model", "prompt", "n", "size", "seed", "image", "image[]", "stream"}
_SEEDS = 1 << 31  # servers keep seeds in 32 bits


class OpenAIImagesOptions(RemoteOptions):
    """How a card's model is asked for an edit."""

    canvas: CanvasRules = CanvasRules()
    send_size: bool = Field(default=True, description="ask for the canvas's size; else the server decides")
    send_seed: bool = Field(default=False, description="send the request's seed; OpenAI's own models take none")
    images: Literal["last", "all"] = Field(
        default="last", description="with context history: the last image only, or also all before it, source first"
    )
    image_field: Literal["image", "image[]"] = "image"
    fields: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="further form fields, e.g. quality, num_inference_steps"
    )

    @model_validator(mode="after")
    def _fields_are_not_ours(self) -> "OpenAIImagesOptions":
        if ours := sorted(_OURS & self.fields.keys()):
            raise ValueError(f"fields: {', '.join(ours)} cannot be given, micebench fills it in")
        return self


class OpenAIImagesEditor:
    """One call per edit, many at once. The prompt is the instructions of the request, as one.

    An edit is refused where the server says that its content rules forbid it, and failed where there was no usable
    answer. Images in answers are taken as base64, or fetched if they lie on the same server.
    """

    def __init__(self, card: EditorCard) -> None:
        self.card = card
        self.options = check_fields(card.options, OpenAIImagesOptions, where=f"model {card.id!r}, options")
        self.endpoint = self.options.endpoint(card, lambda key: {"Authorization": f"Bearer {key}"})

    @classmethod
    def probe(cls, card: EditorCard) -> None:
        """Whether the server is there; nothing is paid for. Raises CardError as making one does, or if it is not."""
        reach(card, cls(card).endpoint)

    def edit(self, requests: Sequence[EditRequest]) -> list[Edited]:
        return edit_each(self._edit, requests, self.options.concurrency)

    def _edit(self, request: EditRequest) -> Edited:
        canvas = canvas_for(request.image.size, self.options.canvas)
        form, files = self._form(request, canvas), self._files(request)
        called = self.endpoint.post("images/edits", data=form, files=files)
        if isinstance(called, Outage):
            return Edited(None, failed=called.reason, usage=spent(called, {}))
        return self._read(called, canvas, request.image.size)

    def _form(self, request: EditRequest, canvas: Canvas) -> dict[str, Any]:
        form: dict[str, Any] = {"model": self.options.model, "prompt": one_prompt(request.instructions), "n": "1"}
        if self.options.send_size:
            form["size"] = f"{canvas.size[0]}x{canvas.size[1]}"
        if self.options.send_seed:
            form["seed"] = str(request.seed % _SEEDS)
        for name, value in self.options.fields.items():
            form[name] = str(value).lower() if isinstance(value, bool) else str(value)
        return form

    def _files(self, request: EditRequest) -> list[tuple[str, tuple[str, bytes, str]]]:
        """The image to edit first; servers take the first one for it."""
        shown = [request.image, *request.images[:-1]] if self.options.images == "all" else [request.image]
        pngs = [encode_png(place(image, canvas_for(image.size, self.options.canvas))) for image in shown]
        return [
            (self.options.image_field, (f"image{number}.png", png, "image/png")) for number, png in enumerate(pngs)
        ]

    def _read(self, answer: Answer, canvas: Canvas, size: tuple[int, int]) -> Edited:
        said = answer.object
        tokens = _tokens(said)
        if reason := refusal(answer, said):
            return Edited(None, refused=reason, usage=spent(answer, tokens, self.options.prices))
        if not answer.ok:
            return self.options.no(self.card, answer, tokens)
        try:
            image = take_back(decode(self._bytes(said), self.options.max_pixels), canvas, size)
        except EditorError as error:
            usage = spent(answer, tokens, self.options.prices, 1 if at(said, "data", 0) else 0)
            return Edited(None, failed=f"the answer holds no usable image: {error}", usage=usage)
        return Edited(image, usage=spent(answer, tokens, self.options.prices, 1))

    def _bytes(self, said: dict[str, Any]) -> bytes:
        text, url = at(said, "data", 0, "b64_json"), at(said, "data", 0, "url")
        if isinstance(text, str) and text:
            return from_base64(text)
        if not isinstance(url, str) or not url:
            raise EditorError("neither b64_json nor url")
        if url.startswith("data:"):
            return from_base64(url)
        try:
            url = urljoin(self.endpoint.url(""), url)
        except ValueError as error:
            raise EditorError("its url is none") from error
        got = self.endpoint.get(url)
        if isinstance(got, Outage):
            raise EditorError(f"its url: {got.reason}")
        if not got.ok:
            raise EditorError(f"its url: {got.title}")
        return got.body


def refusal(answer: Answer, said: dict[str, Any]) -> str:
    """Why the server declined on account of its content rules; "" if it did not."""
    for text in (at(said, "data", 0, "refusal"), at(said, "refusal")):
        if isinstance(text, str) and text:
            return text
    ends = (at(said, "data", 0, "finish_reason"), at(said, "finish_reason"))
    for reason in ends:
        if ending(reason) == "refused":
            return f"stopped by the server's content filter: {reason}"
    if flagged(said) or flagged(at(said, "data", 0)):
        return "stopped by the server's content filter"
    shown = at(said, "data", 0, "b64_json") or at(said, "data", 0, "url")
    return declined(said) if not shown and answer.status in _READ_FOR_REFUSALS else ""


def _tokens(said: dict[str, Any]) -> dict[str, int]:
    return token_counts(
        input_tokens=at(said, "usage", "input_tokens"),
        input_text_tokens=at(said, "usage", "input_tokens_details", "text_tokens"),
        output_tokens=at(said, "usage", "output_tokens"),
    )
