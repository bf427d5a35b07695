"""A task on which an editor is as good as its card says, and checkpoints of such editors."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from micebench.cards import EditorCard, JudgeCard
from micebench.editors.base import EditRequest
from micebench.engine.evaluate import evaluate
from micebench.errors import EndpointError
from micebench.monitor.watcher import WatchOptions
from micebench.verdicts import Question, Verdict
from tests.toy import toy_cards

COUNT = 24


class Shades:
    """Follows instructions in a share of the sessions; options: good, fail, calls (a file with a line per edit)."""

    batch = 4
    interrupt_after: int | None = None
    on_edit = None

    def __init__(self, card: EditorCard) -> None:
        self.options = card.options

    def edit(self, requests: Sequence[EditRequest]) -> list[Image.Image]:
        if Shades.on_edit is not None:
            Shades.on_edit()
        if self.options.get("fail"):
            raise RuntimeError("not a number")
        if Shades.interrupt_after is not None:
            Shades.interrupt_after -= 1
            if Shades.interrupt_after < 0:
                raise KeyboardInterrupt
        if "calls" in self.options:
            with open(self.options["calls"], "a") as file:
                file.writelines(f"{request.session_id} {request.turn}\n" for request in requests)
        return [self._shade(request) for request in requests]

    def _shade(self, request: EditRequest) -> Image.Image:
        number = int(request.session_id[1:])
        good = (number * 7 + request.turn) % COUNT < self.options["good"] * COUNT
        return Image.fromarray(np.full((8, 8, 3), 240 if good else 15, np.uint8))


class Light:
    """IF is 1 in a light image; the rest is 1. `mood` changes its mind about everything."""

    mood = "calm"

    def __init__(self, card: JudgeCard) -> None:
        pass

    @classmethod
    def probe(cls, card: JudgeCard) -> None:
        if Light.mood == "gone":
            raise EndpointError("the judge's server has gone")

    def judge(self, questions: Sequence[Question]) -> list[Verdict]:
        return [self._answer(question) for question in questions]

    def _answer(self, question: Question) -> Verdict:
        if question.metric != "IF":
            return Verdict.ok(1.0)
        light = float(np.asarray(question.images[-1].load()).mean() > 128)
        return Verdict.ok(1.0 - light if Light.mood == "contrary" else light)


def bench(folder: Path) -> tuple[Path, Path, Path]:
    """(cards, base run of an editor good in 3 of 4, empty folder for checkpoints)."""
    Light.mood, Shades.interrupt_after, Shades.on_edit = "calm", None, None
    cards = toy_cards(folder / "cards", task={"count": COUNT}, editor={"good": 0.75})
    for place, changes in (
        ("judges/meter/judge.yaml", {"judge": "tests.monitor.watched_training:Light"}),
        ("baselines/painter/editor.yaml", {"editor": "tests.monitor.watched_training:Shades"}),
    ):
        path = cards / place
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))
    evaluate("toy", "painter", out=folder / "base", cards=[cards])
    (folder / "training").mkdir()
    return cards, folder / "base", folder / "training"


def checkpoint(training: Path, name: str, good: float, **options) -> Path:
    """A folder with a card, whose files look old enough to be complete."""
    place = training / name
    place.mkdir(exist_ok=True)
    card = {
        "id": "some",
        "description": "x",
        "domain": "mini",
        "editor": "tests.monitor.watched_training:Shades",
        "options": {"good": good, **options},
        "batch": 4,
    }
    (place / "editor.yaml").write_text(yaml.safe_dump(card))
    age(place)
    return place


def age(place: Path, seconds: float = 600.0) -> None:
    for file in place.rglob("*"):
        os.utime(file, (time.time() - seconds,) * 2)


def options(cards: Path, **changes) -> WatchOptions:
    return WatchOptions(**{"cards": (cards,), "once": True, "settle": 0.05, "every": 0.02, **changes})


def tensors(path: Path, numbers: int = 4, missing: int = 0) -> None:
    """A safetensors file, or the beginning of one."""
    header = json.dumps({"x": {"dtype": "F32", "shape": [numbers], "data_offsets": [0, 4 * numbers]}}).encode()
    data = len(header).to_bytes(8, "little") + header + bytes(4 * numbers)
    path.write_bytes(data[: len(data) - missing])
