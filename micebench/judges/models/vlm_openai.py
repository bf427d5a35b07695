"""A vision-language model behind the OpenAI chat-completions protocol: a vLLM or SGLang server, or a vendor."""

import json
import os
from typing import Any, Literal
from uuid import uuid4

from pydantic import Field

from micebench.errors import EndpointError, UnavailableError
from micebench.judges.models.base import Ask, Failure, Reply
from micebench.judges.models.completions import load, read_completion
from micebench.judges.models.vlm_probe import Probe
from micebench.judges.vlm.data_uris import PngUris, size_of
from micebench.judges.vlm.vlm_sampling import Sampling
from micebench.utils.finish_reasons import declined
from micebench.utils.http import Answer, Endpoint, Outage, Patience, turned_away
from micebench.verdicts import Status

_LIMITS = ("max_tokens", "max_completion_tokens")
_REPORTED = 20  # most probable first tokens an endpoint names


class OpenAIOptions(Sampling):
    """A card's ``options.vlm`` of kind `openai`."""

    kind: Literal["openai"] = "openai"
    model: str = Field(description="the model's name at the server")
    url: str | None = Field(default=None, description="base URL, e.g. http://localhost:8000/v1; None: see url_env")
    url_env: str = Field(default="MICEBENCH_VLM_URL", description="environment variable with the base URL")
    key_env: str = Field(default="MICEBENCH_VLM_KEY", description="environment variable with the API key, if any")
    concurrency: int = Field(default=32, ge=1, le=1024)
    max_tokens: int = Field(default=1024, ge=1, description="of a written reply, reasoning included")
    thinking: bool | None = Field(default=None, description="switches a hybrid model's reasoning; None: its default")
    body: dict[str, Any] = Field(
        default_factory=dict, description="further fields of the request, as they are; null leaves a field out"
    )
    patience: Patience = Patience()
    pixels_per_token: int | None = Field(default=784, ge=1, description="for the context check; None: no check")


class OpenAIVlm:
    """Thread-safe: one connection pool for up to `concurrency` calls."""

    def __init__(self, options: OpenAIOptions, *, where: str, certain: bool = False) -> None:
        """Look for the model at its server; with a tiny question if it is not listed, or to be `certain`.

        `where` names the card in messages. Raises UnavailableError: no URL, no answer, or a server without the model.
        """
        url = options.url or os.environ.get(options.url_env)
        if not url:
            raise UnavailableError(
                f"{where}: no server for {options.model}; start one (vllm serve {options.model}) and set "
                f"{options.url_env}, e.g. to http://localhost:8000/v1"
            )
        self.options = options
        self._where = where
        key = os.environ.get(options.key_env, "").strip()
        self._server = Endpoint(
            url,
            {"Authorization": f"Bearer {key}"} if key else {},
            patience=options.patience,
            connections=options.concurrency,
            json_only=True,
            where=where,
        )
        self._uris = PngUris()
        look = Probe(
            self._server,
            options.model,
            self._body,
            lambda answer: bool(declined(load(answer.body))),
            where=where,
            address=_address(options),
            key=_key_remedy(options, where),
        )
        self._served = look.served(certain=certain)

    @classmethod
    def probe(cls, options: OpenAIOptions, *, where: str) -> None:
        """Whether the server answers a tiny question. Raises UnavailableError as making one does."""
        cls(options, where=where, certain=True)._server.close()

    @property
    def concurrency(self) -> int:
        return self.options.concurrency

    def ask(self, request: Ask) -> Reply | Failure:
        """The replies, or why there are none. Raises EndpointError if the server turns away every call."""
        too_long = self._too_long(request)
        if too_long is not None:
            return Failure(Status.ERROR, too_long)
        answer = self._server.post(self._served.path, json=self._body(request))
        if isinstance(answer, Outage):
            return Failure(Status.ERROR, answer.reason)
        if not answer.ok:
            return self._no(answer)
        latency_s = round(answer.latency_s, 3)
        return read_completion(answer.body, request, latency_s=latency_s, delimiters=self.options.reasoning_tags)

    def _no(self, answer: Answer) -> Failure:
        """What the server will not answer. Raises EndpointError if it would answer nothing else either."""
        options, refused = self.options, declined(load(answer.body))
        model = f"{self._where}: is vlm.model, {options.model!r}, served there? Check it, and {_address(options)}"
        key, url = _key_remedy(options, self._where), _address(options)
        reason = turned_away(answer, key=key, model=model, url=url)
        if reason and not refused:
            raise EndpointError(reason)
        return Failure(Status.REFUSED if refused else Status.ERROR, answer.summary)

    def _body(self, request: Ask, limit: int | None = None) -> bytes:
        """The request; with a `limit` on the tokens of a reply in place of the card's."""
        options = self.options
        mark = uuid4().hex  # stands for each image while the rest is encoded: megabytes of base64 need no escaping
        content: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": mark}} for _ in request.images]
        content.append({"type": "text", "text": request.prompt})
        body: dict[str, Any] = {
            "model": options.model,
            "messages": [{"role": "user", "content": content}],
            "temperature": options.temperature_of(request.attempt),
            "max_tokens": options.max_tokens,
            "n": request.votes,
            "seed": request.seed,
        }
        if options.thinking is not None:
            body["chat_template_kwargs"] = {"enable_thinking": options.thinking}
        if request.choices:
            body |= {"max_tokens": 1, "temperature": 0.0, "logprobs": True, "top_logprobs": _REPORTED}
        fields = {name: value for name, value in (body | options.body).items() if value is not None}
        if limit is not None:
            fields |= dict.fromkeys([name for name in _LIMITS if name in fields] or _LIMITS[:1], limit)
        first, *rest = json.dumps(fields).encode().split(mark.encode())
        images = [self._uris.of(image) for image in request.images]
        return b"".join([first, *(part for pair in zip(images, rest, strict=True) for part in pair)])

    def _too_long(self, request: Ask) -> str | None:
        """Why the question cannot fit, by an estimate that is rather low than high."""
        per_token, context = self.options.pixels_per_token, self._served.context
        if context is None or per_token is None:
            return None
        sizes = [size_of(image) for image in request.images]
        needed = len(request.prompt) // 5 + sum(width * height // per_token for width, height in sizes)
        needed += 1 if request.choices else self.options.max_tokens
        if needed <= context:
            return None
        return (
            f"about {needed} tokens, room for the reply included, but the server takes {context}; "
            f"start it with a larger --max-model-len"
        )


def _address(options: OpenAIOptions) -> str:
    """Where the server's URL was taken from."""
    return "vlm.url" if options.url else f"the variable {options.url_env}"


def _key_remedy(options: OpenAIOptions, where: str) -> str:
    return f"{where}: put a valid API key into the variable {options.key_env}"
