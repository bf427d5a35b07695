"""Whether a chat-completions server serves a model, found out before hours of editing rather than after them.

The list of models says it where the model is listed. Aliases, wildcards, deployments and LoRA adapters often are not:
one tiny completion decides then.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from PIL import Image

from micebench.errors import UnavailableError
from micebench.judges.models.base import Ask
from micebench.utils.http import Answer, Endpoint, Outage, turned_away
from micebench.utils.http.urls import has_version, shown

_LIST_S = 30.0
_COMPLETION_S = 120.0
_VERSION = "v1/"
_COMPLETIONS = "chat/completions"

QUESTION = "Is this image grey? Reply with one word."
"""What the tiny completion asks about a grey image."""


@dataclass(frozen=True, slots=True)
class Served:
    """How a server serves the model.

    Attributes:
        path: of chat completions below the base URL.
        context: tokens that the server takes; None: it does not say.
        tried: a completion has shown it.
    """

    path: str
    context: int | None
    tried: bool


@dataclass(frozen=True, slots=True)
class _Listing:
    """The models that a server lists below `prefix`; None: it has no list there."""

    prefix: str
    models: dict[str, dict[str, Any]] | None


class Probe:
    """Looks for one model at one server.

    Args:
        body: the body of a request, with a limit on the reply's tokens, or None: the card's own limit.
        refused: whether an error is a content filter's, which only a working server has.
        where: names the card in messages.
        address, key: what to do about a wrong URL, and about an API key that is not accepted.
    """

    def __init__(
        self,
        server: Endpoint,
        model: str,
        body: Callable[[Ask, int | None], bytes],
        refused: Callable[[Answer], bool],
        *,
        where: str,
        address: str,
        key: str,
    ) -> None:
        self._server, self._model, self._body, self._refused = server, model, body, refused
        self._where, self._address, self._key = where, address, key

    def served(self, *, certain: bool = False) -> Served:
        """How the model is served. Where it is listed, that is enough, unless a completion is wanted to be `certain`.

        Raises:
            UnavailableError: there is no server, it accepts no key of ours, serves no such model, or refuses what the
                card's questions ask for.
        """
        listings = self._listings()
        listed = next((one for one in listings if self._model in (one.models or {})), None)
        if listed is None:
            return self._complete(listings, required=True)
        context = (listed.models or {})[self._model].get("max_model_len")
        context = context if type(context) is int else None
        if certain:
            tried = self._complete([listed], required=False)
            return Served(tried.path, context, tried=True)
        return Served(listed.prefix + _COMPLETIONS, context, tried=False)

    def _listings(self) -> list[_Listing]:
        """Of the base URL, and of ``/v1`` below it where its path names no version; those with a list come first."""
        prefixes = [""] if has_version(self._server.base_url) else ["", _VERSION]
        listings: list[_Listing] = []
        for prefix in prefixes:
            models = self._models(prefix)
            listings.append(_Listing(prefix, models))
            if models is not None:
                break
        return sorted(listings, key=lambda one: one.models is None)

    def _models(self, prefix: str) -> dict[str, dict[str, Any]] | None:
        answer = self._server.get(self._server.url(f"{prefix}models"), within_s=_LIST_S)
        if isinstance(answer, Outage):
            if answer.local:
                raise UnavailableError(f"{self._where}: {answer.reason}; the same command then goes on")
            if not prefix and (answer.status is None or answer.status >= 400):
                raise UnavailableError(
                    f"{self._where}: the server at {self._server.name} does not answer: {answer.reason}; start it, "
                    f"or check {self._address}; the same command then goes on"
                )
            return None
        decides = not prefix and answer.status != 404 and not answer.location
        if decides and (reason := turned_away(answer, key=self._key, model="")):
            raise UnavailableError(f"{self._server.name}: {reason}")
        value: Any = answer.value
        listed: Any = cast(Any, value if isinstance(value, list) else answer.object.get("data"))
        if not answer.ok or not isinstance(listed, list):
            return None
        entries = [cast(dict[str, Any], entry) for entry in cast(list[Any], listed) if isinstance(entry, dict)]
        return {str(entry.get("id")): entry for entry in entries}

    def _complete(self, listings: list[_Listing], *, required: bool) -> Served:
        """Try a completion below each prefix; the first that is answered. Raises UnavailableError: there is none."""
        faults: list[str] = []
        for listing in listings:
            path = listing.prefix + _COMPLETIONS
            answer = self._tiny(path)
            if isinstance(answer, Outage):
                if not required:
                    return Served(path, None, tried=False)
                faults.append(f"{self._where}: {self._server.name} does not answer a short question: {answer.reason}")
            elif (fault := self._fault(answer, path, listing.models)) is None:
                return Served(path, None, tried=True)
            else:
                faults.append(fault)
        raise UnavailableError(faults[0])

    def _tiny(self, path: str) -> Answer | Outage:
        """A question with a reply of one token; if that is refused, one with the card's own limit on tokens."""
        ask = Ask((_Grey(),), QUESTION)
        answer: Answer | Outage | None = None
        for limit in (1, None):
            answer = self._server.post(path, json=self._body(ask, limit), within_s=_COMPLETION_S)
            if not isinstance(answer, Answer) or answer.status not in (400, 422):
                break
        assert answer is not None
        return answer

    def _fault(self, answer: Answer, path: str, models: dict[str, dict[str, Any]] | None) -> str | None:
        """Why the answer to a tiny completion shows that no question can be answered; None: it shows the contrary."""
        if answer.ok:
            if isinstance(answer.object.get("choices"), list):
                return None
            return (
                f"{self._where}: {shown(self._server.url(path))} answers with something else than a chat completion: "
                f"{answer.excerpt}; check {self._address}, which usually ends in /v1"
            )
        if self._refused(answer):
            return None
        served = ""
        if models and self._model not in models:
            served = f"; it serves {', '.join(sorted(models)[:8])}"
        hint = "" if has_version(self._server.base_url) else " (a base URL usually ends in /v1)"
        model = (
            f"{self._where}: {self._server.name} does not serve {self._model!r}{served}; check vlm.model, and "
            f"{self._address}{hint}"
        )
        if reason := turned_away(answer, key=self._key, model=model, url=self._address):
            return f"{self._where}: {reason}" if answer.location else f"{self._server.name}: {reason}"
        return (
            f"{self._where}: {self._server.name} does not answer a short question to {self._model!r}: "
            f"{answer.summary}{served}; {_remedy(answer, self._address)}"
        )


def _remedy(answer: Answer, address: str) -> str:
    if "max_completion_tokens" in answer.excerpt:
        return "set vlm.body to {max_tokens: null, max_completion_tokens: N} in the card"
    if answer.status in (400, 422):
        return "check vlm.model; vlm.body: {NAME: null} leaves a field out that the server does not take"
    return f"check {address}"


class _Grey:
    """A small image without a session."""

    def __init__(self) -> None:
        self._image = Image.new("RGB", (64, 64), (128, 128, 128))

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self._image.tobytes()).hexdigest()

    def load(self) -> Image.Image:
        return self._image
