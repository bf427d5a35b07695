"""Content consistency as EdiVal-Bench and MICE-Bench publish it.

EdiVal: TianyuCodings/EdiVal @ a7bbdec, detector/consistency_detector.py and eval.py. MICE: yuxiaooye/Edit-R2 @
2dd266f, rewards/reward_server/edival_reward_server.py and flow_grpo/edival_client.py. Both are reproduced with
their weaknesses; only what they could not compute has a status here instead of a number.
"""

from micebench.judges.models.base import Box, Detect, Embed
from micebench.judges.protocols.consistency.image_pair import Pair, Part, above, measured, undefined
from micebench.judges.protocols.consistency.regions import (
    background_mask,
    cut,
    is_empty,
    pixel_similarity,
    truncated,
)
from micebench.judges.protocols.consistency.rules import ConsistencyRules
from micebench.judges.protocols.consistency.similarity import object_similarity, pooled_similarity
from micebench.verdicts import Verdict


def objects(pair: Pair, rules: ConsistencyRules) -> Part:
    """Mean over the boxes that one caption of all unchanged names finds in the source, whatever their labels.

    Each box is cut from both images at the same place, so that an object which moved counts as changed.
    """
    if rules.protocol == "edival" and pair.turn.bg_consistency is not True:
        return undefined("EdiVal measures nothing after a background change")
    if not pair.unchanged:
        return undefined("every object has been edited")
    if rules.protocol == "mice" and not pair.named:
        return undefined("no objects are annotated")
    found = above((yield Detect(pair.detector[0], pair.unchanged)), rules.threshold)
    rectangles = [truncated(detection.box, pair.size) for detection in found]
    rectangles = [rectangle for rectangle in rectangles if not is_empty(rectangle)]
    if not rectangles:
        names = ", ".join(pair.unchanged)
        if rules.undetected == "zero":
            return Verdict.ok(0.0, f"none of the unchanged objects was found in the source: {names}")
        return undefined(f"none of the unchanged objects was found in the source: {names}")
    crops = [(cut(pair.source, rectangle), cut(pair.output, rectangle)) for rectangle in rectangles]
    features = yield tuple(Embed(crop) for both in crops for crop in both)
    cosines = [
        object_similarity(one, other, class_share=rules.class_share, registers_as_patches=rules.registers_as_patches)
        for one, other in zip(features[::2], features[1::2], strict=True)
    ]
    pixels = [pixel_similarity(one.load(), other.load()) for one, other in crops]
    similarity, likeness = _mean(cosines), _mean(pixels)
    value = measured(rules.measure, similarity, likeness)
    return Verdict.ok(value, f"{len(crops)} boxes; features {similarity:.3f}, pixels {likeness:.3f}")


def background(pair: Pair, rules: ConsistencyRules) -> Part:
    """What is left when all boxes of all names, found in source and output, are blacked out."""
    if pair.turn.bg_consistency is not True:
        return undefined("the background was changed on request")
    if not pair.named:
        return undefined("no objects are annotated")
    if rules.protocol == "mice" and not pair.unchanged:
        return undefined("every object has been edited; MICE then measures no background either")
    before, after = yield tuple(Detect(image, pair.named) for image in pair.detector)
    boxes: list[Box] = [detection.box for detection in above((*before, *after), rules.threshold)]
    if rules.protocol == "mice" and not boxes:
        return undefined("no object was found, in neither image")
    mask = background_mask(boxes, pair.size)
    if not mask.any():
        return _nothing_left(rules, scored=rules.protocol == "edival")
    one, other = yield Embed(pair.source), Embed(pair.output)
    similarity = pooled_similarity(
        one, other, mask, patch_floor=rules.patch_floor, registers_as_patches=rules.registers_as_patches
    )
    if similarity is None:
        return _nothing_left(rules, scored=True)
    pixels = pixel_similarity(pair.source.load(), pair.output.load(), mask)
    value = measured(rules.measure, similarity, pixels)
    return Verdict.ok(value, f"{mask.mean():.0%} of the image; features {similarity:.3f}, pixels {pixels:.3f}")


def _nothing_left(rules: ConsistencyRules, *, scored: bool) -> Verdict:
    """Upstream's cosine of two zero vectors is 0; where the card says so, that is the value."""
    said = "boxes cover the whole image"
    return Verdict.ok(0.0, said) if scored and rules.covered == "zero" else undefined(said)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
