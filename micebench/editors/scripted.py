"""Editors of the embedded world without a network: they make the metrics' behaviour visible and testable.

They see exactly what every editor sees (instructions and images), read the image with the exact judge's eye,
and redraw the slots that the edit changes.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from micebench.cards import EditorCard, check_fields
from micebench.editors.base import EditRequest
from micebench.errors import CardError
from micebench.instructions import EDIT_TYPES, ParsedEdit
from micebench.mini.edits import ImpossibleEdit, apply_edit
from micebench.mini.language import Listener
from micebench.mini.perceive import Reading, perceive
from micebench.mini.render import join_slots, render, split_slots
from micebench.mini.world import COLORS, GRID, LETTERS, MATERIALS, SLOT_PX, Scene, parse_name
from micebench.sessions import Rule

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = NDArray[np.uint8]
Options = TypeVar("Options", bound=BaseModel)


class Identity:
    """Returns its input: IF 0, content consistency 100."""

    def __init__(self, card: EditorCard) -> None:
        _options(card, _NoOptions)

    def edit(self, requests: Sequence[EditRequest]) -> "list[Image]":
        return [request.image for request in requests]


class Oracle:
    """Edits perfectly, from what it is told alone.

    With context `history` it hears the whole dialogue, so that it knows the rule, what "it" refers to and
    where "there" is. With context `last` it hears only the current instruction and does what it can.
    """

    def __init__(self, card: EditorCard) -> None:
        _options(card, _NoOptions)

    def edit(self, requests: Sequence[EditRequest]) -> list[Pixels]:
        return [carry_out(task, task.edit) for task in understand(requests)]


class DriftDials(BaseModel):
    """How much an output of `Drifting` loses per turn; pixel values in [0, 1]."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    blur_sigma_px: float = Field(default=0.0, ge=0, description="Gaussian blur")
    noise_std: float = Field(default=0.0, ge=0, description="white noise")
    cast: tuple[float, float, float] = Field(default=(0.0, 0.0, 0.0), description="added to R, G, B")


class Drifting:
    """Carries out every edit it can still read, on pixels that lose a little at every turn.

    Only the slots that the edit changes are redrawn; everything else is the previous image, so that blur,
    noise and colour cast accumulate over turns.
    """

    def __init__(self, card: EditorCard) -> None:
        self.dials = _options(card, DriftDials)

    def edit(self, requests: Sequence[EditRequest]) -> list[NDArray[np.float32]]:
        return [
            self._drift(carry_out(task, task.edit), np.random.default_rng(request.seed))
            for request, task in zip(requests, understand(requests), strict=True)
        ]

    def _drift(self, image: Pixels, rng: np.random.Generator) -> NDArray[np.float32]:
        from PIL import Image, ImageFilter

        blurred = Image.fromarray(image).filter(ImageFilter.GaussianBlur(self.dials.blur_sigma_px))
        pixels = np.asarray(blurred, np.float32) / 255
        pixels = pixels + rng.normal(0, self.dials.noise_std, pixels.shape) + np.array(self.dials.cast)
        return np.clip(pixels, 0, 1).astype(np.float32)


class FailureRates(BaseModel):
    """Probability that `Clumsy` gets an edit of a type wrong."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    failure: dict[str, float] = Field(description="edit type -> probability in [0, 1]")


class Clumsy:
    """The oracle, but each edit type goes wrong with the probability in its card.

    Half of the failures do nothing; the others carry out the edit with a wrong value or on a wrong object.
    """

    def __init__(self, card: EditorCard) -> None:
        self.rates = _options(card, FailureRates).failure
        unknown = sorted(set(self.rates) - set(EDIT_TYPES))
        if unknown or not all(0 <= rate <= 1 for rate in self.rates.values()):
            raise CardError(
                f"model {card.id!r}: failure maps edit types to probabilities in [0, 1]"
                + (f"; unknown: {', '.join(unknown)}" if unknown else "")
            )

    def edit(self, requests: Sequence[EditRequest]) -> list[Pixels]:
        return [
            self._stumble(task, random.Random(request.seed))
            for request, task in zip(requests, understand(requests), strict=True)
        ]

    def _stumble(self, task: "Understood", rng: random.Random) -> Pixels:
        edit = task.edit
        if edit is None or task.scene is None or rng.random() >= self.rates.get(edit.edit_type, 0.0):
            return carry_out(task, edit)
        return carry_out(task, None if rng.random() < 0.5 else mistaken(edit, task.scene, rng))


@dataclass(frozen=True, slots=True)
class Understood:
    """What a request means: the image, what is seen in it, the edit, and what binds or locates it.

    `scene` is None where the background cannot be read, `edit` where the words cannot be understood.
    """

    image: Pixels
    scene: Scene | None
    edit: ParsedEdit | None
    rule: Rule | None
    places: Mapping[str, int]


def understand(requests: Sequence[EditRequest]) -> list[Understood]:
    """Hear the instructions and read the images of each request; all images are perceived in one go."""
    if not requests:
        return []
    reading = perceive(np.stack([np.asarray(image) for request in requests for image in request.images]))
    understood: list[Understood] = []
    first = 0
    for request in requests:
        rows = range(first, first + len(request.images))
        first = rows.stop
        listener = Listener()
        scenes = [reading.scene(row, partial=True) for row in rows]
        heard = [listener.hear(*seen) for seen in zip(request.instructions, scenes, strict=True)]
        understood.append(
            Understood(
                image=np.asarray(request.image),
                scene=scenes[-1],
                edit=heard[-1],
                rule=listener.rule,
                places=_places(heard[:-1], rows, reading),
            )
        )
    return understood


def _places(heard: Sequence[ParsedEdit | None], rows: range, reading: Reading) -> dict[str, int]:
    """Where removed objects stood: in the last image before their removal."""
    return {
        edit.target: slots[0]
        for edit, row in zip(heard, rows, strict=False)
        if edit is not None
        and edit.edit_type == "subject_remove"
        and (slots := reading.slots_of(row, parse_name(edit.target)))
    }


def carry_out(task: Understood, edit: ParsedEdit | None) -> Pixels:
    """The image after `edit`, (48, 48, 3) uint8: only slots whose content changes are redrawn.

    An edit that is not understood, or impossible in this scene, leaves the image as it is.
    """
    if edit is None or task.scene is None:
        return task.image
    try:
        after = apply_edit(task.scene, edit, task.rule, task.places)
    except ImpossibleEdit:
        return task.image
    old, new = split_slots(render(task.scene)), split_slots(render(after))
    changed = (old != new).any((1, 2, 3))
    slots = np.where(changed[:, None, None, None], new, split_slots(task.image))
    return join_slots(slots.reshape(GRID, GRID, SLOT_PX, SLOT_PX, 3))


def mistaken(meant: ParsedEdit, scene: Scene, rng: random.Random) -> ParsedEdit | None:
    """The same kind of edit gone wrong: another value where there is one, else another object, else nothing."""
    values = {"color_alter": COLORS, "material_alter": MATERIALS, "text_change": LETTERS}.get(meant.edit_type)
    if values is not None:
        return replace(meant, value=rng.choice([value for value in values if value != meant.value]))
    match meant.edit_type:
        case "count_change":
            return replace(meant, count=(meant.count or 1) % 4 + 1)
        case "position_change":
            opposite = {"left": "right", "right": "left", "above": "below", "below": "above"}
            return replace(meant, relation=opposite[meant.relation])
        case "subject_add":
            kind = parse_name(meant.target)
            wrong = rng.choice([color for color in COLORS if color != kind.color])
            return replace(meant, target=kind.with_("color", wrong).name)
        case "subject_remove" | "subject_replace":
            target = parse_name(meant.target)
            others = [thing.kind.name for thing in scene.things if not target.fits(thing.kind)]
            return replace(meant, target=rng.choice(others)) if others else None
    return None


class _NoOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _options(card: EditorCard, form: type[Options]) -> Options:
    return check_fields(card.options, form, where=f"model {card.id!r}, options")
