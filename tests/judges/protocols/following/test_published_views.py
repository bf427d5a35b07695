"""Where every output is made from the source and all instructions so far, the source is what it is compared with."""

from dataclasses import replace
from typing import Any

import pytest

from micebench.judges.models.base import Components
from micebench.judges.protocols.following import follow
from micebench.judges.runtime.scheduler import answer
from micebench.sessions import ImageFile, Session, Turn
from micebench.verdicts import Question, Status, Verdict
from tests.judges.protocols.following.world import CONSTANTS, Asker, Plain, World, at, rules

LEFT, RIGHT = at(0.1, 0.4, 0.3, 0.6), at(0.7, 0.4, 0.9, 0.6)
SESSION = Session(
    "s",
    "photo",
    "plain",
    ImageFile("s.jpg"),
    (
        Turn(1, "Remove cup", "subject_remove", "Remove [cup]", unchanged_objects=()),
        Turn(2, "Change the count of can to 1", "count_change", "Change the count of [can] to [1]"),
    ),
)
IMAGES = [Plain("source"), Plain("before"), Plain("after")]


def judged(protocol: str, world: World, **asked: Any) -> Verdict:
    question = replace(Question("IF", SESSION, 2, IMAGES), **asked)
    components = Components(detector=world, reader=world, vlm=world)
    return answer([(follow(question, rules(protocol), Asker()), 1)], components)[0][0]


def cans(**images: list[Any]) -> World:
    return World(**{name: {"can": boxes} for name, boxes in images.items()})


@pytest.mark.parametrize("protocol", CONSTANTS)
def test_the_turn_itself(protocol: str) -> None:
    """The can has to have been in the source, not in an output that this one does not come from."""
    only_source = cans(source=[LEFT, RIGHT], after=[LEFT])
    assert judged(protocol, only_source, composed=True).value == 1
    only_other = cans(before=[LEFT, RIGHT], after=[LEFT])
    assert judged(protocol, only_other, composed=True).value in (0, None)
    assert judged(protocol, only_other).value == 1
    for world in (only_source, cans(source=[LEFT], after=[LEFT, RIGHT])):
        judged(protocol, world, composed=True)
        assert "before" not in {image for image, _ in world.searches()}


@pytest.mark.parametrize("protocol", CONSTANTS)
@pytest.mark.parametrize(("left", "wanted"), [([], 1), ([LEFT], 0)], ids=["gone", "still there"])
def test_an_earlier_instruction(protocol: str, left: list[Any], wanted: float) -> None:
    world = World(source={"cup": [LEFT]}, before={}, after={"cup": left}, says={"removed": 1})
    assert judged(protocol, world, composed=True, about=1).value == wanted
    assert {name for _, name in world.searches()} == {"cup"}


@pytest.mark.parametrize(("turn", "about"), [(1, 1), (1, 2), (2, 2)])
def test_an_instruction_that_is_no_earlier_one_is_not_asked_about(turn: int, about: int) -> None:
    world = World()
    verdict = judged("edival", world, turn=turn, images=IMAGES[: turn + 1], composed=True, about=about)
    assert (verdict.status, world.asked) == (Status.NOT_APPLICABLE, [])


def test_an_earlier_annotation_that_cannot_be_read_is_that_instructions_fault() -> None:
    broken = replace(SESSION, turns=(replace(SESSION.turns[0], formatted="Remove it"), SESSION.turns[1]))
    world = cans(source=[LEFT], after=[LEFT])
    assert judged("edival", world, session=broken, composed=True, about=1).status is Status.INVALID_ANNOTATION
    assert judged("edival", world, session=broken, composed=True).value == 1
