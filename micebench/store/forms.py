"""What a line of a run's files must look like; a line of another form is damage, never a number.

JSON that merely parses proves little: ``true`` is no number, ``"0.5"`` is text, ``1e400`` is infinite. So lines are
checked strictly, without any conversion. The forms are typed dicts because every line of a large run is checked at
every start, and models would cost twice as much.
"""

import math
import reprlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired, cast

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from micebench.errors import one_line

STRICT = ConfigDict(extra="forbid", strict=True)
_SHOWN = 60  # characters of a wrong value in a message
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHOWN


def is_finite(value: Any) -> bool:
    """Whether a value is a number that a float can hold; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 2**1000 if isinstance(value, int) else math.isfinite(value)


def _finite(usage: Any) -> Any:
    """Raises ValueError: a number, at any depth, that no float can hold."""
    _check_numbers(usage)
    return usage


def _check_numbers(value: Any) -> None:
    if isinstance(value, Mapping):
        for held in cast(Mapping[str, Any], value).values():
            _check_numbers(held)
    elif isinstance(value, list):
        for held in cast(list[Any], value):
            _check_numbers(held)
    elif isinstance(value, int | float) and not isinstance(value, bool) and not is_finite(value):
        raise ValueError("a number is not finite")


Digest = Annotated[str, Field(pattern="^[0-9a-f]{1,64}$")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Repeat = Annotated[int, Field(ge=0)]
TurnNumber = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Usage = Annotated[dict[str, Any], AfterValidator(_finite)]


class EditLine(TypedDict):
    """A line of ``edits/*.jsonl``."""

    __pydantic_config__ = STRICT  # type: ignore[misc]
    key: Digest
    session: str
    repeat: Repeat
    turn: TurnNumber
    status: Literal["ok", "failed", "refused"]
    image: Sha256 | None
    seed: int
    reason: NotRequired[str]
    usage: NotRequired[Usage | None]


class VerdictLine(TypedDict):
    """A line of ``verdicts/*.jsonl``."""

    __pydantic_config__ = STRICT  # type: ignore[misc]
    key: Digest
    edit: Digest
    session: str
    repeat: Repeat
    turn: TurnNumber
    metric: str
    status: Literal["ok", "not_applicable", "invalid_annotation", "unparsed", "refused", "error"]
    value: Share | None
    reason: NotRequired[str]
    votes: NotRequired[list[Share]]
    raw: NotRequired[list[str]]
    usage: NotRequired[Usage | None]
    latency_s: NotRequired[Seconds | None]
    attempt: NotRequired[Repeat]


class LabelPart(TypedDict):
    """What a label has beyond a verdict's line."""

    __pydantic_config__ = STRICT  # type: ignore[misc]
    judge: NotRequired[str]
    blind: bool
    time: NotRequired[str]


class SeenLine(TypedDict):
    """A line of ``labels/*.jsonl`` that notes what a reviewer was shown."""

    __pydantic_config__ = STRICT  # type: ignore[misc]
    judge: NotRequired[str]
    seen: Digest
    session: str
    repeat: Repeat
    turn: TurnNumber
    metric: str
    time: NotRequired[str]


class RuleLine(TypedDict):
    """The rule of a session line."""

    __pydantic_config__ = STRICT  # type: ignore[misc]
    text: str
    attribute: str
    value: str


class TurnLine(TypedDict):
    """A turn of a session line."""

    __pydantic_config__ = STRICT  # type: ignore[misc]
    number: TurnNumber
    instruction: str
    edit_type: str | None
    formatted: str | None
    unchanged_objects: list[str] | None
    available_objects: list[str] | None
    all_objects: list[str] | None
    bg_consistency: bool | None
    label: str | None
    target_description: str | None
    invalid: dict[str, str]
    target: NotRequired[Sha256 | None]
    mask: NotRequired[Sha256 | None]


class SessionLine(TypedDict):
    """A line of ``sessions.jsonl``."""

    __pydantic_config__ = STRICT  # type: ignore[misc]
    id: str
    track: str
    rule: RuleLine | None
    category: str | None
    provenance: str
    path: str
    source: str | None
    image: Sha256 | None
    fault: str | None
    turns: Annotated[list[TurnLine], Field(min_length=1, max_length=0xFFFF)]


_EDIT, _VERDICT = TypeAdapter(EditLine), TypeAdapter(VerdictLine)
_LABEL, _SEEN, _SESSION = TypeAdapter(LabelPart), TypeAdapter(SeenLine), TypeAdapter(SessionLine)


def check_edit(line: Any) -> None:
    """Raises ValueError, in one line: no edit line, or one whose status and image contradict each other."""
    _check(_EDIT, line)
    _agree(line, "image")


def check_verdict(line: Any) -> None:
    """Raises ValueError, in one line: no verdict line, or one whose status and value contradict each other."""
    _check(_VERDICT, line)
    _agree(line, "value")


def check_label(line: Any) -> None:
    """Raises ValueError, in one line: not what a label has beyond a verdict's line."""
    _check(_LABEL, line)


def check_seen(line: Any) -> None:
    """Raises ValueError, in one line: no note that something was seen."""
    _check(_SEEN, line)


def check_session(line: Any) -> None:
    """Raises ValueError, in one line: no session line."""
    _check(_SESSION, line)


def first_fault(error: ValidationError) -> str:
    """The first thing that is wrong, in one line: field, what is expected, and what was found."""
    first = error.errors(include_url=False, include_context=False)[0]
    field = one_line(".".join(map(str, first["loc"])), 80)
    found = f", found {shown(first['input'])}" if first["type"] not in ("missing", "extra_forbidden") else ""
    return f"{field}: {first['msg']}{found}".removeprefix(": ")


def shown(value: Any) -> str:
    """A wrong value, shortened to one line."""
    return _SHORT.repr(value)[:_SHOWN]


def _check(form: TypeAdapter[Any], line: Any) -> None:
    try:
        form.validate_python(line)
    except ValidationError as error:
        raise ValueError(first_fault(error)) from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _agree(line: Mapping[str, Any], field: str) -> None:
    if (line["status"] == "ok") != (line[field] is not None):
        raise ValueError(f"status {line['status']!r} and {field} {shown(line[field])} contradict each other")
