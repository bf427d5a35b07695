"""A vision-language model behind the OpenAI chat-completions protocol: a vLLM or SGLang server, or a vendor."""

import json
import os
from typing import Any, Literal, cast
from uuid import uuid4

from pydantic import Field

from micebench.errors import CardError, EndpointError
from micebench.finish_reasons import declined
from micebench.http import Answer, Endpoint, Outage, Patience, turned_away
from micebench.judges.components.base import Ask, Failure, Reply
from micebench.judges.components.completions import load, read_completion
from micebench.judges.components.sampling import Sampling
from micebench.judges.components.uris import PngUris, size_of
from micebench.verdicts import Status

_PROBE_S = 30.0
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

    def __init__(self, options: OpenAIOptions, *, where: str) -> None:
        """`where` names the card in messages. Raises CardError: no URL, no answer, or a server without the model."""
        url = options.url or os.environ.get(options.url_env)
        if not url:
            raise CardError(
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
            secret=key,
            connections=options.concurrency,
            json_only=True,
            where=where,
        )
        self._uris = PngUris()
        self._context = _served_context(self._server, options, where)

    @classmethod
    def probe(cls, options: OpenAIOptions, *, where: str) -> None:
        """Whether the server answers. Raises CardError as making one does."""
        cls(options, where=where)._server.close()

    @property
    def concurrency(self) -> int:
        return self.options.concurrency

    def ask(self, request: Ask) -> Reply | Failure:
        """The replies, or why there are none. Raises EndpointError if the server turns away every call."""
        too_long = self._too_long(request)
        if too_long is not None:
            return Failure(Status.ERROR, too_long)
        answer = self._server.post("chat/completions", json=self._body(request))
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
        reason = turned_away(answer, key=_key_remedy(options, self._where), model=model)
        if reason and not refused:
            raise EndpointError(reason)
        return Failure(Status.REFUSED if refused else Status.ERROR, f"HTTP {answer.status}: {answer.excerpt}")

    def _body(self, request: Ask) -> bytes:
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
        first, *rest = json.dumps(fields).encode().split(mark.encode())
        images = [self._uris.of(image) for image in request.images]
        return b"".join([first, *(part for pair in zip(images, rest, strict=True) for part in pair)])

    def _too_long(self, request: Ask) -> str | None:
        """Why the question cannot fit, by an estimate that is rather low than high."""
        per_token = self.options.pixels_per_token
        if self._context is None or per_token is None:
            return None
        sizes = [size_of(image) for image in request.images]
        needed = len(request.prompt) // 5 + sum(width * height // per_token for width, height in sizes)
        needed += 1 if request.choices else self.options.max_tokens
        if needed <= self._context:
            return None
        return (
            f"about {needed} tokens, room for the reply included, but the server takes {self._context}; "
            f"start it with a larger --max-model-len"
        )


def _served_context(server: Endpoint, options: OpenAIOptions, where: str) -> int | None:
    """Tokens the server takes, if it says so. Raises CardError if it cannot serve us at all."""
    answer = server.get(f"{server.base_url}/models", within_s=_PROBE_S)
    if isinstance(answer, Outage):
        raise CardError(
            f"{where}: the server at {server.name} does not answer: {answer.reason}; start it, or check "
            f"{_address(options)}; the same command then goes on"
        )
    if answer.status != 404 and (reason := turned_away(answer, key=_key_remedy(options, where), model="")):
        raise CardError(f"{server.name}: {reason}")
    listed = answer.object.get("data")
    if not answer.ok or not isinstance(listed, list):
        return None  # a server that does not list its models
    models = {str(model.get("id")): model for model in map(_mapping, cast(list[Any], listed))}
    if models and options.model not in models:
        served = ", ".join(sorted(models)[:8])
        raise CardError(f"{where}: {server.name} does not serve {options.model!r}; it serves {served}")
    context = models.get(options.model, {}).get("max_model_len")
    return context if isinstance(context, int) else None


def _address(options: OpenAIOptions) -> str:
    """Where the server's URL was taken from."""
    return "vlm.url" if options.url else f"the variable {options.url_env}"


def _key_remedy(options: OpenAIOptions, where: str) -> str:
    return f"{where}: put a valid API key into the variable {options.key_env}"


def _mapping(value: Any) -> dict[str, Any]:
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}
