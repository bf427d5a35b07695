"""Constructed items with known verdicts, put before the shipped judges: their cards, prompts, parsers and rules.

An item holds what the detector and the reader find and, for every prompt in full, what the VLM replies. So a changed
rule, threshold, parser or prompt shows here. If the change is meant, mend the item and raise the card's version.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from micebench.cards import JudgeCard, load_card
from micebench.instructions import EDIT_TYPES
from micebench.judges.models.base import (
    Ask,
    Box,
    Components,
    Detect,
    Detection,
    Failure,
    Read,
    Reply,
    TextLine,
)
from micebench.judges.protocols.protocol_judge import PhotoJudge
from micebench.sessions import ImageFile, Session, Turn
from micebench.verdicts import Question, Status, Verdict
from tests.judges.protocols.following.world import Plain, which

JUDGES = ("edival", "mice", "micebench")
FILE = Path(__file__).parent / "golden" / "items.jsonl"
ITEMS = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


@dataclass
class Golden:
    """Answers from an item alone; a prompt the item does not know fails."""

    item: dict[str, Any]
    asked: set[str] = field(default_factory=set)
    concurrency: int = 1

    def detect(self, requests: Sequence[Detect]) -> list[tuple[Detection, ...] | Failure]:
        return [
            tuple(
                Detection(Box(*box), score, name)
                for name in request.names
                for *box, score in self.item[which(request.image)].get(name, ())
            )
            for request in requests
        ]

    def read(self, requests: Sequence[Read]) -> list[tuple[TextLine, ...] | Failure]:
        lines = self.item.get("lines", {})
        return [
            tuple(TextLine(text, sure, Box(*box)) for text, sure, box in lines.get(which(request.image), ()))
            for request in requests
        ]

    def ask(self, request: Ask) -> Reply | Failure:
        self.asked.add(request.prompt)
        said = self.item["replies"].get(request.prompt)
        if said is None:
            return Failure(Status.ERROR, f"the item has no reply to this prompt: {request.prompt}")
        return Reply((said,) * request.votes)


def judged(item: dict[str, Any]) -> tuple[Verdict, set[str]]:
    """The verdict, and the prompts the VLM was asked."""
    golden = Golden(item)
    card = load_card(JudgeCard, item["judge"])
    judge = PhotoJudge(card, Components(detector=golden, reader=golden, vlm=golden))
    turn = Turn(1, item["instruction"], item["edit_type"], item["formatted"])
    session = Session("s", "photo", "plain", ImageFile("s.jpg"), (turn,))
    (verdict,) = judge.judge([Question("IF", session, 1, [Plain("before"), Plain("after")])])
    return verdict, golden.asked


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: f"{item['judge']}-{item['edit_type']}-{item['case']}")
def test_verdict_and_prompts(item: dict[str, Any]) -> None:
    verdict, asked = judged(item)
    assert verdict.value == item["value"], verdict
    assert asked == set(item["replies"])


def test_every_edit_type_succeeds_and_fails_under_every_protocol() -> None:
    values: dict[tuple[str, str], set[float]] = defaultdict(set)
    for item in ITEMS:
        values[item["judge"], item["edit_type"]].add(item["value"])
    assert values == {(judge, edit_type): {0.0, 1.0} for judge in JUDGES for edit_type in EDIT_TYPES}
