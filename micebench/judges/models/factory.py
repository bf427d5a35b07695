"""A judge card's components, loaded: what the asked metrics need, and nothing else."""

from typing import Any, NamedTuple

from pydantic import BaseModel

from micebench.cards import JudgeCard, check_fields, resolve
from micebench.errors import CardError, nearest
from micebench.judges.models.base import Components

_ROOM = "micebench.judges.models"


class _Kind(NamedTuple):
    """``module:Class`` of a component and of its options."""

    component: str
    options: str


_KINDS: dict[str, dict[str, _Kind]] = {
    "detector": {
        "grounding-dino": _Kind("grounding_dino:GroundingDino", "grounding_dino:GroundingDinoOptions"),
        "owlv2": _Kind("owlv2:Owlv2", "owlv2:Owlv2Options"),
    },
    "features": {"dino": _Kind("dino:Dino", "dino:DinoOptions")},
    "reader": {"rapidocr": _Kind("ocr:RapidOcr", "ocr:OcrOptions")},
    "vlm": {
        "openai": _Kind("vlm_openai:OpenAIVlm", "vlm_openai:OpenAIOptions"),
        "transformers": _Kind("vlm_transformers:TransformersVlm", "vlm_transformers:TransformersOptions"),
    },
}
_NEEDS = {
    "IF": {"detector", "reader", "vlm"},
    "CC": {"detector", "features"},
    "GA": {"vlm"},
    "destroyed": {"vlm"},
    "DINO": {"features"},
}


def options_of(card: JudgeCard, part: str, said: dict[str, Any]) -> BaseModel:
    """A component's options, checked; a local `repo` becomes its folder. Raises CardError naming file and field."""
    kind = said.get("kind")
    known = _KINDS[part]
    if kind not in known:
        raise CardError(f"judge {card.id!r}, options.{part}.kind: unknown {kind!r}; {nearest(str(kind), known)}")
    where = f"judge {card.id!r}, options.{part}"
    form = resolve(f"{_ROOM}.{known[kind].options}", where=where)
    folder = card.local_weights(said["repo"]) if isinstance(said.get("repo"), str) else None
    return check_fields(said | ({"repo": str(folder)} if folder else {}), form, where=where)


def build(card: JudgeCard, said: dict[str, dict[str, Any] | None]) -> Components:
    """Load the components the card's metrics need.

    Args:
        said: part (detector, features, reader, vlm) -> its options in the card, None where there are none.

    Raises:
        CardError: options that do not fit, weights without a pinned revision, a server that does not answer.
        MicebenchError: a package is not installed.
    """
    loaded: dict[str, Any] = {}
    for part, (component, options) in _found(card, said).items():
        loaded[part] = component(options, where=f"judge {card.id!r}") if part == "vlm" else component(options)
    return Components(**loaded)


def probe_vlm(card: JudgeCard, vlm: dict[str, Any] | None) -> None:
    """Ask the server of the card's VLM, if it needs one, whether it is there. Raises CardError as `build` does."""
    for component, options in _found(card, {"vlm": vlm}).values():
        if hasattr(component, "probe"):
            component.probe(options, where=f"judge {card.id!r}")


def _found(card: JudgeCard, said: dict[str, dict[str, Any] | None]) -> dict[str, tuple[Any, BaseModel]]:
    """The class and the checked options of each part that the card's metrics need."""
    needed = {part for metric in card.metrics for part in _NEEDS.get(metric.partition(".")[0], ())}
    checked = {part: options_of(card, part, fields) for part, fields in said.items() if fields and part in needed}
    return {
        part: (
            resolve(f"{_ROOM}.{_KINDS[part][options.kind].component}", where=f"judge {card.id!r}"),  # type: ignore[attr-defined]
            options,
        )
        for part, options in checked.items()
    }
