"""A catalogue of planted errors: each lowers the metrics it concerns, and no other.

GA covers every turn's instruction, so that whatever breaks IF breaks GA too.
"""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from micebench.instructions import ParsedEdit
from micebench.mini.render import render
from micebench.mini.world import Kind, Scene, Thing
from micebench.sessions import Rule
from tests.judges.scenario import ask, references, session_of

SQUARE, CIRCLE = Kind("square", "red", "plastic"), Kind("circle", "blue", "wood")
TRIANGLE, HEART = Kind("triangle", "green", "metal"), Kind("heart", "yellow", "stone")
SOURCE = Scene(
    "grass",
    (Thing(SQUARE, (0,), "A"), Thing(CIRCLE, (4,)), Thing(TRIANGLE, (8,)), Thing(HEART, (2,))),
)
MAIN = ("IF", "CC.object", "CC.background", "GA")
BOTH = {"IF", "GA"}

RECOLOR = ParsedEdit("color_alter", target="plastic red square", value="cyan")
REMATERIAL = ParsedEdit("material_alter", target="plastic red square", value="wood")
ADD = ParsedEdit("subject_add", target="metal pink cross", relation="right", anchor="plastic red square")
REMOVE = ParsedEdit("subject_remove", target="plastic red square")
REPLACE = ParsedEdit("subject_replace", target="plastic red square", value="metal pink cross")
WRITE = ParsedEdit("text_change", target="plastic red square", value="K", old_text="A")
MOVE = ParsedEdit("position_change", target="plastic red square", relation="below", anchor="wood blue circle")
COPY = ParsedEdit("count_change", target="plastic red square", count=2)
GROUND = ParsedEdit("background_change", value="snow")
RED_RULE = Rule("everything edited turns red", "color", "red")
WOOD_RULE = Rule("everything edited turns wooden", "material", "wood")


def things(scene: Scene, *changes: tuple[Kind, Thing | None]) -> Scene:
    """The scene with some objects exchanged, removed (None) or, for unknown looks, added."""
    kept = [thing for thing in scene.things if thing.kind not in dict(changes)]
    return replace(scene, things=(*kept, *(new for _, new in changes if new is not None)))


def paint(scene: Scene) -> np.ndarray:
    return render(scene)


def tint(image: np.ndarray, amount: float = 0.06) -> np.ndarray:
    return np.clip(image.astype(float) + 255 * amount * np.array([1, -0.3, -0.3]), 0, 255).astype(np.uint8)


def soften(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(0.7)))


def scratch(image: np.ndarray) -> np.ndarray:
    """Touches the background of a slot where nothing stands."""
    spoilt = image.copy()
    spoilt[36:46, 18:30] = (255, 255, 255)
    return spoilt


def dropped(edits, images, track="plain", rule=None):
    """Metrics that score lower on the last of `images` than on the reference."""
    session = session_of(SOURCE, edits, track, rule)
    right, seen = ask(session, references(SOURCE, edits, rule)), ask(session, images)
    for metric in MAIN:
        assert right[metric].value in (None, 1.0), (metric, right[metric])
    return {m for m in MAIN if right[m].value is not None and seen[m].value < right[m].value - 1e-9}


CYAN = Thing(SQUARE.with_("color", "cyan"), (0,), "A")
CROSS = Thing(Kind("cross", "pink", "metal"), (1,))
SINGLE = {
    "nothing was done": (RECOLOR, SOURCE, BOTH),
    "wrong colour": (RECOLOR, things(SOURCE, (SQUARE, Thing(SQUARE.with_("color", "orange"), (0,), "A"))), BOTH),
    "wrong object recoloured": (
        RECOLOR,
        things(SOURCE, (CIRCLE, Thing(CIRCLE.with_("color", "cyan"), (4,)))),
        BOTH | {"CC.object"},
    ),
    "right colour, but the letter is lost": (RECOLOR, things(SOURCE, (SQUARE, replace(CYAN, letter=None))), BOTH),
    "right colour, but another shape": (
        RECOLOR,
        things(SOURCE, (SQUARE, replace(CYAN, kind=CYAN.kind.with_("shape", "diamond")))),
        BOTH,
    ),
    "a neighbour recoloured as well": (
        RECOLOR,
        things(SOURCE, (SQUARE, CYAN), (CIRCLE, Thing(CIRCLE.with_("color", "purple"), (4,)))),
        {"CC.object"},
    ),
    "a neighbour removed as well": (RECOLOR, things(SOURCE, (SQUARE, CYAN), (HEART, None)), {"CC.object"}),
    "an object nobody asked for": (
        RECOLOR,
        things(SOURCE, (SQUARE, CYAN), (CROSS.kind, CROSS)),
        {"CC.background"},
    ),
    "an extra copy of the edited object": (
        RECOLOR,
        things(SOURCE, (SQUARE, replace(CYAN, slots=(0, 1)))),
        {"CC.background"},
    ),
    "wrong material": (
        REMATERIAL,
        things(SOURCE, (SQUARE, Thing(SQUARE.with_("material", "stone"), (0,), "A"))),
        BOTH,
    ),
    "new object missing": (ADD, SOURCE, BOTH),
    "new object of the wrong colour": (
        ADD,
        things(SOURCE, (CROSS.kind, replace(CROSS, kind=CROSS.kind.with_("color", "orange")))),
        BOTH,
    ),
    "new object on the wrong side": (ADD, things(SOURCE, (CROSS.kind, replace(CROSS, slots=(6,)))), BOTH),
    "new object twice": (
        ADD,
        things(SOURCE, (CROSS.kind, replace(CROSS, slots=(1, 5)))),
        BOTH | {"CC.background"},
    ),
    "new object, and its anchor gone": (ADD, things(SOURCE, (SQUARE, None), (CROSS.kind, CROSS)), {"CC.object"}),
    "not removed": (REMOVE, SOURCE, BOTH),
    "removed, but something else is left in its place": (
        REMOVE,
        things(SOURCE, (SQUARE, Thing(Kind("heart", "pink", "plastic"), (0,)))),
        BOTH,
    ),
    "moved away instead of removed": (
        REMOVE,
        things(SOURCE, (SQUARE, Thing(SQUARE, (1,), "A"))),
        BOTH | {"CC.background"},
    ),
    "wrong object removed": (REMOVE, things(SOURCE, (CIRCLE, None)), BOTH | {"CC.object"}),
    "replaced by something else": (
        REPLACE,
        things(SOURCE, (SQUARE, Thing(Kind("diamond", "pink", "metal"), (0,)))),
        BOTH,
    ),
    "new beside old instead of in its place": (
        REPLACE,
        things(SOURCE, (CROSS.kind, CROSS)),
        BOTH | {"CC.background"},
    ),
    "wrong letter": (WRITE, things(SOURCE, (SQUARE, Thing(SQUARE, (0,), "X"))), BOTH),
    "letter removed": (WRITE, things(SOURCE, (SQUARE, Thing(SQUARE, (0,)))), BOTH),
    "moved to the wrong side": (MOVE, things(SOURCE, (SQUARE, Thing(SQUARE, (1,), "A"))), BOTH),
    "copied instead of moved": (MOVE, things(SOURCE, (SQUARE, Thing(SQUARE, (0, 7), "A"))), BOTH),
    "missing copy": (COPY, SOURCE, BOTH),
    "one copy too many": (
        COPY,
        things(SOURCE, (SQUARE, Thing(SQUARE, (0, 1, 3), "A"))),
        BOTH | {"CC.background"},
    ),
    "moved instead of copied": (COPY, things(SOURCE, (SQUARE, Thing(SQUARE, (1,), "A"))), BOTH),
    "copied without its letter": (
        COPY,
        replace(SOURCE, things=(*SOURCE.things, Thing(SQUARE, (1,)))),
        BOTH,
    ),
    "wrong background": (GROUND, replace(SOURCE, background="water"), BOTH),
    "right background, but an object vanished": (
        GROUND,
        replace(things(SOURCE, (HEART, None)), background="snow"),
        BOTH | {"CC.object"},
    ),
}


@pytest.mark.parametrize("name", SINGLE)
def test_single_turn(name):
    edit, scene, expected = SINGLE[name]
    assert dropped([edit], [paint(SOURCE), paint(scene)]) == expected


PIXELS = {
    "whole-image tint": (tint, {"CC.object", "CC.background"}),
    "whole-image blur": (soften, {"CC.object", "CC.background"}),
    "background touched": (scratch, {"CC.background"}),
}


@pytest.mark.parametrize("name", PIXELS)
def test_right_edit_but(name):
    harm, expected = PIXELS[name]
    right = references(SOURCE, [RECOLOR])
    assert dropped([RECOLOR], [right[0], harm(right[1])]) == expected


def test_noise_instead_of_an_image_fails_everything():
    garbage = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    assert dropped([RECOLOR], [paint(SOURCE), garbage]) == set(MAIN)
    verdicts = ask(session_of(SOURCE, [RECOLOR]), [paint(SOURCE), garbage])
    assert verdicts["destroyed"].value == 1
    assert verdicts["quality"].value == 0


# Standing rules --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edit", "rule"),
    [
        (ParsedEdit("material_alter", target="wood blue circle", value="metal"), RED_RULE),
        (ParsedEdit("subject_add", target="metal cross", relation="right", anchor="plastic red square"), RED_RULE),
        (ParsedEdit("subject_replace", target="wood blue circle", value="metal cross"), RED_RULE),
        (ParsedEdit("text_change", target="wood blue circle", value="K"), RED_RULE),
        (replace(MOVE, target="wood blue circle", anchor="stone yellow heart"), RED_RULE),
        (ParsedEdit("count_change", target="wood blue circle", count=3), RED_RULE),
        (ParsedEdit("color_alter", target="plastic red square", value="blue"), WOOD_RULE),
    ],
    ids=lambda x: x.edit_type if isinstance(x, ParsedEdit) else x.attribute,
)
def test_right_edit_with_the_rule_ignored_costs_ga_alone(edit, rule):
    opposite = Rule(rule.text, rule.attribute, "green" if rule.attribute == "color" else "stone")
    images = references(SOURCE, [edit], opposite)  # another value of the same attribute
    assert dropped([edit], images, "cm", rule) == {"GA"}


@pytest.mark.parametrize("edit", [REMOVE, GROUND], ids=lambda edit: edit.edit_type)
def test_removals_and_backgrounds_are_exempt_from_the_rule(edit):
    assert dropped([edit], references(SOURCE, [edit]), "cm", RED_RULE) == set()


def test_a_tint_over_everything_satisfies_no_rule():
    edit = ParsedEdit("material_alter", target="wood blue circle", value="metal")
    ignored = references(SOURCE, [edit])
    assert dropped([edit], [ignored[0], tint(ignored[1])], "cm", RED_RULE) == {"GA", "CC.object", "CC.background"}
    flooded = dropped([edit], [ignored[0], tint(ignored[1], 0.5)], "cm", RED_RULE)
    assert flooded == set(MAIN)


def test_a_rule_that_spreads_to_a_neighbour_is_caught():
    edit = ParsedEdit("material_alter", target="wood blue circle", value="metal")
    wrong = things(
        SOURCE,
        (CIRCLE, Thing(Kind("circle", "red", "metal"), (4,))),
        (TRIANGLE, Thing(TRIANGLE.with_("color", "red"), (8,))),
    )
    assert dropped([edit], [paint(SOURCE), paint(wrong)], "cm", RED_RULE) == {"GA", "CC.object"}


def test_a_rule_kept_in_turn_one_and_forgotten_in_turn_two():
    first = ParsedEdit("text_change", target="wood blue circle", value="K")
    second = ParsedEdit("count_change", target="metal green triangle", count=2)
    images = references(SOURCE, [first], RED_RULE)
    kept = things(SOURCE, (CIRCLE, Thing(CIRCLE.with_("color", "red"), (4,), "K")))
    forgotten = things(kept, (TRIANGLE, Thing(TRIANGLE, (1, 8))))
    assert dropped([first, second], [*images, paint(forgotten)], "cm", RED_RULE) == {"GA"}


# Pronouns and what has accumulated -------------------------------------------------------------------------------


def test_pronoun_resolved_to_the_wrong_object():
    second = ParsedEdit("material_alter", target="plastic cyan square", value="stone")
    images = references(SOURCE, [RECOLOR])
    wrong = things(SOURCE, (SQUARE, CYAN), (HEART, Thing(HEART.with_("material", "wood"), (2,))))
    assert dropped([RECOLOR, second], [*images, paint(wrong)], "cu") == BOTH | {"CC.object"}


def test_there_resolved_to_the_wrong_place():
    second = ParsedEdit("subject_add", target="metal pink cross", relation="place", anchor="plastic red square")
    images = references(SOURCE, [REMOVE])
    removed = things(SOURCE, (SQUARE, None))
    wrong = things(removed, (CROSS.kind, replace(CROSS, slots=(7,))))
    assert dropped([REMOVE, second], [*images, paint(wrong)], "cu") == BOTH


@pytest.mark.parametrize("track", ["plain", "cu"])
def test_an_earlier_edit_undone_costs_ga_alone(track):
    second = ParsedEdit("color_alter", target="wood blue circle", value="pink")
    images = references(SOURCE, [RECOLOR])
    undone = things(SOURCE, (CIRCLE, Thing(CIRCLE.with_("color", "pink"), (4,))))
    assert dropped([RECOLOR, second], [*images, paint(undone)], track) == {"GA"}


def test_an_earlier_background_undone_costs_ga_alone():
    images = references(SOURCE, [GROUND])
    assert dropped([GROUND, RECOLOR], [*images, paint(things(SOURCE, (SQUARE, CYAN)))]) == {"GA"}


def test_a_failed_turn_stays_failed_for_ga_only():
    """Turn 2 is right on the wreck of turn 1: IF forgives, GA does not."""
    second = ParsedEdit("color_alter", target="wood blue circle", value="pink")
    good = things(SOURCE, (CIRCLE, Thing(CIRCLE.with_("color", "pink"), (4,))))
    assert dropped([RECOLOR, second], [paint(SOURCE), paint(SOURCE), paint(good)]) == {"GA"}
