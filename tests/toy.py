"""A task, an editor and a judge small enough to run hundreds of times; named in cards made by `toy_cards`."""

import hashlib
import io
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from micebench.cards import EditorCard, JudgeCard, TaskCard
from micebench.editors.base import EditRequest
from micebench.sessions import ImageFile, Session, Track, Turn
from micebench.verdicts import Question, Verdict

SECRET = "SECRET"
"""Stands in every annotation, and nowhere else."""


def toy_cards(
    folder: Path,
    *,
    task: dict | None = None,
    editor: dict | None = None,
    judge: dict | None = None,
    concurrent: bool = False,
) -> Path:
    """Write the cards of task `toy`, model `painter` and judge `meter`; the arguments are their options."""
    cards = {
        "tasks/toy/task.yaml": {
            "id": "toy",
            "description": "tiny sessions",
            "domain": "mini",
            "adapter": "tests.toy:sessions",
            "options": task or {},
            "judge": "meter",
            "turns": 3,
        },
        "baselines/painter/editor.yaml": {
            "id": "painter",
            "description": "paints by seed",
            "domain": "mini",
            "editor": "tests.toy:Painter",
            "options": editor or {},
            "context": "last",
            "batch": 4,
        },
        "judges/meter/judge.yaml": {
            "id": "meter",
            "description": "measures brightness",
            "domain": "mini",
            "judge": "tests.toy:Meter",
            "metrics": ["IF", "CC.object", "GA"],
            "options": judge or {},
            "concurrent": concurrent,
        },
    }
    for name, content in cards.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content))
    return folder


def sessions(
    card: TaskCard,
    folder: Path | None,
    *,
    count: int = 6,
    unreadable: Sequence[int] = (),
    invalid: bool = False,
    track: Track = "plain",
) -> Iterator[Session]:
    """`count` sessions of 3 turns (every fifth has 2) with 8 x 8 images; some sources may be no images."""
    for number in range(count):
        yield Session(
            id=f"s{number:03d}",
            task=card.id,
            track=track,
            image=ImageFile(f"s{number:03d}.png", data=b"no image" if number in unreadable else _png(number)),
            category=SECRET,
            provenance=f"toy:{number + 1}",
            turns=tuple(
                Turn(
                    number=turn,
                    instruction=f"paint {number} in turn {turn}",
                    edit_type="color_alter",
                    formatted=f"{SECRET} [{turn}]",
                    unchanged_objects=(SECRET,),
                    all_objects=(SECRET, "fish"),
                    target_description=SECRET,
                    bg_consistency=True,
                    invalid={"GA": "toy:1 formatted: broken"} if invalid and number == 1 and turn == 2 else {},
                )
                for turn in range(1, 3 if number % 5 == 4 else 4)
            ),
        )


def _png(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class Painter:
    """Adds noise drawn from the seed. Options: calls (file that counts edits), sleep_s, fail, die, salt."""

    batch = 4

    def __init__(self, card: EditorCard | None = None) -> None:
        self.options = card.options if card else {}

    def edit(self, requests: Sequence[EditRequest]) -> list[Image.Image]:
        if "calls" in self.options:
            with open(self.options["calls"], "a") as file:
                file.writelines(f"{request.session_id} {request.turn}\n" for request in requests)
        if "sleep_s" in self.options:
            time.sleep(self.options["sleep_s"])
        names = {f"{request.session_id}/{request.turn}" for request in requests}
        if names & set(self.options.get("fail", ())):
            raise RuntimeError("painter is out of paint\nand tired")
        if names & set(self.options.get("die", ())):
            os._exit(9)
        return [self._paint(request) for request in requests]

    def _paint(self, request: EditRequest) -> Image.Image:
        salt = self.options.get("salt", 0)
        noise = np.random.default_rng([request.seed, salt]).integers(0, 64, (8, 8, 3), dtype=np.uint8)
        return Image.fromarray(np.asarray(request.image) + noise)


class Meter:
    """A value from the pixels. Options: sleep_s."""

    metrics = ("IF", "CC.object", "GA")

    def __init__(self, card: JudgeCard | None = None) -> None:
        self.options = card.options if card else {}

    def judge(self, questions: Sequence[Question]) -> list[Verdict]:
        if "sleep_s" in self.options:
            time.sleep(self.options["sleep_s"])
        return [self.answer(question) for question in questions]

    def answer(self, question: Question) -> Verdict:
        image = question.images[question.turn].load()
        digest = hashlib.sha256(image.tobytes() + question.metric.encode()).digest()
        return Verdict.ok(digest[0] / 255, f"byte {digest[0]}")
