"""What a bundle may say: types, lengths and characters of every field, held against it strictly.

Nothing said in a bundle is looked up, imported, loaded or fetched because of it; its cards are dictionaries here.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from micebench.errors import hidden
from micebench.report.formatting import visible
from micebench.sessions import TRACKS
from micebench.store.manifest import Manifest
from micebench.submission import names
from micebench.submission.errors import BundleError
from micebench.verdicts import Status

KEY_DIGITS = 16
NAME_CHARACTERS = 80
CONTACT_CHARACTERS = 200
URL_CHARACTERS = 300
NOTE_CHARACTERS = 1000
MAX_METRICS = 64
MAX_SESSIONS = 20_000
_WORDS = 400  # characters of what else is shown of a manifest
_MARKS = 2  # after one letter; more are piled up over other lines
_MODEL = re.compile(r"[A-Za-z0-9._+-]+")  # what ids of cards, classes and folders are made of
_URL = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]!$&()*+,;=%-]+")
_SLUG = re.compile(r"[^a-z0-9.]+")

M = TypeVar("M", bound=BaseModel)


def plain(text: str) -> str:
    """A text that can be shown as it is.

    Raises ValueError: invisible or markup characters, stacked marks, blanks at the ends.
    """
    marks = 0
    for character in text:
        if hidden(character):
            spelled = character.encode("unicode_escape", "surrogatepass").decode("ascii")
            raise ValueError(f"has the control or invisible character {spelled}")
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks > _MARKS:
            raise ValueError("has marks stacked on one letter")
    if text != text.strip():
        raise ValueError("begins or ends with a blank")
    if "<" in text or ">" in text:
        raise ValueError("has < or >, the characters of HTML; write it without")
    return text


def normal(text: str) -> str:
    """`plain`, and spelled with ordinary letters: no ligatures, full-width or mathematical look-alikes."""
    if unicodedata.normalize("NFKC", plain(text)) != text:
        raise ValueError("is spelled with look-alike characters; write it with ordinary letters (Unicode NFKC)")
    return text


def web_address(text: str) -> str:
    """An http(s) address. Raises ValueError: another scheme, a user name in it, or characters that need escaping."""
    scheme = text.partition(":")[0]
    if scheme.lower() not in ("http", "https"):
        raise ValueError(f"is no web address but {visible(scheme, 40)}:...; give one that begins with https://")
    if not _URL.fullmatch(text):
        raise ValueError("has characters that an address has not; write it percent-encoded")
    if not urlsplit(text).hostname:
        raise ValueError("names no host")
    return text


def slug(name: str) -> str:
    """The folder of a name: ``[a-z0-9.-]+``, without dots and dashes at its ends.

    Raises ValueError: nothing is left, because the name has no Latin letter or digit.
    """
    found = _SLUG.sub("-", unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()).strip("-.")
    found = re.sub(r"\.{2,}", ".", found)
    if not found:
        raise ValueError("has no Latin letter or digit, of which its folder could be named")
    return found


def _named(name: str) -> str:
    names.check_letters(normal(name))
    names.check_folder(slug(name))
    return name


Name = Annotated[str, Field(min_length=1, max_length=NAME_CHARACTERS), AfterValidator(_named)]
Contact = Annotated[str, Field(min_length=3, max_length=CONTACT_CHARACTERS), AfterValidator(normal)]
Url = Annotated[str, Field(max_length=URL_CHARACTERS), AfterValidator(web_address)]
Note = Annotated[str, Field(max_length=NOTE_CHARACTERS), AfterValidator(plain)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ShortKey = Annotated[str, Field(pattern=rf"^[0-9a-f]{{{KEY_DIGITS}}}$")]
Words = Annotated[str, Field(max_length=4000)]
Identifier = Annotated[str, Field(min_length=1, max_length=300)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**31)]
_Objects = Annotated[list[Annotated[str, Field(max_length=1000)]], Field(max_length=500)]
_UsageName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,40}$")]
_Number = Annotated[int, Field(ge=-(2**53), le=2**53)] | Annotated[float, Field(allow_inf_nan=False)]
Usage = Annotated[dict[_UsageName, _Number | Annotated[str, Field(max_length=200)] | None], Field(max_length=16)]
"""Tokens, cost, latency ...: few names with a number or a short text each."""
_USAGE = TypeAdapter(Usage)


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class About(_Form):
    """What the submitter says of the submission; the four options of `micebench submit`."""

    name: Name
    contact: Contact
    url: Url | None = None
    note: Note = ""


class Kept(_Form):
    """Which images are in the bundle.

    Attributes:
        kept: those of all sessions, or of a sample.
        seed: of the sample: a hash of everything that was edited and judged; None with "all".
        sessions: ids, in the task's order.
        rule: the same for people.
    """

    kept: Literal["all", "sample"]
    seed: Digest | None
    sessions: Annotated[list[Identifier], Field(max_length=MAX_SESSIONS)]
    rule: Words


class Member(_Form):
    """What a file of the bundle must be."""

    sha256: Digest
    bytes: Count


class Submission(About):
    """``submission.json``."""

    format: Literal[1]
    manifest: Manifest
    command: Annotated[str, Field(max_length=1000), AfterValidator(plain)]
    images: Kept
    files: dict[str, Member]

    @model_validator(mode="after")
    def _presentable(self) -> "Submission":
        manifest = self.manifest
        shown = [manifest.model, manifest.judge or "", manifest.platform, manifest.created]
        for text in (*shown, *manifest.versions, *manifest.versions.values()):
            if len(text) > _WORDS:
                raise ValueError(f"manifest: a text of {len(text)} characters")
            plain(text)
        if len(manifest.metrics) > MAX_METRICS or len(manifest.versions) > MAX_METRICS:
            raise ValueError(f"manifest: more than {MAX_METRICS} metrics or versions")
        if not manifest.model:
            raise ValueError("manifest.model: names no model")
        if not _MODEL.fullmatch(manifest.model):
            raise ValueError("manifest.model: has characters that no model id has")
        return self


class TurnLine(_Form):
    """A turn of ``sessions.jsonl``; as in `micebench.sessions.Turn`, images by the sha256 of their PNG."""

    number: Annotated[int, Field(ge=1, le=1000)]
    instruction: Words
    edit_type: Words | None
    formatted: Words | None
    unchanged_objects: _Objects | None
    available_objects: _Objects | None
    all_objects: _Objects | None
    bg_consistency: bool | None
    label: Words | None
    target_description: Words | None
    invalid: _Objects
    target: Digest | None = None
    mask: Digest | None = None


class SessionLine(_Form):
    """A line of ``sessions.jsonl``. `image`: sha256 of the source's PNG; `pixels`: of what it shows."""

    id: Identifier
    track: Annotated[str, Field(pattern=rf"^(?:{'|'.join(TRACKS)})$")]
    rule: Annotated[dict[Words, Words], Field(max_length=16)] | None
    category: Words | None
    image: Digest
    pixels: Digest
    turns: Annotated[list[TurnLine], Field(min_length=1, max_length=100)]


class _Unit(_Form):
    session: Identifier
    repeat: Annotated[int, Field(ge=0, le=10_000)]
    turn: Annotated[int, Field(ge=1, le=1000)]
    reason: Words = ""
    usage: Usage | None = None


class EditLine(_Unit):
    """A line of ``edits.jsonl``: an `EditRecord`."""

    key: Digest
    status: Literal["ok", "failed", "refused"]
    image: Digest | None
    seed: Annotated[int, Field(ge=0, lt=2**63)]

    @model_validator(mode="after")
    def _image_or_none(self) -> "EditLine":
        if (self.status == "ok") != (self.image is not None):
            raise ValueError(f"status {self.status!r} and image {self.image!r} contradict each other")
        return self


class VerdictLine(_Unit):
    """A line of ``verdicts.jsonl``: a `VerdictRecord`, its keys cut to `KEY_DIGITS`: they are half of a bundle."""

    key: ShortKey
    edit: ShortKey
    metric: Annotated[str, Field(max_length=40)]
    status: Literal["ok", "not_applicable", "invalid_annotation", "unparsed", "refused", "error"]
    value: Share | None
    votes: Annotated[list[Share], Field(max_length=1000)] = []
    raw: Annotated[list[str], Field(max_length=1000)] = []
    latency_s: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] | None = None
    attempt: Count = 0

    @model_validator(mode="after")
    def _value_if_ok(self) -> "VerdictLine":
        if (self.status == Status.OK) != (self.value is not None):
            raise ValueError(f"status {self.status!r} and value {self.value!r} contradict each other")
        return self


def plain_usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """What a bundle can hold of an editor's or a judge's `usage`, which may be any JSON in a run."""
    kept: dict[str, Any] = {}
    for name, value in usage.items():
        try:
            kept = _USAGE.validate_python(kept | {name: value}, strict=True)
        except ValidationError:
            continue
    return kept


def held(fields: dict[str, Any], form: type[M], where: str) -> M:
    """Fields as the given form, strictly: no text for a number, no number for a flag.

    Raises BundleError (check "form") with `where`, field and fault; what was found is never quoted at length.
    """
    try:
        return form.model_validate(fields, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field, said = visible(_path(first["loc"]), 80), visible(first["msg"], 200)
        raise BundleError("form", f"{where}: {field + ': ' if field else ''}{said}") from error


def _path(loc: Iterable[str | int]) -> str:
    return ".".join(str(part) for part in loc)
