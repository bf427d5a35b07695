"""Whatever fails, and whenever, the verdict has that status and no value: every call of every edit type."""

from collections.abc import Sequence
from typing import Any

import pytest

from micebench.judges.models.base import Components, Detect, Failure, TextLine
from micebench.judges.protocols.following import follow
from micebench.judges.runtime.scheduler import answer
from micebench.sessions import Turn
from micebench.verdicts import Status
from tests.judges.protocols.following.world import CONSTANTS, Asker, World, at, judged, question, rules

LEFT, MIDDLE, RIGHT = at(0.1, 0.4, 0.3, 0.6), at(0.4, 0.4, 0.6, 0.6), at(0.7, 0.4, 0.9, 0.6)
SAYS: dict[str, float | str | tuple[str, ...]] = {
    **dict.fromkeys(["newly_added", "added", "replaced", "removed", "altered"], 1.0),
    **dict.fromkeys(["color", "material", "background"], 1.0),
    "read_text": "GO",
    "core_name": "",
}
LINES = {"before": [TextLine("STOP", 0.9, LEFT[0])], "after": [TextLine("GO", 0.9, LEFT[0])]}
DONE: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "add": ("subject_add", "Add [dog]", {}, {"dog": [LEFT]}),
    "add beside": ("subject_add", "Add [dog] on the [left] of [tree]", {"tree": [RIGHT]}, {"dog": [LEFT]}),
    "remove": ("subject_remove", "Remove [dog]", {"dog": [LEFT]}, {}),
    "replace": ("subject_replace", "Replace [cup] with [mug]", {"cup": [LEFT]}, {"mug": [LEFT]}),
    "color": ("color_alter", "Change the color of [cup] to [blue]", {"cup": [LEFT]}, {}),
    "material": ("material_alter", "Change the material of [cup] to [wood]", {"cup": [LEFT]}, {}),
    "add text": ("text_change", "Add text '[GO]' on the image", {}, {}),
    "replace text": (
        "text_change",
        "Replace the text '[STOP]' on [sign] with '[GO]'",
        {"sign": [LEFT]},
        {"sign": [LEFT]},
    ),
    "position": (
        "position_change",
        "Change the position of [cup] to [left] of [can]",
        {"cup": [RIGHT], "can": [MIDDLE]},
        {"cup": [LEFT], "can": [MIDDLE]},
    ),
    "count": ("count_change", "Change the count of [cup] to [2]", {"cup": [LEFT]}, {"cup": [LEFT, RIGHT]}),
    "background": ("background_change", "Change the background to [beach]", {"can": [LEFT]}, {"can": [LEFT]}),
}
KEEP = "Change the background to beach, remain the can unchanged"


def world(case: str, **more: Any) -> World:
    return World(before=DONE[case][2], after=DONE[case][3], says=SAYS, lines=LINES, **more)


@pytest.mark.parametrize("protocol", CONSTANTS)
@pytest.mark.parametrize("case", DONE)
def test_every_failing_call_gives_its_status(protocol: str, case: str) -> None:
    edit_type, order, _, _ = DONE[case]
    instruction = KEEP if case == "background" else None
    whole = world(case)
    assert judged(protocol, edit_type, order, whole, instruction=instruction).value == 1, "the edit is a success"
    assert whole.asked
    for number in range(len(whole.asked)):
        for status in (Status.ERROR, Status.REFUSED, Status.UNPARSED):
            broken = world(case, breaks={number: Failure(status, f"call {number}")})
            verdict = judged(protocol, edit_type, order, broken, instruction=instruction)
            assert (verdict.status, verdict.value) == (status, None)
            assert verdict.reason == f"call {number}"


@pytest.mark.parametrize("protocol", CONSTANTS)
def test_a_detector_that_raises_removes_nothing(protocol: str) -> None:
    class Gone(World):
        def detect(self, requests: Sequence[Detect]) -> Any:
            raise ConnectionResetError("connection reset")

    verdict = judged(protocol, "subject_remove", "Remove [dog]", Gone(says=SAYS))
    assert verdict.status is Status.ERROR
    assert "connection reset" in verdict.reason


@pytest.mark.parametrize("protocol", CONSTANTS)
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"edit_type": "text_change", "formatted": "Add text '[]' on the image"}, "empty value"),
        ({"edit_type": "count_change", "formatted": "Change the count of [cup] to [many]"}, "whole number"),
        ({"edit_type": "dance", "formatted": "Dance"}, "unknown edit type"),
        ({"edit_type": "subject_add", "formatted": "Thus I should write: Add [cup]"}, "not a bracketed"),
        ({"edit_type": "subject_add", "formatted": None}, "no bracketed instruction"),
        ({"edit_type": None, "formatted": "Add [cup]"}, "no bracketed instruction"),
        ({"edit_type": "subject_add", "formatted": "Add [cup]", "invalid": {"IF": "f:1 x"}}, "f:1 x"),
    ],
)
def test_a_malformed_annotation_asks_nothing_and_blames_nobody(
    protocol: str, fields: dict[str, Any], said: str
) -> None:
    empty = World()
    check = follow(question(Turn(1, "", **fields)), rules(protocol), Asker())
    ((verdict,),) = answer([(check, 1)], Components(detector=empty, reader=empty, vlm=empty))
    assert verdict.status is Status.INVALID_ANNOTATION
    assert said in verdict.reason
    assert empty.asked == []


@pytest.mark.parametrize("protocol", ["edival", "mice"])
def test_an_order_they_have_no_rule_for_is_no_failure_of_the_editor(protocol: str) -> None:
    verdict = judged(protocol, "text_change", "Add text '[GO]' on [sign]", World(says=SAYS))
    assert verdict.status is Status.INVALID_ANNOTATION
    assert "no rule" in verdict.reason


def test_stray_quotes_and_full_stops_around_an_instruction_are_read() -> None:
    for order in ('"Change the count of [cup] to [2]"', "Change the count of [cup] to [2]."):
        for protocol in CONSTANTS:
            assert judged(protocol, "count_change", order, world("count")).value == 1
