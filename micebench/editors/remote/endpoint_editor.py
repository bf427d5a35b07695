"""What all editors behind HTTP share: options, the key, many calls at once, and what a call has cost."""

import base64
import binascii
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from micebench.cards import EditorCard
from micebench.editors.base import Edited, EditRequest
from micebench.errors import CardError, EditorError, described
from micebench.utils.http import Answer, Endpoint, Outage, Patience, from_environment, turned_away
from micebench.utils.http.urls import has_version, origin_of

T = TypeVar("T")
R = TypeVar("R")
_MILLION = 1e6
_PROBE_S = 30.0


class Prices(BaseModel):
    """US dollars, as the vendor's price list has them on the day of the card."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: float = Field(default=0.0, ge=0, description="for every image that is made")
    text_in: float = Field(default=0.0, ge=0, description="per million text tokens sent")
    image_in: float = Field(default=0.0, ge=0, description="per million image tokens sent")
    out: float = Field(default=0.0, ge=0, description="per million tokens received")

    def cost(self, tokens: Mapping[str, Any], images: int) -> float:
        """Of one call; `tokens` as in `token_counts`. Tokens sent of unknown kind count as image tokens."""
        text = tokens.get("input_text_tokens", 0)
        return (
            self.image * images
            + self.text_in * text / _MILLION
            + self.image_in * max(0, tokens.get("input_tokens", 0) - text) / _MILLION
            + self.out * tokens.get("output_tokens", 0) / _MILLION
        )


class RemoteOptions(BaseModel):
    """Where the model is, and how it is asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1, description="the server's name of the model")
    base_url: str = Field(description="e.g. http://localhost:8000/v1")
    base_url_env: str | None = Field(default=None, description="environment variable that, where set, replaces it")
    key_env: str | None = Field(default=None, description="environment variable with the API key; None: no key")
    concurrency: int = Field(default=8, ge=1, le=256, description="calls under way at once")
    patience: Patience = Patience()
    max_pixels: int = Field(default=50_000_000, ge=1, description="a larger image in an answer is an error")
    prices: Prices | None = None

    @property
    def url(self) -> str:
        """The base URL that is in effect."""
        named = os.environ.get(self.base_url_env, "").strip() if self.base_url_env else ""
        return named or self.base_url

    def endpoint(self, card: EditorCard, key_header: Callable[[str], dict[str, str]]) -> Endpoint:
        """The server. Raises CardError: the key is not set, or the URL is none."""
        where = f"model {card.id!r}"
        key = from_environment(self.key_env, where=where) if self.key_env else ""
        headers = key_header(key) if key else {}
        return Endpoint(
            self.url,
            headers,
            patience=self.patience,
            connections=self.concurrency,
            where=where,
        )

    def no(self, card: EditorCard, answer: Answer, tokens: Mapping[str, int]) -> Edited:
        """What an answer that is not ok becomes: a failed edit, hopeless where the server would turn away any."""
        named, url = f"model {card.id!r}: ", f"{self.base_url_env} or " if self.base_url_env else ""
        hint = "" if has_version(self.url) else " (a base URL usually ends in /v1)"
        reason = turned_away(
            answer,
            key=f"{named}put a valid API key into the variable {self.key_env}"
            if self.key_env
            else f"{named}the server wants an API key; name its variable in options.key_env",
            model=f"{named}is options.model, {self.model!r}, served there? Check it, and {url}options.base_url{hint}",
            url=f"{url}options.base_url",
        )
        failed = reason or answer.summary
        return Edited(None, failed=failed, usage=spent(answer, tokens), hopeless=bool(reason))


def reach(card: EditorCard, endpoint: Endpoint) -> None:
    """Find out, at no cost, whether the server of a model is there. Raises CardError if it is not."""
    answer = endpoint.head("models", within_s=_PROBE_S)
    endpoint.close()
    if isinstance(answer, Outage) and (answer.local or answer.status is None):
        raise CardError(
            f"model {card.id!r}: the server at {endpoint.name} does not answer: {answer.reason}; check "
            f"options.base_url; the same command then goes on"
        )
    if isinstance(answer, Answer) and origin_of(answer.location) not in (None, origin_of(endpoint.base_url)):
        raise CardError(
            f"model {card.id!r}: {endpoint.name} redirects to {answer.location}, and redirects are not followed: set "
            f"options.base_url to the final address; the same command then goes on"
        )


def each(call: Callable[[T], R], items: Sequence[T], workers: int) -> list[R]:
    """`call` on every item, up to `workers` at once; results in order. The first exception is raised.

    The threads are daemons: Ctrl-C does not wait for a slow server.
    """
    todo: SimpleQueue[int] = SimpleQueue()
    done: SimpleQueue[tuple[int, R | None, BaseException | None]] = SimpleQueue()
    for number in range(len(items)):
        todo.put(number)

    def work() -> None:
        while True:
            try:
                number = todo.get_nowait()
            except Empty:
                return
            try:
                done.put((number, call(items[number]), None))
            except BaseException as error:  # noqa: BLE001 (raised again where it is waited for)
                done.put((number, None, error))
                return

    results: dict[int, Any] = {}
    try:
        for _ in range(min(workers, len(items))):
            threading.Thread(target=work, name="remote editor", daemon=True).start()
        while len(results) < len(items):
            number, result, error = done.get()
            if error is not None:
                raise error
            results[number] = result
    finally:
        while not todo.empty():  # nothing more is begun
            try:
                todo.get_nowait()
            except Empty:
                break
    return [results[number] for number in range(len(items))]


def edit_each(edit: Callable[[EditRequest], Edited], requests: Sequence[EditRequest], workers: int) -> list[Edited]:
    """All requests, each by a call of its own; what goes wrong with one is its own failure.

    Nothing is raised, because then the engine would ask, and pay, for the whole batch again. After a hopeless one
    no more are begun: the rest are as hopeless.
    """
    hopeless: list[Edited] = []

    def guarded(request: EditRequest) -> Edited:
        if hopeless:
            return hopeless[0]
        try:
            edited = edit(request)
            if edited.hopeless:
                hopeless.append(edited)
            return edited
        except EditorError as error:
            return Edited(None, failed=str(error))
        except Exception as error:  # noqa: BLE001
            return Edited(None, failed=described(error))

    return each(guarded, requests, workers)


def spent(
    called: Answer | Outage, tokens: Mapping[str, int], prices: Prices | None = None, images: int = 0
) -> dict[str, Any]:
    """The usage of one edit: ``latency_s``, ``attempts``, tokens, and ``cost_usd`` where the card has prices."""
    usage: dict[str, Any] = {"latency_s": round(called.latency_s, 3), "attempts": called.attempts, **tokens}
    if prices is not None and (tokens or images):
        usage["cost_usd"] = prices.cost(tokens, images)
    return usage


def token_counts(**counts: Any) -> dict[str, int]:
    """Those that a server has really given as whole numbers."""
    return {name: count for name, count in counts.items() if isinstance(count, int) and not isinstance(count, bool)}


def from_base64(text: str) -> bytes:
    """Base64, or a ``data:`` URL of it. Raises EditorError."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise EditorError("the answer's image is not base64") from error


def at(value: Any, *path: str | int) -> Any:
    """What lies at `path` in a JSON value, or None."""
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and -len(value) <= step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value
