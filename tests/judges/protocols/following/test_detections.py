"""How many model calls three turns take, counted; the published code makes each call whenever a rule names it."""

from typing import Any

import pytest

from micebench.judges.models.base import Ask, Components, Detect
from micebench.judges.protocols.following import follow
from micebench.judges.runtime.scheduler import answer
from micebench.sessions import ImageFile, Session, Turn
from micebench.verdicts import Question
from tests.judges.protocols.following.world import Asker, Plain, World, at, rules

LEFT, MIDDLE, RIGHT = at(0.1, 0.4, 0.3, 0.6), at(0.4, 0.4, 0.6, 0.6), at(0.7, 0.4, 0.9, 0.6)
TURNS = [
    ("subject_add", "Add [dog] on the [left] of [tree]"),
    ("position_change", "Change the position of [dog] to [right] of [tree]"),
    ("subject_remove", "Remove [dog]"),
]
UPSTREAM = {"edival": (10, 3), "mice": (8, 1)}
"""(detector passes, VLM calls) of the published code: 2 + 6 + 2 and 2 + 4 + 2; 1 + 2 + 0 and 1 + 0 + 0."""


@pytest.mark.parametrize(
    ("protocol", "passes", "asked", "batches"),
    [("edival", 6, 3, 4), ("mice", 6, 1, 4), ("micebench", 7, 2, 4)],
)
def test_a_session_of_three_turns(protocol: str, passes: int, asked: int, batches: int) -> None:
    says: dict[str, Any] = dict.fromkeys(["newly_added", "added", "removed"], 1.0) | {"core_name": ""}
    tree = {"tree": [MIDDLE]}
    world = World(tree, tree | {"dog": [LEFT]}, tree | {"dog": [RIGHT]}, end=tree, says=says)
    turns = tuple(Turn(number, order, edit_type, order) for number, (edit_type, order) in enumerate(TURNS, start=1))
    session = Session("s", "photo", "plain", ImageFile("s.jpg"), turns)
    images = [Plain(name) for name in ("source", "before", "after", "end")]
    questions = [Question("IF", session, turn, images[: turn + 1]) for turn in (1, 2, 3)]
    checks = [(follow(question, rules(protocol), Asker()), 1) for question in questions]

    verdicts = answer(checks, Components(detector=world, reader=world, vlm=world))

    assert [verdict.value for (verdict,) in verdicts] == [1, 1, 1]
    searches = world.searches()
    assert len(searches) == len(set(searches)) == passes, "no image is searched twice for one name"
    assert sum(isinstance(request, Ask) for request in world.asked) == asked
    assert sum(isinstance(request, Detect) for request in world.asked) == passes
    assert world.calls["detect"] <= batches, "and the searches of different turns go together"
    if protocol in UPSTREAM:
        assert (passes, asked) <= UPSTREAM[protocol]
        assert passes < UPSTREAM[protocol][0]
