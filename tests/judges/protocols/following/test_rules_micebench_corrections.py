"""One test per deviation of micebench from the published protocols: they are wrong on the scene, ours is right.

The headings are those of docs/protocols.md.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from micebench.judges.models.base import Ask, Detect, TextLine
from micebench.verdicts import Status
from tests.judges.protocols.following.world import World, at, judged

LEFT, MIDDLE, RIGHT = at(0.1, 0.4, 0.3, 0.6), at(0.4, 0.4, 0.6, 0.6), at(0.7, 0.4, 0.9, 0.6)
YES: Mapping[str, float | str] = {
    **dict.fromkeys(["newly_added", "added", "replaced", "removed", "altered"], 1.0),
    **dict.fromkeys(["color", "material", "background"], 1.0),
    "core_name": "",
}


def compare(
    edit_type: str,
    order: str,
    *,
    edival: float | None = None,
    mice: float | None = None,
    ours: float,
    world: type[World] = World,
    instruction: str | None = None,
    says: Any = YES,
    pool: tuple[str, ...] | None = None,
    **scene: Any,
) -> None:
    """The values on one scene; None: this protocol is not concerned."""
    for protocol, wanted in (("edival", edival), ("mice", mice), ("micebench", ours)):
        if wanted is None:
            continue
        seen = world(**scene, says=says)
        verdict = judged(protocol, edit_type, order, seen, instruction=instruction, available_objects=pool)
        assert verdict.status is Status.OK, (protocol, verdict)
        assert verdict.value == wanted, (protocol, verdict)


# --- objects, not boxes ----------------------------------------------------------------------------------------


def test_a_group_is_not_one_more_object() -> None:
    pair = {"cup": [LEFT, RIGHT, at(0.1, 0.4, 0.9, 0.6)]}
    order = "Change the count of [cup] to [2]"
    compare("count_change", order, before={"cup": [LEFT]}, after=pair, edival=0, mice=0, ours=1)


def test_two_boxes_of_one_object_are_one_object() -> None:
    cup = {"cup": [LEFT, at(0.1, 0.4, 0.3, 0.54)]}  # IoU 0.7
    for number, theirs, ours in (("1", 0, 1), ("2", 1, 0)):
        order = f"Change the count of [cup] to [{number}]"
        compare("count_change", order, before=cup, after=cup, edival=theirs, mice=theirs, ours=ours)


def test_a_box_around_the_whole_image_is_no_added_object() -> None:
    everywhere = {"dog": [at(0, 0, 1, 1)]}
    compare("subject_add", "Add [dog]", after=everywhere, edival=1, mice=1, ours=0)


def test_what_the_detector_labels_otherwise_is_not_the_object() -> None:
    seen = {"dog": [LEFT]}
    compare("subject_add", "Add [dog]", after=seen, labels={"dog": "cat"}, edival=1, mice=1, ours=0)


def test_an_object_the_detector_cannot_see_in_the_source_is_no_failure_of_the_editor() -> None:
    for protocol in ("edival", "mice"):
        assert judged(protocol, "subject_remove", "Remove [dog]", World()).value == 0
    assert judged("micebench", "subject_remove", "Remove [dog]", World()).status is Status.NOT_APPLICABLE


# --- subject_add -----------------------------------------------------------------------------------------------


def test_an_object_that_was_there_already_has_not_been_added() -> None:
    dog = {"dog": [LEFT]}
    compare("subject_add", "Add [dog]", before=dog, after=dog, edival=1, mice=1, ours=0)


def test_the_relation_is_that_of_the_new_object() -> None:
    before = {"tree": [MIDDLE], "dog": [LEFT]}
    after = {"tree": [MIDDLE], "dog": [LEFT, RIGHT]}  # the old dog stands left of the tree, the new one right of it
    order = "Add [dog] on the [left] of [tree]"
    compare("subject_add", order, before=before, after=after, edival=1, mice=1, ours=0)


def test_the_relation_is_to_the_best_anchor() -> None:
    trees = [at(0.1, 0.4, 0.3, 0.6, 0.9), at(0.7, 0.4, 0.9, 0.6, 0.36)]
    scene: Any = {"before": {"tree": trees}, "after": {"tree": trees, "dog": [MIDDLE]}}
    compare("subject_add", "Add [dog] on the [left] of [tree]", **scene, edival=1, mice=1, ours=0)


# --- subject_remove --------------------------------------------------------------------------------------------


def test_an_object_that_only_moved_is_not_removed() -> None:
    compare(
        "subject_remove", "Remove [dog]", before={"dog": [LEFT]}, after={"dog": [RIGHT]}, edival=1, mice=1, ours=0
    )


def test_the_best_box_elsewhere_does_not_hide_what_is_left() -> None:
    before = {"dog": [LEFT, at(0.7, 0.4, 0.9, 0.6, 0.5)]}
    after = {"dog": [at(0.1, 0.4, 0.3, 0.6, 0.5), at(0.7, 0.4, 0.9, 0.6, 0.55)]}
    compare("subject_remove", "Remove [dog]", before=before, after=after, edival=1, mice=1, ours=0)


def test_a_hatchback_is_no_hat() -> None:
    car = {"hatchback": [LEFT]}
    compare("subject_remove", "Remove [hatchback]", before=car, after=car, edival=1, mice=0, ours=0)


def test_what_the_detector_no_longer_recognises_may_still_be_there() -> None:
    says = {**YES, "removed": 0.0}  # a smeared rest, which the VLM sees
    compare("subject_remove", "Remove [dog]", before={"dog": [LEFT]}, says=says, edival=1, mice=1, ours=0)


# --- subject_replace -------------------------------------------------------------------------------------------


def test_the_replaced_object_has_to_go() -> None:
    after = {"cup": [LEFT], "lamp": [at(0.25, 0.4, 0.45, 0.6)]}
    order = "Replace [cup] with [lamp]"
    compare("subject_replace", order, before={"cup": [LEFT]}, after=after, edival=1, mice=1, ours=0)


def test_a_touch_is_no_replacement() -> None:
    scene: Any = {"before": {"cup": [LEFT]}, "after": {"mug": [at(0.29, 0.59, 0.5, 0.8)]}}
    compare("subject_replace", "Replace [cup] with [mug]", **scene, edival=1, mice=1, ours=0)


def test_what_was_under_the_object_does_not_replace_it() -> None:
    table = {"table": [at(0.0, 0.5, 0.9, 0.9)]}
    order = "Replace [cup] with [table]"
    compare("subject_replace", order, before=table | {"cup": [LEFT]}, after=table, edival=1, mice=1, ours=0)


def test_names_are_not_mangled() -> None:
    scene: Any = {"before": {"dress": [LEFT]}, "after": {"shoes": [LEFT]}}
    compare("subject_replace", "Replace [dress] with [shoes]", **scene, edival=0, mice=0, ours=1)


# --- color_alter, material_alter -------------------------------------------------------------------------------


class ShortSighted(World):
    """Its VLM recognises an object only where it fills a tenth of an image."""

    def ask(self, request: Ask) -> Any:
        whole = 0.2 * 0.2
        closest = max(whole * 640 * 480 / (image.load().width * image.load().height) for image in request.images)
        self.says = dict.fromkeys(YES, float(closest > 0.1))
        return super().ask(request)


@pytest.mark.parametrize(
    ("edit_type", "order"),
    [
        ("color_alter", "Change the color of [cup] to [blue]"),
        ("material_alter", "Change the material of [cup] to [wood]"),
    ],
)
def test_looks_are_judged_from_close_by(edit_type: str, order: str) -> None:
    cup = {"cup": [LEFT]}
    compare(edit_type, order, before=cup, after=cup, world=ShortSighted, edival=0, mice=0, ours=1)


# --- text_change -----------------------------------------------------------------------------------------------


def reading(text: str, was: str = "", place: Any = LEFT) -> dict[str, Any]:
    """The same writing for VLM and OCR."""
    lines = {"after": [TextLine(text, 0.9, place[0])], "before": [TextLine(was, 0.9, LEFT[0])]}
    return {"lines": lines, "says": {**YES, "read_text": text}}


@pytest.mark.parametrize(("target", "read"), [("L", "HELLO"), ("ON", "LONDON"), ("ID", "did"), ("No", "nothing")])
def test_a_part_of_a_word_is_not_the_text(target: str, read: str) -> None:
    compare("text_change", f"Add text '[{target}]' on the image", **reading(read), edival=1, mice=1, ours=0)


@pytest.mark.parametrize(
    ("target", "read"), [("ICE CREAM", "ice\ncream"), ("IT'S A", "Its a"), ("CAFÉ", "CAFE\u0301"), ("奥迪", "奥 迪")]
)
def test_writing_is_compared_after_normalisation(target: str, read: str) -> None:
    scene = reading(read)
    scene["lines"]["after"] = [TextLine(line, 0.9, LEFT[0]) for line in read.split("\n")]
    compare("text_change", f"Add text '[{target}]' on the image", **scene, edival=0, mice=0, ours=1)


def test_text_that_was_there_already_has_not_been_added() -> None:
    compare("text_change", "Add text '[GO]' on the image", **reading("GO", was="GO"), edival=1, mice=1, ours=0)


def test_text_is_on_the_object_that_was_named() -> None:
    sign = {"sign": [LEFT]}
    order = "Replace the text '[STOP]' on [sign] with '[GO]'"
    compare("text_change", order, **reading("GO", place=RIGHT), before=sign, after=sign, mice=1, ours=0)


def test_the_old_text_has_to_go() -> None:
    sign = {"sign": [LEFT]}
    order = "Replace the text '[STOP]' on [sign] with '[GO]'"
    compare("text_change", order, **reading("STOP GO"), before=sign, after=sign, edival=1, mice=1, ours=0)


# --- position_change -------------------------------------------------------------------------------------------

MOVE = "Change the position of [cup] to [left] of [can]"


def test_doing_nothing_is_no_move() -> None:
    scene = {"cup": [LEFT], "can": [MIDDLE]}
    compare("position_change", MOVE, before=scene, after=scene, edival=1, mice=1, ours=0)


def test_the_anchor_must_not_move_instead() -> None:
    before, after = {"cup": [MIDDLE], "can": [LEFT]}, {"cup": [MIDDLE], "can": [RIGHT]}
    compare("position_change", MOVE, before=before, after=after, edival=1, mice=1, ours=0)


def test_the_object_is_the_best_one_not_the_first() -> None:
    other = at(0.7, 0.7, 0.9, 0.9, 0.45)  # another cup, which stays
    before, after = {"cup": [other, RIGHT], "can": [MIDDLE]}, {"cup": [other, LEFT], "can": [MIDDLE]}
    compare("position_change", MOVE, before=before, after=after, edival=1, mice=0, ours=1)


def test_another_one_of_the_name_does_not_move_for_it() -> None:
    cups, moved = [at(0.7, 0.4, 0.9, 0.6, 0.9), at(0.4, 0.8, 0.6, 1.0, 0.5)], at(0.1, 0.4, 0.3, 0.6, 0.95)
    before, after = {"cup": cups, "can": [MIDDLE]}, {"cup": [moved, cups[0]], "can": [MIDDLE]}
    compare("position_change", MOVE, before=before, after=after, edival=1, mice=1, ours=0)


def test_an_object_in_front_of_its_anchor_can_be_beside_its_centre() -> None:
    sofa = at(0.05, 0.3, 0.95, 0.9)
    before, after = {"cup": [RIGHT], "can": [sofa]}, {"cup": [LEFT], "can": [sofa]}
    compare("position_change", MOVE, before=before, after=after, edival=0, mice=1, ours=1)


# --- background_change -----------------------------------------------------------------------------------------

BEACH = "Change the background to [beach]"
KEEP = "Change the background to beach, remain the cup, can unchanged"


def test_what_has_to_remain_is_looked_for() -> None:
    seen = {"cup": [LEFT], "can": [RIGHT]}
    compare(
        "background_change", BEACH, instruction=KEEP, before=seen, after={"cup": [LEFT]}, edival=0, mice=1, ours=0
    )


def test_what_is_no_longer_in_the_pool_need_not_remain() -> None:
    seen = {"cup": [LEFT]}
    compare(
        "background_change", BEACH, instruction=KEEP, pool=("cup",), before=seen, after=seen, edival=0, mice=1, ours=1
    )


def test_a_background_change_without_a_remain_clause_is_judged() -> None:
    assert judged("edival", "background_change", BEACH, World(says=YES)).status is Status.INVALID_ANNOTATION
    compare("background_change", BEACH, mice=1, ours=1)


# --- pixels ----------------------------------------------------------------------------------------------------


def test_pixels_are_neither_squashed_nor_compressed() -> None:
    sizes = {"edival": (512, 512), "mice": (512, 512), "micebench": (640, 480)}
    for protocol, size in sizes.items():
        world = World(after={"dog": [LEFT]}, says=YES)
        assert judged(protocol, "subject_add", "Add [dog]", world).value == 1
        images = [image for one in world.asked if isinstance(one, Ask) for image in one.images]
        images += [one.image for one in world.asked if isinstance(one, Detect)]
        assert {image.load().size for image in images} == {size}
        assert ({image.sha256 for image in images} == {"before", "after"}) == (protocol == "micebench")
