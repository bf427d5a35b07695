"""Sessions on photographs in a folder, a judge of theirs, and recipes for tiny likenesses of full-size editors."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from micebench.cards import EditorCard, JudgeCard
from micebench.verdicts import Question, Status, Verdict
from tests.editors.conftest import photograph


class Patterned:
    """How much a session's first edit looks like a fixed random pattern: smooth in the pixels, and far apart for
    different images, so that rounding hardly moves it. Options: `down`, session ids without an answer."""

    def __init__(self, card: JudgeCard) -> None:
        self._down = card.options.get("down", [])

    def judge(self, questions: Sequence[Question]) -> list[Verdict]:
        return [self._answer(question) for question in questions]

    def _answer(self, question: Question) -> Verdict:
        if question.session.id in self._down:
            return Verdict.missing(Status.ERROR, "503 Service Unavailable")
        pixels = np.asarray(question.images[1].load(), np.float64) / 255
        pattern = np.random.default_rng(0).choice([-1.0, 1.0], pixels.shape)
        return Verdict.ok(float(np.clip(0.5 + (pixels * pattern).mean(), 0, 1)), "looks so")


def write_sessions(folder: Path, turns: Sequence[int] = (2, 1), side: int = 64) -> Path:
    """``folder/data`` with a session per number of turns; returns the task's card, which is beside it."""
    data = folder / "data"
    data.mkdir(parents=True)
    lines = []
    for number, count in enumerate(turns):
        photograph(side, side, seed=number).save(data / f"{number}.png")
        said = ["Remove the red cup", "Paint the wall green", "Add a lamp"][:count]
        lines.append({"id": f"s{number}", "image": f"{number}.png", "instructions": said, "track": "cu"})
    (data / "sessions.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    return _write(
        folder / "tasks" / "photographs" / "task.yaml",
        {
            "id": "photographs",
            "description": "x",
            "domain": "photo",
            "loader": "jsonl",
            "data": {"files": ["sessions.jsonl"]},
            "split": "train",
            "judge": None,
            "turns": 3,
        },
    )


def write_judge(folder: Path, name: str = "patterned", **options) -> Path:
    return _write(
        folder / "judges" / name / "judge.yaml",
        {
            "id": name,
            "description": "x",
            "domain": "photo",
            "judge": "tests.training.rl.photographs:Patterned",
            "metrics": ["IF", "CC.object"],
            "options": options,
        },
    )


def write_model(folder: Path, card: EditorCard, **changes) -> Path:
    said = card.model_dump(mode="json", exclude_defaults=True) | changes
    return _write(folder / "models" / card.id / "editor.yaml", {key: v for key, v in said.items() if v is not None})


def write_recipe(folder: Path, name: str, method: str, **changes) -> Path:
    """A LoRA of rank 4, two iterations of a few optimizer steps; tasks and judges as above, in the same folder."""
    sampling = {"kind": "cps", "window": 2} if method == "grpo" else {}
    fields = {
        "id": name,
        "model": str(folder / "models" / "tiny" / "editor.yaml"),
        "task": str(folder / "tasks" / "photographs" / "task.yaml"),
        "judge": str(folder / "judges" / "patterned" / "judge.yaml"),
        "iterations": 2,
        "rollout": {"sessions": 2, "group": 2, "sampling": sampling},
        "advantages": {"weights": {"IF": 1.0}},
        "learn": {"lr": 1e-2, "batch": 4, "micro": 2, "warmup": 1, "min_advantage": 0.0, "ema": 0.5},
        method: {"kl": 0.1},
        "lora": {"rank": 4, "alpha": 8},
        "checkpointing": True,
        "precision": "no",
        "checkpoint_every": 1,
    }
    return _write(folder / "recipes" / f"{name}.yaml", {**fields, **changes})


def _write(path: Path, fields: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(fields, sort_keys=False), encoding="utf-8")
    return path
