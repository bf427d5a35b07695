"""A finished run of a small task, and its bundle; made once."""

from pathlib import Path

import pytest
import yaml

from micebench.engine.evaluate import evaluate
from micebench.engine.run_reader import Run
from micebench.submission import Verification, submit, verify_bundle

COUNTS = {"plain": 10, "cm": 8, "cu": 8}
FAILURE = {"subject_add": 0.4, "text_change": 0.4, "color_alter": 0.3}
ABOUT = {"name": "Fumbling 2", "contact": "someone@example.org", "url": "https://example.org/fumbling?v=2"}


def write_card(folder: Path, room: str, name: str, **fields: object) -> Path:
    kind = {"tasks": "task", "baselines": "editor", "judges": "judge"}[room]
    path = folder / room / name / f"{kind}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"id": name, "description": f"{name} of a test", "domain": "mini"} | fields))
    return path


def write_cards(folder: Path) -> Path:
    """Task `tiny` (26 sessions of 3 turns) and the models `fumbling` and `failing`, two clumsy ones."""
    options = {"split": "test", "turns": 3, "counts": COUNTS, "seed": 0}
    write_card(folder, "tasks", "tiny", loader="mini", options=options, turns=3,
               judge="exact")  # fmt: skip
    for name, failure in (("fumbling", FAILURE), ("failing", dict.fromkeys(FAILURE, 0.9))):
        write_card(folder, "baselines", name, editor="clumsy", context="history",
                   batch=64, options={"failure": failure})  # fmt: skip
    return folder


class Made:
    """Cards, run and bundle."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cards = [write_cards(folder / "cards")]
        self.run: Run = evaluate("tiny", "fumbling", out=folder / "run", cards=self.cards)
        self.bundle = submit(self.run.path, **ABOUT, out=folder / "bundle.zip", cards=self.cards).path

    def verify(self, bundle: Path, **options: object) -> Verification:
        return verify_bundle(bundle, cards=self.cards, **options)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("submission"))
