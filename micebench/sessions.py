"""Sessions and turns: one form for every benchmark (objects here, `datasets` schema in `features`)."""
# pyright: reportMissingTypeStubs=false

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from micebench.errors import DataError

if TYPE_CHECKING:
    import datasets
    from PIL.Image import Image

    from micebench.utils.image_decoding import DecodedImage

Track = Literal["plain", "cm", "cu"]
"""plain; cm: a standing rule given in turn 1; cu: later turns refer by pronoun."""
TRACKS: tuple[Track, ...] = get_args(Track)


@dataclass(frozen=True, slots=True)
class Rule:
    """A cm session's standing constraint; it binds only the object edited in each turn, removals exempt."""

    text: str
    attribute: Literal["color", "material"]
    value: str


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image by content or by place; decoded only when `open` is called.

    Attributes:
        path: where the release says it is (for messages; relative or absolute).
        data: encoded bytes, if the image travels with the row.
        file: the file found on disk, if any. Without `data` and `file` the image is absent.
    """

    path: str
    data: bytes | None = field(default=None, repr=False)
    file: str | None = None

    @property
    def present(self) -> bool:
        return self.data is not None or self.file is not None

    def read(self) -> bytes:
        """The encoded bytes. Raises DataError if the image is absent."""
        if self.data is not None:
            return self.data
        if self.file is None:
            raise DataError(
                f"image {self.path!r} is missing, or lies outside the data folder: "
                "give the release's folder with --data DIR"
            )
        try:
            return Path(self.file).read_bytes()
        except OSError as error:
            raise DataError(f"image {self.file}: {error.strerror or error}") from error

    def open(self) -> "Image":
        """The upright 8-bit RGB image. Raises DataError if absent or refused by `decode_image`."""
        return self.decode().image

    def decode(self) -> "DecodedImage":
        """The upright 8-bit RGB image, and what decoding changed. Raises DataError as `open` does."""
        from micebench.utils.image_decoding import decode_image

        data = self.read()
        try:
            return decode_image(data)
        except DataError as error:
            raise DataError(f"image {self.file or self.path}: {error}") from error


@dataclass(frozen=True, slots=True)
class Turn:
    """One instruction of a session, with the judge-side annotations its benchmark provides.

    Attributes:
        number: 1-based.
        instruction: what the editor sees, verbatim (a cm rule stands in turn 1).
        edit_type: one of `instructions.EDIT_TYPES`, or None where the benchmark has no types.
        formatted: bracketed, pronoun-free, rule-free instruction; judge side only.
        unchanged_objects, available_objects, all_objects: pools *after* this turn (never edited since the
            source / still editable / ever seen); None where the benchmark has none.
        bg_consistency: False from the first background change on; None where unknown.
        label: LME-Bench's "hard" | "soft" | "local".
        target_image, mask_image: reference after this turn and edited region, where they exist.
        target_description: MSE-Bench's description of the wanted image.
        invalid: metric name -> "file:line field: fault"; the metric becomes `invalid_annotation` here.
    """

    number: int
    instruction: str
    edit_type: str | None = None
    formatted: str | None = None
    unchanged_objects: tuple[str, ...] | None = None
    available_objects: tuple[str, ...] | None = None
    all_objects: tuple[str, ...] | None = None
    bg_consistency: bool | None = None
    label: str | None = None
    target_image: ImageFile | None = None
    mask_image: ImageFile | None = None
    target_description: str | None = None
    invalid: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Session:
    """One source image and its ordered instructions.

    `id` is unique within a task; `provenance` names file and line for messages.
    """

    id: str
    task: str
    track: Track
    image: ImageFile
    turns: tuple[Turn, ...]
    rule: Rule | None = None
    category: str | None = None
    provenance: str = ""


def features() -> "datasets.Features":
    """The one `datasets.Features` schema of all tasks; unknown fields are None."""
    from datasets import Features, Image, List, Value

    text = Value("string")
    turn: dict[str, Any] = {
        "number": Value("int32"),
        "instruction": text,
        "edit_type": text,
        "formatted": text,
        "unchanged_objects": List(text),
        "available_objects": List(text),
        "all_objects": List(text),
        "bg_consistency": Value("bool"),
        "label": text,
        "target_image": Image(),
        "target_path": text,
        "mask_image": Image(),
        "mask_path": text,
        "target_description": text,
        "invalid": List({"metric": text, "reason": text}),
    }
    return Features(
        {
            "id": text,
            "task": text,
            "track": text,
            "image": Image(),
            "image_path": text,
            "rule": {"text": text, "attribute": text, "value": text},
            "category": text,
            "provenance": text,
            "turns": List(turn),
        }
    )


def to_row(session: Session) -> dict[str, Any]:
    """Session -> row of `features()`; an absent image becomes None and keeps its path."""
    rule = session.rule
    return {
        "id": session.id,
        "task": session.task,
        "track": session.track,
        "image": _encode(session.image),
        "image_path": session.image.path,
        "rule": {"text": rule.text, "attribute": rule.attribute, "value": rule.value} if rule else None,
        "category": session.category,
        "provenance": session.provenance,
        "turns": [
            {
                "number": turn.number,
                "instruction": turn.instruction,
                "edit_type": turn.edit_type,
                "formatted": turn.formatted,
                "unchanged_objects": _listed(turn.unchanged_objects),
                "available_objects": _listed(turn.available_objects),
                "all_objects": _listed(turn.all_objects),
                "bg_consistency": turn.bg_consistency,
                "label": turn.label,
                "target_image": _encode(turn.target_image),
                "target_path": turn.target_image.path if turn.target_image else None,
                "mask_image": _encode(turn.mask_image),
                "mask_path": turn.mask_image.path if turn.mask_image else None,
                "target_description": turn.target_description,
                "invalid": [{"metric": name, "reason": why} for name, why in turn.invalid.items()],
            }
            for turn in session.turns
        ],
    }


def from_row(row: Mapping[str, Any]) -> Session:
    """Undecoded row (``{"bytes", "path"}`` images, as Arrow stores them) -> Session."""
    rule = row["rule"]
    return Session(
        id=row["id"],
        task=row["task"],
        track=row["track"],
        image=_decode(row["image"], row["image_path"]),
        rule=Rule(**rule) if rule and rule["text"] is not None else None,
        category=row["category"],
        provenance=row["provenance"],
        turns=tuple(
            Turn(
                number=turn["number"],
                instruction=turn["instruction"],
                edit_type=turn["edit_type"],
                formatted=turn["formatted"],
                unchanged_objects=_tupled(turn["unchanged_objects"]),
                available_objects=_tupled(turn["available_objects"]),
                all_objects=_tupled(turn["all_objects"]),
                bg_consistency=turn["bg_consistency"],
                label=turn["label"],
                target_image=_decode(turn["target_image"], turn["target_path"]) if turn["target_path"] else None,
                mask_image=_decode(turn["mask_image"], turn["mask_path"]) if turn["mask_path"] else None,
                target_description=turn["target_description"],
                invalid={fault["metric"]: fault["reason"] for fault in turn["invalid"] or ()},
            )
            for turn in row["turns"]
        ),
    )


def _encode(image: ImageFile | None) -> dict[str, Any] | None:
    if image is None or not image.present:
        return None
    return {"bytes": image.data, "path": image.file if image.data is None else image.path}


def _decode(stored: Mapping[str, Any] | None, path: str) -> ImageFile:
    if stored is None:
        return ImageFile(path)
    data = stored["bytes"]
    return ImageFile(path, data=data, file=None if data is not None else stored["path"])


def _listed(names: tuple[str, ...] | None) -> list[str] | None:
    return None if names is None else list(names)


def _tupled(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)
