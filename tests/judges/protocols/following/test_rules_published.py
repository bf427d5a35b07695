"""Every branch of EdiVal's and MICE-Bench's rules, on constructed detections and replies.

The expected values are those of their code (EdiVal @ a7bbdec, Edit-R2 @ 2dd266f), quirks included.
"""

from collections.abc import Sequence
from typing import Any

import PIL.Image
import pytest

from micebench.judges.models.base import Ask, Detect
from micebench.verdicts import Status
from tests.judges.protocols.following.world import World, at, judged, rules

BOTH = ("edival", "mice")
LEFT, MIDDLE, RIGHT = at(0.1, 0.4, 0.3, 0.6), at(0.4, 0.4, 0.6, 0.6), at(0.7, 0.4, 0.9, 0.6)
ADD, GATE = "Add [dog] on the [left] of [tree]", {"edival": "newly_added", "mice": "added"}


def value(protocol: str, edit_type: str, formatted: str, world: World, **more: Any) -> float | None:
    verdict = judged(protocol, edit_type, formatted, world, **more)
    assert verdict.status is Status.OK, verdict
    return verdict.value


# --- subject_add -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", BOTH)
@pytest.mark.parametrize(
    ("gate", "found", "wanted"),
    [(0.0, [MIDDLE], 0), (1.0, [], 0), (1.0, [at(0, 0, 1, 1, 0.3)], 0), (1.0, [at(0, 0, 1, 1, 0.31)], 1)],
    ids=["gate says no", "not found", "not above the threshold", "found"],
)
def test_add_without_relation(protocol: str, gate: float, found: list[Any], wanted: float) -> None:
    world = World(after={"dog": found}, says={GATE[protocol]: gate})
    assert value(protocol, "subject_add", "Add [dog]", world) == wanted


@pytest.mark.parametrize("protocol", BOTH)
@pytest.mark.parametrize(
    ("anchors", "new", "wanted"),
    [
        ([RIGHT], [LEFT], 1),
        ([LEFT], [RIGHT], 0),
        ([], [LEFT], 0),
        ([RIGHT], [], 0),
        ([at(0.1, 0.4, 0.3, 0.6, 0.9), at(0.7, 0.4, 0.9, 0.6, 0.31)], [MIDDLE], 1),
        ([MIDDLE], [at(0.7, 0.4, 0.9, 0.6, 0.9), at(0.1, 0.4, 0.3, 0.6, 0.31)], 1),
    ],
    ids=["fits", "other side", "no anchor", "no object", "fits a worse anchor", "a worse object fits"],
)
def test_add_is_satisfied_by_any_pair(protocol: str, anchors: list[Any], new: list[Any], wanted: float) -> None:
    world = World(before={"tree": anchors}, after={"dog": new}, says={GATE[protocol]: 1})
    assert value(protocol, "subject_add", ADD, world) == wanted


@pytest.mark.parametrize("protocol", BOTH)
@pytest.mark.parametrize(
    ("relation", "x", "y"), [("left", -1, 0), ("right", 1, 0), ("above", 0, -1), ("below", 0, 1)]
)
def test_add_needs_an_offset_on_one_axis(protocol: str, relation: str, x: int, y: int) -> None:
    for offset, wanted in ((0.02, 0), (0.04, 1), (-0.04, 0)):
        moved = at(0.4 + x * offset, 0.4 + y * offset, 0.6 + x * offset, 0.6 + y * offset)
        world = World(before={"tree": [MIDDLE]}, after={"dog": [moved]}, says={GATE[protocol]: 1})
        assert value(protocol, "subject_add", f"Add [dog] on the [{relation}] of [tree]", world) == wanted


def test_mice_cuts_centres_to_whole_pixels_before_it_compares_them() -> None:
    # centres 0.5 and 0.5 - 0.0305: 15.6 of 512 pixels apart, 16 once cut to whole ones (256 - 240)
    for width, edival, mice in ((0.0305, 1, 1), (0.0297, 0, 1)):
        found = {"dog": [at(0.4 - width, 0.4, 0.6 - width, 0.6)]}
        for protocol, wanted in (("edival", edival), ("mice", mice)):
            world = World(before={"tree": [MIDDLE]}, after=found, says={GATE[protocol]: 1})
            assert value(protocol, "subject_add", ADD, world) == wanted, (protocol, width)


def test_the_gates_ask_what_theirs_ask() -> None:
    for protocol, wanted in (("edival", "newly_added|name=dog"), ("mice", f"added|instruction={ADD}")):
        world = World(says={GATE[protocol]: 0})
        assert value(protocol, "subject_add", ADD, world) == 0
        assert world.prompts() == [wanted]
        assert world.searches() == [], "a gate that says no ends the matter"


@pytest.mark.parametrize("protocol", BOTH)
def test_averaged_votes_of_the_gate_are_the_value(protocol: str) -> None:
    world = World(before={"tree": [RIGHT]}, after={"dog": [LEFT]}, says={GATE[protocol]: 0.75})
    assert value(protocol, "subject_add", ADD, world) == 0.75
    world = World(before={"cup": [LEFT]}, after={"mug": [LEFT]}, says={"replaced": 0.25})
    assert value(protocol, "subject_replace", "Replace [cup] with [mug]", world) == 0.25


# --- subject_remove --------------------------------------------------------------------------------------------

WHOLE = at(0.0, 0.0, 1.0, 1.0, 0.9)


@pytest.mark.parametrize("protocol", BOTH)
@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ([], [], 0),
        ([at(0.1, 0.4, 0.3, 0.6, 0.35)], [], 0),
        ([LEFT], [], 1),
        ([LEFT], [at(0.1, 0.4, 0.3, 0.6, 0.35)], 1),
        ([LEFT], [LEFT], 0),
        ([LEFT], [RIGHT], 1),
        ([LEFT], [at(0.1, 0.4, 0.3, 0.6, 0.5), at(0.7, 0.4, 0.9, 0.6, 0.6)], 1),
        ([WHOLE], [], 0),
        ([LEFT], [WHOLE], 1),
    ],
    ids=[
        "never there",
        "never there above the threshold",
        "gone",
        "gone below the threshold",
        "still there",
        "elsewhere",
        "best one elsewhere",
        "only a box of the whole image",
        "only a box of the whole image after",
    ],
)
def test_remove(protocol: str, before: list[Any], after: list[Any], wanted: float) -> None:
    world = World(before={"dog": before}, after={"dog": after})
    assert value(protocol, "subject_remove", "Remove [dog]", world) == wanted
    assert world.prompts() == []


@pytest.mark.parametrize("protocol", BOTH)
def test_remove_draws_the_line_at_an_iou_of_a_fifth(protocol: str) -> None:
    for shift, wanted in ((0.65, 0), (0.68, 1)):  # IoU (1 - shift) / (1 + shift): 0.212, 0.190
        world = World(before={"dog": [at(0, 0, 0.5, 0.5)]}, after={"dog": [at(shift / 2, 0, shift / 2 + 0.5, 0.5)]})
        assert value(protocol, "subject_remove", "Remove [dog]", world) == wanted


@pytest.mark.parametrize("name", ["straw hat", "Bird house", "chat sign"])
@pytest.mark.parametrize("left", [True, False])
def test_edival_looks_for_hats_and_birds_twice(name: str, left: bool) -> None:
    word = "bird" if "ird" in name else "hat"
    seen = {name: [LEFT]} | ({word: [WHOLE]} if left else {})
    for protocol in BOTH:
        world = World(before={name: [LEFT]}, after=seen)
        wanted = float(protocol == "edival" and not left)
        assert value(protocol, "subject_remove", f"Remove [{name}]", world) == wanted


# --- subject_replace -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", BOTH)
@pytest.mark.parametrize(
    ("gate", "before", "after", "wanted"),
    [
        (0, [LEFT], [LEFT], 0),
        (1, [], [LEFT], 0),
        (1, [LEFT], [], 0),
        (1, [LEFT], [RIGHT], 0),
        (1, [LEFT], [at(0.29, 0.59, 0.5, 0.8)], 1),
        (1, [LEFT], [at(0.3, 0.4, 0.5, 0.6)], 0),
        (1, [RIGHT, LEFT], [MIDDLE, LEFT], 1),
    ],
    ids=["gate says no", "no old", "no new", "apart", "corners touch", "edges touch", "any pair"],
)
def test_replace(protocol: str, gate: float, before: list[Any], after: list[Any], wanted: float) -> None:
    world = World(before={"cup": before}, after={"mug": after}, says={"replaced": gate})
    assert value(protocol, "subject_replace", "Replace [cup] with [mug]", world) == wanted


@pytest.mark.parametrize("protocol", BOTH)
def test_replace_strips_plurals_their_way_and_only_for_the_detector(protocol: str) -> None:
    order = "Replace [black shoes] with [grass]"
    world = World(before={"black sho": [LEFT]}, after={"gras": [LEFT]}, says={"replaced": 1})
    assert value(protocol, "subject_replace", order, world) == 1
    said = {"edival": "replaced|name=black shoes|new=grass", "mice": f"replaced|instruction={order}"}
    assert world.prompts() == [said[protocol]]


@pytest.mark.parametrize("protocol", BOTH)
def test_replace_lets_the_old_object_stay(protocol: str) -> None:
    world = World(before={"cup": [LEFT]}, after={"cup": [LEFT], "mug": [LEFT]}, says={"replaced": 1})
    assert value(protocol, "subject_replace", "Replace [cup] with [mug]", world) == 1
    assert ("after", "cup") not in world.searches()


# --- color_alter, material_alter -------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(
    ("edit_type", "order", "mice"),
    [
        ("color_alter", "Change the color of [red car] to [blue]", "color|name=red car|color=blue"),
        ("material_alter", "Change the material of [car] to [wood]", "material|name=car|material=wood"),
    ],
)
def test_looks_are_one_question_about_both_whole_images(edit_type: str, order: str, mice: str, answer: float) -> None:
    for protocol, prompt in (("edival", f"altered|instruction={order}"), ("mice", mice)):
        world = World(says={prompt.split("|")[0]: answer})
        assert value(protocol, edit_type, order, world) == answer
        (request,) = world.asked
        assert isinstance(request, Ask)
        assert request.prompt == prompt
        assert [image.load().size for image in request.images] == [(512, 512)] * 2


# --- text_change -----------------------------------------------------------------------------------------------

SIGN = "Replace the text '[STOP]' on [sign] with '[Go]'"


@pytest.mark.parametrize("protocol", BOTH)
@pytest.mark.parametrize(
    ("text", "wanted"),
    [("GO", 1), ("Gone fishing", 1), ("stop", 0), ("", 0)],
    ids=["case", "substring", "old", "none"],
)
def test_text_is_a_substring_of_either_case(protocol: str, text: str, wanted: float) -> None:
    world = World(before={"sign": [LEFT]}, after={"sign": [LEFT]}, says={"read_text": text})
    assert value(protocol, "text_change", SIGN, world) == wanted
    world = World(says={"read_text": text})
    assert value(protocol, "text_change", "Add text '[go]' on the image", world) == wanted
    assert world.searches() == []


def test_votes_of_the_reader_are_averaged() -> None:
    world = World(says={"read_text": ("Go", "GO slow", "60", "C0")})
    assert value("mice", "text_change", "Add text '[go]' on the image", world) == 0.5


@pytest.mark.parametrize(
    ("before", "after", "edival", "mice"), [(True, True, 1, 1), (False, True, 0, 0), (True, False, 0, 1)]
)
def test_text_needs_its_object(before: bool, after: bool, edival: float, mice: float) -> None:
    seen = [{"sign": [LEFT]} if there else {} for there in (before, after)]
    for protocol, wanted in (("edival", edival), ("mice", mice)):
        world = World(before=seen[0], after=seen[1], says={"read_text": "go"})
        assert value(protocol, "text_change", SIGN, world) == wanted


def test_edival_reads_where_the_object_was_and_mice_the_whole_image() -> None:
    for protocol, size in (("edival", (102, 103)), ("mice", (512, 512))):
        world = World(before={"sign": [LEFT]}, after={"sign": [RIGHT]}, says={"read_text": "go"})
        assert value(protocol, "text_change", SIGN, world) == 1
        request = world.asked[-1]
        assert isinstance(request, Ask)
        assert [picture.load().size for picture in request.images] == [size]


# --- position_change -------------------------------------------------------------------------------------------

MOVE = "Change the position of [red cup] to [left] of [tin can]"


def moved(
    protocol: str,
    before: tuple[Sequence[Any], Sequence[Any]],
    after: tuple[Sequence[Any], Sequence[Any]],
    order: str = MOVE,
) -> float | None:
    """(cups, cans) before and after; all names alike, so that only the boxes count."""
    seen = [{"red cup": cups, "tin can": cans} for cups, cans in (before, after)]
    world = World(before=seen[0], after=seen[1], says={"core_name": ""})
    return value(protocol, "position_change", order, world)


@pytest.mark.parametrize("protocol", BOTH)
@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        (([RIGHT], [MIDDLE]), ([LEFT], [MIDDLE]), 1),
        (([RIGHT], [MIDDLE]), ([RIGHT], [MIDDLE]), 0),
        (([RIGHT], [MIDDLE]), ([LEFT, RIGHT], [MIDDLE]), 0),
        (([RIGHT], [MIDDLE]), ([LEFT], [MIDDLE, RIGHT]), 0),
        (([], []), ([], []), 0),
        (([LEFT], [MIDDLE]), ([LEFT], [MIDDLE]), 1),
        (([RIGHT], [MIDDLE]), ([LEFT], [MIDDLE, at(0.4, 0.4, 0.6, 0.61)]), 1),
        (([RIGHT], [MIDDLE]), ([at(0.399, 0.2, 0.599, 0.3)], [MIDDLE]), 1),
        (([RIGHT], [MIDDLE]), ([at(0.3999, 0.2, 0.5999, 0.3)], [MIDDLE]), 1),
        (([RIGHT], [MIDDLE]), ([at(0.4, 0.2, 0.6, 0.3)], [MIDDLE]), 0),
    ],
    ids=[
        "moved",
        "not moved",
        "one object more",
        "one anchor more",
        "none of either",
        "was there already, and nothing was done",
        "a duplicate box does not count",
        "no margin",
        "half a pixel is enough once cut",
        "straight above is not left",
    ],
)
def test_position(protocol: str, before: Any, after: Any, wanted: float) -> None:
    assert moved(protocol, before, after) == wanted


@pytest.mark.parametrize("protocol", BOTH)
@pytest.mark.parametrize("relation", ["left", "right", "above", "below"])
def test_position_compares_on_the_axis_of_the_relation(protocol: str, relation: str) -> None:
    places = {
        "left": LEFT,
        "right": RIGHT,
        "above": at(0.4, 0.05, 0.6, 0.25),
        "below": at(0.4, 0.75, 0.6, 0.95),
    }
    for place, box in places.items():
        order = f"Change the position of [red cup] to [{relation}] of [tin can]"
        assert moved(protocol, ([MIDDLE], [MIDDLE]), ([box], [MIDDLE]), order) == (place == relation)


@pytest.mark.parametrize("found", [0.4, 0.41])
def test_position_counts_above_two_fifths_and_edival_compares_above_three_tenths(found: float) -> None:
    for protocol, wanted in (("edival", 1), ("mice", float(found > 0.4))):
        box = at(0.1, 0.4, 0.3, 0.6, found)
        assert moved(protocol, ([box], [MIDDLE]), ([box], [MIDDLE])) == wanted


def test_edival_compares_the_best_boxes_and_mice_the_first() -> None:
    # the first of the two cups stands right of the can, the better one left of it
    cups = [at(0.7, 0.4, 0.9, 0.6, 0.5), at(0.1, 0.4, 0.3, 0.6, 0.9)]
    assert moved("edival", (cups, [MIDDLE]), (cups, [MIDDLE])) == 1
    assert moved("mice", (cups, [MIDDLE]), (cups, [MIDDLE])) == 0


@pytest.mark.parametrize(("cup", "can"), [((0.3, 0.4, 0.9, 0.6), (0.6, 0.4, 0.9, 0.6))])
def test_edival_refuses_boxes_that_contain_each_other(cup: Any, can: Any) -> None:
    for outer, inner in ((cup, can), ((0.1, 0.4, 0.2, 0.6), (0.1, 0.4, 0.9, 0.6))):
        scene = ([at(*outer)], [at(*inner)])
        assert moved("edival", scene, scene) == 0
        assert moved("mice", scene, scene) == 1


def test_edival_counts_by_cleaned_names_and_compares_by_raw_ones() -> None:
    cleaned = {"red cup": "Cup", "tin can": '"[can]"'}
    # two cups of any colour before and after; the raw name finds the right one only
    seen = {"cup": [LEFT, RIGHT], "can": [MIDDLE], "red cup": [LEFT], "tin can": [MIDDLE]}

    class Cleaning(World):
        def ask(self, request: Ask) -> Any:
            self.says = {"core_name": cleaned[request.prompt.split("name=")[1]]}
            return super().ask(request)

    world = Cleaning(before=seen, after=seen)
    assert value("edival", "position_change", MOVE, world) == 1
    assert world.prompts() == ["core_name|name=red cup", "core_name|name=tin can"]
    assert set(world.searches()) == {
        *((image, name) for image in ("before", "after") for name in ("cup", "can")),
        *(("after", name) for name in ("red cup", "tin can")),
    }


# --- count_change ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", BOTH)
@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ([LEFT], [LEFT, RIGHT], 1),
        ([LEFT], [LEFT, MIDDLE, RIGHT], 0),
        ([], [LEFT, RIGHT], 0),
        ([LEFT], [LEFT, RIGHT, at(0.7, 0.4, 0.9, 0.61)], 1),
        ([LEFT], [LEFT, RIGHT, at(0.4, 0.4, 0.6, 0.6, 0.3)], 1),
        ([LEFT], [LEFT, at(0.7, 0.4, 0.9, 0.6), at(0.7, 0.4, 0.9, 0.65)], 0),
    ],
    ids=["two", "three", "none to begin with", "duplicate", "below the threshold", "IoU of 0.8 is no duplicate"],
)
def test_count(protocol: str, before: list[Any], after: list[Any], wanted: float) -> None:
    world = World(before={"cup": before}, after={"cup": after})
    assert value(protocol, "count_change", "Change the count of [cup] to [2]", world) == wanted


def test_count_drops_duplicates_by_order_whatever_their_scores() -> None:
    # a chain: the middle box is a duplicate of both ends, which are none of each other
    chain = [at(0.0, 0, 0.5, 1), at(0.05, 0, 0.55, 1), at(0.1, 0, 0.6, 1)]
    for order, wanted in ((chain, 2), ([chain[1], chain[0], chain[2]], 1)):
        world = World(before={"cup": chain}, after={"cup": order})
        assert value("mice", "count_change", f"Change the count of [cup] to [{wanted}]", world) == 1


def test_none_left_can_satisfy_mice_alone() -> None:
    for protocol, wanted in (("edival", 0), ("mice", 1)):
        world = World(before={"cup": [LEFT]})
        assert value(protocol, "count_change", "Change the count of [cup] to [0]", world) == wanted


# --- background_change -----------------------------------------------------------------------------------------

BEACH = "Change the background to [beach]"
KEEP = "Change the background to beach, remain the red cup, tin can unchanged"


@pytest.mark.parametrize(
    ("after", "answer", "edival", "mice"),
    [
        ({"red cup": [LEFT], "tin can": [RIGHT]}, 1, 1, 1),
        ({"red cup": [LEFT], "tin can": [RIGHT]}, 0, 0, 0),
        ({"red cup": [LEFT]}, 1, 0, 1),
        ({"red cup": [LEFT], "tin can": [at(0, 0, 1, 1, 0.25)]}, 1, 0, 1),
        ({"red cup": [LEFT], "tin can": [at(0, 0, 0.5, 0.5, 0.26)]}, 1, 1, 1),
        ({"red cup": [LEFT], "tin can": [at(0, 0, 0.95, 0.95)]}, 1, 0, 1),
        ({"red cup": [LEFT], "tin can": [at(0, 0, 0.95, 0.5)]}, 1, 1, 1),
        ({"red cup": [LEFT], "tin can": [at(0, 0, 0.95, 0.95, 0.9), RIGHT]}, 1, 0, 1),
    ],
    ids=[
        "kept",
        "other background",
        "one gone",
        "too faint",
        "just seen",
        "whole image",
        "wide",
        "best is whole image",
    ],
)
def test_background(after: Any, answer: float, edival: float, mice: float) -> None:
    for protocol, wanted in (("edival", edival), ("mice", mice)):
        world = World(after=after, says={"background": answer})
        assert value(protocol, "background_change", BEACH, world, instruction=KEEP) == wanted
        if wanted:
            assert world.prompts() == ["background|background=beach"]
    assert world.searches() == [], "MICE-Bench's check of what remains never runs"


def test_edival_cannot_read_a_background_change_that_keeps_nothing() -> None:
    world = World(says={"background": 1})
    verdict = judged("edival", "background_change", BEACH, world)
    assert verdict.status is Status.INVALID_ANNOTATION
    assert judged("mice", "background_change", BEACH, world).value == 1


# --- pixels ----------------------------------------------------------------------------------------------------


def test_images_are_squashed_and_go_through_jpeg_as_theirs() -> None:
    checks = {"edival": (True, False), "mice": (False, False)}  # (detector, VLM) get the squashed pixels themselves
    for protocol, lossless in checks.items():
        world = World(after={"dog": [LEFT]}, says={GATE[protocol]: 1})
        assert value(protocol, "subject_add", "Add [dog]", world) == 1
        ask, detect = world.asked
        assert isinstance(ask, Ask)
        assert isinstance(detect, Detect)
        noise = PIL.Image.effect_noise((640, 480), 80).convert("RGB")
        for image, exact in ((detect.image, lossless[0]), (ask.images[1], lossless[1])):
            assert image.load().size == (512, 512)
            image = _fed(image, noise)
            same = image.tobytes() == noise.resize((512, 512), PIL.Image.Resampling.LANCZOS).tobytes()
            assert same == exact


def test_squash_and_jpeg_are_rules() -> None:
    plain = rules("mice", squash=None, jpeg_sent=None, jpeg_detector=None, jpeg_vlm=None)
    world = World(after={"dog": [LEFT]}, says={"added": 1})
    assert value("mice", "subject_add", "Add [dog]", world, rules_=plain) == 1
    ask, detect = world.asked
    assert isinstance(ask, Ask)
    assert isinstance(detect, Detect)
    assert detect.image.sha256 == ask.images[1].sha256 == "after"


def _fed(image: Any, pixels: PIL.Image.Image) -> PIL.Image.Image:
    """What `image`'s chain of derivations makes of other pixels."""
    inner = getattr(image, "_image", None)
    return pixels if inner is None else image._make(_fed(inner, pixels))
