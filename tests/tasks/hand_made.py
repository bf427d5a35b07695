"""Small hand-made releases in the real formats."""

import io
import json
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from micebench.cards import DataSource, TaskCard
from micebench.sessions import Session
from micebench.tasks.load import open_sessions
from micebench.tasks.rows import BadRow

RULE = (
    "Set a persistent rule for all following edits: red color must be applied exclusively to the specific object "
    "being directly added or modified — do not colorize the background. With this rule active, "
)


def make_card(loader: str, *files: str, **fields: Any) -> TaskCard:
    settings: dict[str, Any] = {
        "id": "toy",
        "description": "",
        "domain": "photo",
        "loader": loader,
        "data": DataSource(files=list(files)),
        "judge": None,
        "turns": 10,
    }
    return TaskCard(**{**settings, **fields})


def png(value: int = 0, size: tuple[int, int] = (8, 6)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (value, 10, 20)).save(buffer, "PNG")
    return buffer.getvalue()


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content, encoding="utf-8")
    return path


def write_lines(path: Path, rows: list[Any]) -> Path:
    return write(path, "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))


def write_card(folder: Path, card: TaskCard) -> str:
    path = write(folder / "task.yaml", yaml.safe_dump(card.model_dump(mode="json")))
    return str(path)


def read(card: TaskCard, folder: Path) -> list[Session]:
    return list(open_sessions(card, folder))


def read_leniently(card: TaskCard, folder: Path) -> tuple[list[Session], list[BadRow]]:
    bad: list[BadRow] = []
    return list(open_sessions(card, folder, on_bad_row=bad.append)), bad


def mice_row(**changes: Any) -> dict[str, Any]:
    """A sound three-turn session: recolour the cup, remove the hat, change the background."""
    pools = [["hat", "dog"], ["dog"], ["dog"]]
    everything = [["cup", "hat", "dog", "blue cup"]] * 3
    row: dict[str, Any] = {
        "image": "source_image/ab12.jpg",
        "instruction": ["Change the color of cup to blue", "Remove hat", "Change the background to beach"],
        "task_type": ["color_alter", "subject_remove", "background_change"],
        "formatted_instruction": [
            "Change the color of [cup] to [blue]",
            "Remove [hat]",
            "Change the background to [beach]",
        ],
        "bg_consistency": [True, True, False],
        "unchanged_objects": pools,
        "available_objects": [["hat", "dog", "blue cup"], ["dog", "blue cup"], ["dog", "blue cup"]],
        "all_objects": everything,
        "turns": 3,
    }
    return {**row, **changes}
