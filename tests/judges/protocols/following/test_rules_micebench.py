"""micebench's rules, branch by branch, on constructed detections, texts and replies."""

from typing import Any

import pytest

from micebench.judges.models.base import Ask, Box, TextLine
from micebench.sessions import Turn
from micebench.verdicts import Status, Verdict
from tests.judges.protocols.following.world import Plain, World, at, judged, rules, which

LEFT, MIDDLE, RIGHT = at(0.1, 0.4, 0.3, 0.6), at(0.4, 0.4, 0.6, 0.6), at(0.7, 0.4, 0.9, 0.6)
ADD = "Add [dog] on the [left] of [tree]"
MOVE = "Change the position of [cup] to [left] of [can]"


def ours(edit_type: str, formatted: str, world: World, **more: Any) -> Verdict:
    return judged("micebench", edit_type, formatted, world, **more)


def value(edit_type: str, formatted: str, world: World, **more: Any) -> float | None:
    verdict = ours(edit_type, formatted, world, **more)
    assert verdict.status is Status.OK, verdict
    return verdict.value


def near(box: tuple[Box, float], shift: float = 0.02) -> tuple[Box, float]:
    """The same object, seen a little elsewhere."""
    place, score = box
    return at(place.left + shift, place.top, place.right + shift, place.bottom, score)


# --- objects ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("boxes", "number"),
    [
        ([LEFT, RIGHT], 2),
        ([LEFT, at(0.1, 0.4, 0.3, 0.6, 0.35)], 1),
        ([near(LEFT), LEFT, RIGHT], 2),
        ([at(0.1, 0.4, 0.9, 0.6, 0.9), LEFT, RIGHT], 2),
        ([at(0.1, 0.4, 0.9, 0.6, 0.9), LEFT], 2),
        ([at(0.0, 0.0, 1.0, 1.0, 0.9), LEFT, RIGHT], 2),
        ([at(0.0, 0.0, 0.9, 1.0, 0.9), at(0.1, 0.8, 0.2, 0.9), at(0.3, 0.8, 0.4, 0.9)], 3),
    ],
    ids=[
        "two",
        "not above the threshold",
        "a duplicate",
        "a box around both",
        "a box around one is another object",
        "a box around everything",
        "two small ones in front of a large one",
    ],
)
def test_objects_are_counted_not_boxes(boxes: list[Any], number: int) -> None:
    world = World(before={"cup": [LEFT]}, after={"cup": boxes})
    assert value("count_change", f"Change the count of [cup] to [{number}]", world) == 1
    assert value("count_change", f"Change the count of [cup] to [{number + 1}]", world) == 0


def test_what_the_detector_calls_otherwise_does_not_count() -> None:
    seen = {"cup": [LEFT]}
    assert value("count_change", "Change the count of [cup] to [1]", World(before=seen, after=seen)) == 1
    world = World(before=seen, after=seen, labels={"cup": "mug"})
    assert ours("count_change", "Change the count of [cup] to [1]", world).status is Status.NOT_APPLICABLE


def test_names_are_tried_without_colour_and_material_when_nothing_bears_them() -> None:
    world = World(before={"tray": [LEFT]}, after={"tray": [LEFT, RIGHT]})
    assert value("count_change", "Change the count of [metal black tray] to [2]", world) == 1
    assert world.searches() == [("before", "metal black tray"), ("before", "tray"), ("after", "tray")]


# --- an object that is not there to begin with -----------------------------------------------------------------

STARTS = [
    ("subject_remove", "Remove [cup]"),
    ("subject_replace", "Replace [cup] with [mug]"),
    ("color_alter", "Change the color of [cup] to [blue]"),
    ("material_alter", "Change the material of [cup] to [wood]"),
    ("text_change", "Replace the text '[A]' on [cup] with '[B]'"),
    ("position_change", "Change the position of [cup] to [left] of [can]"),
    ("position_change", "Change the position of [can] to [left] of [cup]"),
    ("count_change", "Change the count of [cup] to [2]"),
    ("subject_add", "Add [dog] on the [left] of [cup]"),
]


@pytest.mark.parametrize(("edit_type", "order"), STARTS)
def test_a_blind_detector_is_nobodys_failure(edit_type: str, order: str) -> None:
    there: dict[str, Any] = {"can": [RIGHT]}
    added = {"dog": [LEFT], **there}
    verdict = ours(edit_type, order, World(before=there, after=added))
    assert verdict.status is Status.NOT_APPLICABLE
    before = Turn(1, "", "subject_remove", "Remove [sun]", unchanged_objects=("cup", "can"))
    world = World(before=there, after=added, source=there)
    assert ours(edit_type, order, world, earlier=[before]).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(("edit_type", "order"), STARTS)
def test_an_object_that_an_earlier_turn_lost_is_the_editors_failure(edit_type: str, order: str) -> None:
    world = World(source={"cup": [LEFT]}, before={"can": [RIGHT]}, after={"dog": [LEFT], "can": [RIGHT]})
    for pool in (("cup", "can"), None):
        before = Turn(1, "", "subject_remove", "Remove [sun]", unchanged_objects=pool)
        verdict = ours(edit_type, order, world, earlier=[before])
        assert verdict.value == 0
        assert "lost" in verdict.reason


@pytest.mark.parametrize(("edit_type", "order"), STARTS)
def test_an_object_that_an_earlier_turn_never_made_is_the_editors_failure(edit_type: str, order: str) -> None:
    before = Turn(1, "", "subject_add", "Add [cup]", unchanged_objects=("can",))
    world = World(before={"can": [RIGHT]}, after={"dog": [LEFT], "can": [RIGHT]})
    verdict = ours(edit_type, order, world, earlier=[before])
    assert verdict.value == 0
    assert "not made" in verdict.reason


# --- subject_add -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("had", "now", "answer", "wanted"),
    [
        ([], [LEFT], 1.0, 1.0),
        ([], [LEFT], 0.25, 0.25),
        ([], [], 1.0, 0),
        ([LEFT], [near(LEFT)], 1.0, 0),
        ([at(0.1, 0.4, 0.3, 0.6, 0.26)], [LEFT], 1.0, 0),
        ([LEFT], [LEFT, RIGHT], 1.0, 1.0),
    ],
    ids=["new", "the VLM doubts it", "nothing", "was there", "was there, faintly", "one more"],
)
def test_add(had: list[Any], now: list[Any], answer: float, wanted: float) -> None:
    world = World(before={"dog": had}, after={"dog": now}, says={"newly_added": answer})
    assert value("subject_add", "Add [dog]", world) == wanted


@pytest.mark.parametrize(
    ("anchors", "now", "new", "wanted"),
    [
        ([RIGHT], [RIGHT], [LEFT], 1),
        ([LEFT], [LEFT], [RIGHT], 0),
        ([RIGHT], [], [LEFT], 1),
        ([MIDDLE], [MIDDLE, RIGHT], [at(0.55, 0.7, 0.75, 0.9)], 0),
        ([MIDDLE], [MIDDLE], [at(0.38, 0.7, 0.58, 0.9)], 0),
        ([MIDDLE], [MIDDLE], [at(0.36, 0.7, 0.56, 0.9)], 1),
        ([MIDDLE, LEFT], [MIDDLE, LEFT], [at(0.1, 0.4, 0.3, 0.6, 0.5)], 0),
        ([MIDDLE, LEFT], [MIDDLE, LEFT], [at(0.1, 0.4, 0.3, 0.6, 0.7)], 1),
    ],
    ids=[
        "fits",
        "other side",
        "anchor unseen now",
        "left of the wrong tree",
        "too close",
        "far enough",
        "rather a tree",
        "in front of a tree",
    ],
)
def test_add_in_relation(anchors: list[Any], now: list[Any], new: list[Any], wanted: float) -> None:
    world = World(before={"tree": anchors}, after={"tree": now, "dog": new}, says={"newly_added": 1})
    assert value("subject_add", ADD, world) == wanted


@pytest.mark.parametrize(("new", "wanted"), [(LEFT, 1), (RIGHT, 0)])
def test_add_in_the_place_of_what_was_removed(new: Any, wanted: float) -> None:
    before = Turn(1, "", "subject_remove", "Remove [tree]")
    world = World(source={"tree": [LEFT]}, after={"dog": [new]}, says={"newly_added": 1})
    assert value("subject_add", "Add [dog] in the place of [tree]", world, earlier=[before]) == wanted


# --- subject_remove, subject_replace ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "answer", "wanted"),
    [
        ([LEFT], [], 1.0, 1.0),
        ([LEFT], [], 0.5, 0.5),
        ([LEFT], [LEFT], 1.0, 0),
        ([LEFT], [at(0.1, 0.4, 0.2, 0.5)], 1.0, 0),
        ([LEFT], [RIGHT], 1.0, 0),
        ([LEFT, at(0.7, 0.4, 0.9, 0.6, 0.5)], [near(RIGHT)], 1.0, 1.0),
        ([LEFT, at(0.7, 0.4, 0.9, 0.6, 0.3)], [RIGHT], 1.0, 1.0),
        ([LEFT, at(0.7, 0.4, 0.9, 0.6, 0.5)], [LEFT], 1.0, 0),
        ([LEFT, at(0.7, 0.4, 0.9, 0.6, 0.5)], [MIDDLE, RIGHT], 1.0, 0),
    ],
    ids=[
        "gone",
        "the VLM doubts it",
        "still there",
        "a piece is left",
        "moved away",
        "another one stayed",
        "another one stayed that was faint before",
        "the wrong one is gone",
        "one more elsewhere",
    ],
)
def test_remove(before: list[Any], after: list[Any], answer: float, wanted: float) -> None:
    world = World(before={"dog": before}, after={"dog": after}, says={"removed": answer})
    assert value("subject_remove", "Remove [dog]", world) == wanted


@pytest.mark.parametrize(
    ("before", "after", "answer", "wanted"),
    [
        ({"cup": [LEFT]}, {"mug": [LEFT]}, 1.0, 1.0),
        ({"cup": [LEFT]}, {"mug": [LEFT]}, 0.5, 0.5),
        ({"cup": [LEFT]}, {"mug": [RIGHT]}, 1.0, 0),
        ({"cup": [LEFT]}, {}, 1.0, 0),
        ({"cup": [LEFT]}, {"cup": [LEFT]}, 1.0, 0),
        ({"cup": [LEFT]}, {"cup": [LEFT], "mug": [LEFT]}, 0.75, 0.75),
        ({"cup": [LEFT]}, {"cup": [RIGHT], "mug": [LEFT]}, 1.0, 0),
        ({"cup": [LEFT], "mug": [LEFT]}, {"mug": [LEFT]}, 1.0, 1.0),
        ({"cup": [LEFT], "table": [at(0, 0.3, 0.9, 0.9)]}, {"table": [at(0, 0.3, 0.9, 0.9)]}, 1.0, 0),
    ],
    ids=[
        "replaced",
        "the VLM doubts it",
        "new elsewhere",
        "only removed",
        "nothing done",
        "one box with both names is the VLM's to decide",
        "old one moved",
        "the old one looked like the new one",
        "what was under it does not replace it",
    ],
)
def test_replace(before: Any, after: Any, answer: float, wanted: float) -> None:
    new = "table" if "table" in before else "mug"
    world = World(before=before, after=after, says={"replaced": answer})
    assert value("subject_replace", f"Replace [cup] with [{new}]", world) == wanted


# --- color_alter, material_alter -------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    ("edit_type", "order", "prompt"),
    [
        ("color_alter", "Change the color of [red cup] to [blue]", "color|name=red cup|color=blue"),
        ("material_alter", "Change the material of [red cup] to [wood]", "material|name=red cup|material=wood"),
    ],
)
def test_looks_are_asked_of_the_place_and_the_whole(edit_type: str, order: str, prompt: str, answer: float) -> None:
    world = World(before={"red cup": [MIDDLE]}, says={edit_type.split("_")[0]: answer})
    assert value(edit_type, order, world) == answer
    request = world.asked[-1]
    assert isinstance(request, Ask)
    assert request.prompt == prompt
    # 0.2 of width and height with a quarter of it on each side, at 640 x 480, and the whole image as it is
    assert [image.load().size for image in request.images] == [(192, 144), (192, 144), (640, 480)]
    assert request.images[-1].sha256 == Plain("after").sha256


# --- text_change -----------------------------------------------------------------------------------------------


def line(text: str, box: tuple[Box, float] = LEFT, confidence: float = 0.9) -> TextLine:
    return TextLine(text, confidence, box[0])


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ([], [line("HELLO world")], 1),
        ([], [line("hello"), line("World!")], 1),
        ([], [line("Helloworld")], 1),
        ([], [line("say: 'Hello  World'.")], 1),
        ([], [line("Othello world")], 0),
        ([], [line("hello worlds")], 0),
        ([], [line("hello my world")], 0),
        ([], [line("hello world", confidence=0.5)], 0),
        ([line("hello world")], [line("hello world")], 0),
        ([line("hello world")], [line("hello world"), line("hello world", RIGHT)], 1),
    ],
    ids=[
        "case",
        "two lines",
        "lost blank",
        "punctuation",
        "part of a word at the front",
        "part of a word at the end",
        "something between",
        "illegible",
        "was there",
        "once more",
    ],
)
def test_added_text(before: list[TextLine], after: list[TextLine], wanted: float) -> None:
    world = World(lines={"before": before, "after": after})
    assert value("text_change", "Add text '[Hello world]' on the image", world) == wanted


@pytest.mark.parametrize(
    ("target", "before", "after", "wanted"),
    [
        ([LEFT], [line("STOP")], [line("GO")], 1),
        ([LEFT], [], [line("GO")], 1),
        ([LEFT], [line("STOP")], [line("STOP")], 0),
        ([LEFT], [line("STOP")], [line("STOP"), line("GO")], 0),
        ([LEFT], [line("STOP")], [line("GO", RIGHT)], 0),
        ([LEFT], [line("STOP")], [line("GO", at(0.24, 0.4, 0.44, 0.6))], 1),
        ([LEFT], [line("STOP"), line("GO", RIGHT)], [line("GO"), line("STOP", RIGHT)], 1),
        ([], [line("STOP")], [line("GO")], 0),
        ([RIGHT], [line("STOP")], [line("GO", RIGHT)], 0),
        ([at(0.1, 0.4, 0.3, 0.6, 0.26)], [line("STOP")], [line("GO")], 1),
    ],
    ids=[
        "replaced",
        "the old one was illegible",
        "nothing done",
        "old one left",
        "on something else",
        "mostly within the margin",
        "old text elsewhere",
        "the object is gone",
        "the object has moved",
        "the object is fainter",
    ],
)
def test_replaced_text(target: Any, before: list[TextLine], after: list[TextLine], wanted: float) -> None:
    world = World(before={"sign": [LEFT]}, after={"sign": target}, lines={"before": before, "after": after})
    assert value("text_change", "Replace the text '[STOP]' on [sign] with '[GO]'", world) == wanted


def test_the_new_text_may_contain_the_old_one() -> None:
    seen = {"sign": [LEFT]}
    for said, wanted in (("STOP NOW", 1), ("STOP NOW STOP NOW", 1), ("STOP STOP NOW", 0)):
        world = World(before=seen, after=seen, lines={"before": [line("STOP")], "after": [line(said)]})
        assert value("text_change", "Replace the text '[STOP]' on [sign] with '[STOP NOW]'", world) == wanted


@pytest.mark.parametrize(("place", "wanted"), [(LEFT, 1), (RIGHT, 0)])
def test_text_added_to_an_object(place: Any, wanted: float) -> None:
    seen = {"sign": [LEFT]}
    world = World(before=seen, after=seen, lines={"after": [line("GO", place)]})
    assert value("text_change", "Add text '[GO]' on [sign]", world) == wanted


def test_the_vlm_can_read_instead() -> None:
    class Reading(World):
        def ask(self, request: Ask) -> Any:
            self.says = {"read_text": {"before": "STOP", "after": "GO\nslow"}[which(request.images[0])]}
            return super().ask(request)

    seen = {"sign": [LEFT]}
    world = Reading(before=seen, after=seen)
    order = "Replace the text '[STOP]' on [sign] with '[Go]'"
    assert value("text_change", order, world, rules_=rules("micebench", text="vlm")) == 1
    assert [image.load().size for one in world.asked if isinstance(one, Ask) for image in one.images] == [
        (192, 144)
    ] * 2


# --- position_change -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        (([RIGHT], [MIDDLE]), ([LEFT], [MIDDLE]), 1),
        (([RIGHT], [MIDDLE]), ([RIGHT], [MIDDLE]), 0),
        (([RIGHT], [MIDDLE]), ([LEFT, RIGHT], [MIDDLE]), 0),
        (([RIGHT], [MIDDLE]), ([LEFT], [MIDDLE, at(0.1, 0.7, 0.3, 0.9)]), 0),
        (([RIGHT], [MIDDLE]), ([LEFT], []), 0),
        (([RIGHT], [MIDDLE]), ([RIGHT], [at(0.8, 0.7, 1.0, 0.9)]), 0),
        (([LEFT], [MIDDLE]), ([near(LEFT)], [MIDDLE]), 0),
        (([LEFT], [MIDDLE]), ([at(0.1, 0.7, 0.3, 0.9)], [MIDDLE]), 1),
        (([at(0.42, 0.4, 0.62, 0.6)], [MIDDLE]), ([at(0.36, 0.4, 0.56, 0.6, 0.7)], [MIDDLE]), 1),
        (([RIGHT, at(0.7, 0.7, 0.9, 0.9, 0.4)], [MIDDLE]), ([RIGHT, LEFT], [MIDDLE]), 0),
        (([RIGHT, at(0.1, 0.7, 0.3, 0.9, 0.4)], [MIDDLE]), ([LEFT, at(0.1, 0.7, 0.3, 0.9, 0.9)], [MIDDLE]), 1),
        (([RIGHT], [MIDDLE]), ([at(0.385, 0.7, 0.585, 0.9)], [MIDDLE]), 0),
        (([RIGHT], [MIDDLE, near(LEFT)]), ([at(0.1, 0.4, 0.3, 0.6, 0.4)], [MIDDLE, near(LEFT)]), 0),
        (([RIGHT], [MIDDLE, near(LEFT)]), ([at(0.1, 0.4, 0.3, 0.6, 0.7)], [MIDDLE, near(LEFT)]), 1),
    ],
    ids=[
        "moved",
        "not moved",
        "copied",
        "anchor copied",
        "anchor gone",
        "anchor moved instead",
        "was there already and has not moved",
        "was there already and has moved",
        "moved a little",
        "another one moved",
        "another one stayed",
        "too close",
        "rather a can",
        "in front of a can",
    ],
)
def test_position(before: Any, after: Any, wanted: float) -> None:
    seen = [{"cup": cups, "can": cans} for cups, cans in (before, after)]
    assert value("position_change", MOVE, World(before=seen[0], after=seen[1])) == wanted


# --- background_change -----------------------------------------------------------------------------------------

BEACH = "Change the background to [beach]"
KEEP = "Change the background to beach, remain the red cup, tin can, it unchanged"


@pytest.mark.parametrize(
    ("before", "after", "pool", "wanted", "said"),
    [
        ({}, {"red cup": [LEFT], "tin can": [RIGHT]}, ("red cup", "tin can"), 0.8, "0.80"),
        ({}, {"red cup": [LEFT], "tin can": [RIGHT]}, None, 0.8, "0.80"),
        ({"tin can": [RIGHT]}, {"red cup": [LEFT]}, ("red cup", "tin can"), 0, "tin can did not stay"),
        (
            {"tin can": [RIGHT]},
            {"red cup": [LEFT]},
            ("red cup",),
            0.8,
            "not checked: tin can (no longer in the pool)",
        ),
        ({}, {"red cup": [LEFT]}, ("red cup", "tin can"), 0.8, "not checked: tin can (not seen before either)"),
        (
            {"tin can": [RIGHT]},
            {"red cup": [LEFT], "tin can": [at(0.7, 0.4, 0.9, 0.6, 0.26)]},
            None,
            0.8,
            "0.80",
        ),
    ],
    ids=["kept", "without a pool", "one gone", "one no longer in the pool", "one never seen", "one fainter"],
)
def test_background(before: Any, after: Any, pool: Any, wanted: float, said: str) -> None:
    world = World(before=before, after=after, says={"background": 0.8})
    verdict = ours("background_change", BEACH, world, instruction=KEEP, available_objects=pool)
    assert verdict.value == wanted
    assert said in verdict.reason
    assert {name for _, name in world.searches()} <= {"red cup", "tin can"}


def test_background_is_asked_of_both_images() -> None:
    world = World(says={"background": 0})
    assert value("background_change", BEACH, world) == 0
    (request,) = world.asked
    assert isinstance(request, Ask)
    assert [image.sha256 for image in request.images] == ["before", "after"]
