"""Content consistency as micebench measures it: one value per object, a background that has a layout.

Where and why it leaves the published protocols stands in docs/protocols.md. One caption of all the session's names
serves every image, so that each image is looked at once and rival names compete for a box.
"""

from collections.abc import Sequence

from micebench.judges.models.base import Box, Detect, Detection, Embed
from micebench.judges.models.boxes import best, huge, iou
from micebench.judges.models.images import cropped, resized
from micebench.judges.protocols.consistency.image_pair import Pair, Part, above, measured, undefined
from micebench.judges.protocols.consistency.regions import background_mask, names_in, pixel_similarity
from micebench.judges.protocols.consistency.rules import ConsistencyRules
from micebench.judges.protocols.consistency.similarity import object_similarity, patchwise_similarity
from micebench.verdicts import LazyImage, Verdict


def objects(pair: Pair, rules: ConsistencyRules) -> Part:
    """Mean over unchanged objects of the similarity between the object in the source and in the output.

    An object is the best box that bears its name. Its counterpart is the output's box of that name which overlaps
    it most, from `match_iou` on; else the same rectangle, so that an object which is gone or moved away is
    compared with what took its place. An object that the source does not show the detector is not measured.
    """
    if not pair.unchanged:
        return undefined("every object has been edited")
    before, after = yield _looks(pair)
    kept = {
        name: strongest.box
        for name in dict.fromkeys(pair.unchanged)
        if (strongest := best(_named(before, name, rules))) is not None
    }
    lost = [name for name in pair.unchanged if name not in kept]
    if not kept:
        return undefined(f"not found in the source: {', '.join(lost)}")
    crops: list[tuple[LazyImage, LazyImage]] = []
    for name, place in kept.items():
        counterpart = _nearest(place, _named(after, name, rules), rules.match_iou)
        crops.append((cropped(pair.source, place), cropped(pair.output, counterpart)))
    features = yield tuple(Embed(crop) for both in crops for crop in both)
    values: list[float] = []
    for (one, other), a, b in zip(crops, features[::2], features[1::2], strict=True):
        similarity = object_similarity(a, b, class_share=rules.class_share)
        pixels = pixel_similarity(one.load(), resized(other, one.load().size).load())
        values.append(measured(rules.measure, similarity, pixels))
    said = ", ".join(f"{name} {value:.3f}" for name, value in zip(kept, values, strict=True))
    unseen = f"; not found in the source: {', '.join(lost)}" if lost else ""
    return Verdict.ok(sum(values) / len(values), said + unseen)


def background(pair: Pair, rules: ConsistencyRules) -> Part:
    """Mean cosine of background patches with the patch at the same place.

    Background is what no box of a name known by this turn covers, in source or output. An image without annotated
    objects is all background; one in which none of them is found has an unknown background.
    """
    if pair.turn.bg_consistency is not True:
        return undefined("the background was changed on request")
    if pair.turn.all_objects is None:
        return undefined("no objects are annotated")
    boxes: list[Box] = []
    if pair.named:
        before, after = yield _looks(pair)
        found = [detection for name in pair.named for detection in _named((*before, *after), name, rules)]
        boxes = [detection.box for detection in found]
        if not boxes:
            return undefined("none of the annotated objects was found, so that the background is unknown")
    mask = background_mask(boxes, pair.size)
    one, other = yield Embed(pair.source), Embed(pair.output)
    similarity = patchwise_similarity(one, other, mask, patch_floor=rules.patch_floor)
    if similarity is None:
        return undefined("boxes cover the whole image")
    pixels = pixel_similarity(pair.source.load(), pair.output.load(), mask)
    value = measured(rules.measure, similarity, pixels)
    return Verdict.ok(value, f"{mask.mean():.0%} of the image; features {similarity:.3f}, pixels {pixels:.3f}")


def _looks(pair: Pair) -> tuple[Detect, Detect]:
    turns = pair.session.turns
    names = names_in([*(turn.unchanged_objects for turn in turns), *(turn.all_objects for turn in turns)])
    return Detect(pair.detector[0], names), Detect(pair.detector[1], names)


def _named(found: Sequence[Detection], name: str, rules: ConsistencyRules) -> list[Detection]:
    """Detections of that very name which say where it is."""
    return [
        detection
        for detection in above(found, rules.threshold)
        if detection.name == name and not huge(detection.box, rules.largest)
    ]


def _nearest(place: Box, found: Sequence[Detection], match_iou: float) -> Box:
    overlaps = [(iou(place, detection.box), detection.box) for detection in found]
    overlap, box = max(overlaps, key=lambda pair: pair[0], default=(0.0, place))
    return box if overlap >= match_iou else place
