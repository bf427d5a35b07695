"""How images reach the models of the published protocols: pressed into a square, through JPEG files."""

from collections.abc import Generator
from typing import Any

from micebench.judges.models.base import Box, Detect, Detection, Request
from micebench.judges.models.boxes import best, centre, huge
from micebench.judges.models.images import compressed, cropped, resized
from micebench.judges.protocols.following.rules import PublishedRules
from micebench.judges.protocols.following.steps import Asks
from micebench.verdicts import LazyImage, Question


class View:
    """One image as the published code shows it to its detector and to its VLM."""

    def __init__(self, image: LazyImage, rules: PublishedRules) -> None:
        if rules.squash is not None:
            image = resized(image, (rules.squash, rules.squash))
        image = compressed(image, rules.jpeg_sent)
        self._squash, self._jpeg, self._image = rules.squash, rules.jpeg_vlm, image
        self._detector = compressed(image, rules.jpeg_detector)
        self.vlm = compressed(image, rules.jpeg_vlm)

    def part(self, box: Box) -> LazyImage:
        """What the VLM sees of a rectangle, whose sides are cut to whole pixels."""
        width, height = self._size
        left, right = (int(x * width) / width for x in (box.left, box.right))
        top, bottom = (int(y * height) / height for y in (box.top, box.bottom))
        return compressed(cropped(self._image, Box(left, top, right, bottom)), self._jpeg)

    @property
    def _size(self) -> tuple[int, int]:
        return (self._squash, self._squash) if self._squash is not None else self._image.load().size

    def all(self, name: str, above: float) -> Generator[Request, Any, list[Detection]]:
        """All detections of `name` in the detector's own order, which is not that of their scores."""
        found: tuple[Detection, ...] = yield Detect(self._detector, (name.strip(),))
        return [detection for detection in found if detection.score > above]

    def single(
        self, name: str, above: float, *, ignore_huge: float | None = None
    ) -> Generator[Request, Any, Detection | None]:
        """The best-scoring detection, if any. Boxes wider and higher than `ignore_huge` do not count."""
        found = yield from self.all(name, above)
        if ignore_huge is not None:
            found = [detection for detection in found if not huge(detection.box, ignore_huge)]
        return best(found)

    def pixel(self, detection: Detection) -> tuple[int, int]:
        """The centre of a box, cut to whole pixels."""
        width, height = self._size
        x, y = centre(detection.box)
        return int(x * width), int(y * height)

    def rounded(self, detection: Detection) -> tuple[float, float]:
        """`pixel` in shares of width and height again."""
        width, height = self._size
        x, y = self.pixel(detection)
        return x / width, y / height


class Pair:
    """The image before the judged turn and the one after it, the protocol's constants, and its VLM."""

    def __init__(self, question: Question, rules: PublishedRules, asker: Asks) -> None:
        self.question, self.rules, self.asker = question, rules, asker
        self.before, self.after = View(question.earlier[-1], rules), View(question.images[-1], rules)

    def compared(self, prompt: str, **words: str) -> Generator[Request, Any, float]:
        """A question about both images, the earlier one first."""
        return self.asker.yes(prompt, (self.before.vlm, self.after.vlm), **words)

    def asked(self, prompt: str, **words: str) -> Generator[Request, Any, float]:
        """A question about the later image alone."""
        return self.asker.yes(prompt, (self.after.vlm,), **words)
