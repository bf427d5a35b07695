"""Small sessions with pictures, and a judge card that asks a server about them."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from micebench.cards import JudgeCard, load_card
from micebench.sessions import ImageFile, Rule, Session, Turn
from micebench.verdicts import Question

SHIPPED = Path(__file__).resolve().parents[2] / "judges"
QUICK = {"attempts": 3, "timeout_s": 20.0, "deadline_s": 60.0, "first_wait_s": 0.01}


class Picture:
    """Noise of its own for each seed."""

    def __init__(self, seed: int, size: tuple[int, int] = (32, 24)) -> None:
        pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        self._image = Image.fromarray(pixels)
        self.sha256 = hashlib.sha256(pixels.tobytes()).hexdigest()

    def load(self) -> Image.Image:
        return self._image


def session(name: str = "s", track: str = "cu", turns: int = 3) -> Session:
    said = ["Add a cat", "Paint it red", "Remove it"][:turns]
    formatted = ["Add [cat]", "Change the color of [cat] to [red]", "Remove [red cat]"][:turns]
    kinds = ["subject_add", "color_alter", "subject_remove"][:turns]
    return Session(
        id=name,
        task="photos",
        track=track,  # type: ignore[arg-type]
        image=ImageFile("x.png"),
        rule=Rule("From now on use the color blue.", "color", "blue") if track == "cm" else None,
        turns=tuple(
            Turn(number, text, kind, bracketed, unchanged_objects=(), all_objects=("cat",), bg_consistency=True)
            for number, (text, kind, bracketed) in enumerate(zip(said, kinds, formatted, strict=True), start=1)
        ),
    )


def questions(metric: str, asked: Session | None = None, seed: int = 0) -> list[Question]:
    asked = asked or session()
    images = [Picture(seed * 10 + number) for number in range(len(asked.turns) + 1)]
    return [Question(metric, asked, turn, images[: turn + 1]) for turn in range(1, len(asked.turns) + 1)]  # type: ignore[arg-type]


def judge_folder(folder: Path, url: str, *, name: str = "asking", **options: Any) -> Path:
    """A folder of cards with one judge that has micebench's prompts and asks only for GA."""
    place = folder / "judges" / name
    place.mkdir(parents=True)
    for prompt in (SHIPPED / "micebench").glob("prompt_*"):
        shutil.copy(prompt, place)
    vlm = {"kind": "openai", "model": "tiny", "url": url, "patience": QUICK, "concurrency": 4} | options.pop(
        "vlm", {}
    )
    card = {
        "id": name,
        "description": "asks a server",
        "domain": options.pop("domain", "photo"),
        "judge": "protocol",
        "metrics": options.pop("metrics", ["GA"]),
        "options": {"protocol": "micebench", "vlm": vlm} | options,
    }
    (place / "judge.yaml").write_text(yaml.safe_dump(card))
    return folder


def judge_card(folder: Path, url: str, **options: Any) -> JudgeCard:
    return load_card(JudgeCard, "asking", [judge_folder(folder, url, **options)])
