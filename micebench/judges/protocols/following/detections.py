"""What micebench's protocol sees: objects instead of boxes, before and after the judged turn."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from micebench.judges.models.base import Box, Detect, Detection, Read, Request, TextLine
from micebench.judges.models.boxes import area, huge, hull, iou, overlap, widened, without_duplicates
from micebench.judges.models.images import cropped
from micebench.judges.protocols.following.names import bare
from micebench.judges.protocols.following.rules import CorrectedRules
from micebench.judges.protocols.following.steps import Asks, Step, failed
from micebench.verdicts import LazyImage, Question, Status, Verdict

Objects = list[Detection]


@dataclass(frozen=True, slots=True)
class Sought:
    """An object the turn starts from.

    Attributes:
        query: the name it was found by, for use on the other image too.
        objects: all of that name before the turn, the best first; empty if there is none.
    """

    query: str
    objects: Objects

    @property
    def box(self) -> Box:
        """Where the best of them is."""
        return self.objects[0].box


class Scene:
    """The image before the judged turn and the one after it, as they are."""

    def __init__(self, question: Question, rules: CorrectedRules, asker: Asks) -> None:
        self.question, self.rules, self.asker = question, rules, asker
        self.before, self.after = question.earlier[-1], question.images[-1]

    def objects(self, image: LazyImage, name: str, above: float | None = None) -> Generator[Request, Any, Objects]:
        """The objects of this name with a score above `found` or `above`, the best first."""
        found = yield from self._detected(image, name, self.rules.found if above is None else above)
        by_score = sorted(found, key=lambda detection: -detection.score)
        return _without_groups(without_duplicates(by_score, self.rules.same), self.rules)

    def traces(self, name: str) -> Generator[Request, Any, Objects]:
        """Wherever something of this name may have been before the turn, faint finds (`kept`) and groups included."""
        return self._detected(self.before, name, self.rules.kept)

    def _detected(self, image: LazyImage, name: str, above: float) -> Generator[Request, Any, Objects]:
        """One query per name; what is labelled otherwise, has no area, or is the whole scene does not count."""
        found: tuple[Detection, ...] = yield Detect(image, (name,))
        return [
            one
            for one in found
            if one.name == name and one.score > above and area(one.box) > 0 and not huge(one.box, self.rules.huge)
        ]

    def sought(self, name: str) -> Generator[Request, Any, Sought]:
        """The object the turn is about, before the turn; by its name without colour and material if need be."""
        found = yield from self.objects(self.before, name)
        if found or bare(name) == name:
            return Sought(name, found)
        return Sought(bare(name), (yield from self.objects(self.before, bare(name))))

    def lost(self, name: str) -> Step:
        """Why an object that the turn starts from is not there: the detector's failing, or an earlier turn's."""
        turn = len(self.question.earlier)
        untouched = self.question.session.turns[turn - 2].unchanged_objects if turn > 1 else None
        if untouched is not None and name not in untouched:
            return failed(f"there is no {name} to begin with: the earlier turn has not made it")
        source = self.question.images[0]
        if (yield from self.objects(source, name)) or (yield from self.objects(source, bare(name))):
            return failed(f"there is no {name} to begin with: an earlier turn has lost it")
        return Verdict.missing(
            Status.NOT_APPLICABLE, f"the detector does not find the {name} in the source image either"
        )

    def same_place(self, a: Box, b: Box) -> bool:
        """Whether two boxes are one object, or one that has not moved."""
        return iou(a, b) > self.rules.same

    def elsewhere(self, found: Objects, others: Sequence[Detection]) -> Objects:
        """Those of `found` that are at the place of none of the others."""
        return [one for one in found if not any(self.same_place(one.box, other.box) for other in others)]

    def not_outscored(self, found: Objects, rivals: Objects) -> Objects:
        """Of two names for one place the better-scoring one counts: `found` without what is rather a rival."""
        return [
            one
            for one in found
            if not any(rival.score > one.score and self.same_place(one.box, rival.box) for rival in rivals)
        ]

    def close(self, box: Box) -> tuple[LazyImage, LazyImage, LazyImage]:
        """A place with a margin before the turn, the same after it, and the whole image after it."""
        place = widened(box, self.rules.margin)
        return cropped(self.before, place), cropped(self.after, place), self.after

    def lines(self, image: LazyImage, box: Box | None) -> Generator[Request, Any, list[str]]:
        """The lines of text in the image, or those on an object: most of the line lies in its box with a margin."""
        region = widened(box, self.rules.margin) if box is not None else Box(0.0, 0.0, 1.0, 1.0)
        if self.rules.text == "vlm":
            text = yield from self.asker.text("read_text", (image if box is None else cropped(image, region),))
            return text.splitlines()
        found: tuple[TextLine, ...] = yield Read(image)
        return [
            line.text
            for line in found
            if line.confidence > self.rules.legible
            and overlap(line.box, region) >= self.rules.inside * area(line.box)
        ]


def _without_groups(found: Objects, rules: CorrectedRules) -> Objects:
    """Drops a box that is about the hull of two or more others of its name: a group is not one more object."""

    def is_group(one: Detection) -> bool:
        held = [
            other.box
            for other in found
            if other is not one and overlap(other.box, one.box) >= rules.inside * area(other.box)
        ]
        return len(held) > 1 and iou(hull(held), one.box) > rules.same

    return [one for one in found if not is_group(one)]
