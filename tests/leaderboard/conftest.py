"""Results to build from: four scripted editors on a small task, made once."""

import shutil
from pathlib import Path

import pytest
import yaml

from micebench.engine.evaluate import evaluate
from micebench.engine.run_reader import Run
from micebench.leaderboard.results import read_results
from micebench.leaderboard.site import build_site
from tests.leaderboard.accepted import accept

TASK = "small"
MODELS = ("oracle", "clumsy", "drifting", "identity")
REPORTED = """rows:
  - name: Zeta & Sons <b>
    source: a paper
    url: https://example.org/paper
    metrics: {overall: {3: 41.5}, turn_success: {1: 70, 3: 30.25}}
  - name: Alpha
    source: notes on a paper
    metrics: {overall: {3: 12}}
    second_hand: true
    note: not read itself
"""


@pytest.fixture(scope="session")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cards")
    path = folder / "tasks" / TASK / "task.yaml"
    path.parent.mkdir(parents=True)
    options = {"split": "test", "turns": 3, "counts": {"plain": 8, "cm": 6, "cu": 6}, "seed": 3}
    fields = {"id": TASK, "description": "a small task", "domain": "mini", "turns": 3, "judge": "exact"}
    path.write_text(yaml.safe_dump(fields | {"loader": "mini", "options": options}))
    return folder


@pytest.fixture(scope="session")
def runs(cards: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    home = tmp_path_factory.mktemp("runs")
    return {model: evaluate(TASK, model, out=home / model, cards=[cards]) for model in MODELS}


@pytest.fixture(scope="session")
def accepted(runs: dict[str, Run], cards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``results/``; not to be changed (see `results`)."""
    home = tmp_path_factory.mktemp("accepted") / "results"
    for model, run in runs.items():
        accept(run, home, model.title(), mark="self-reported" if model == "drifting" else "verified", cards=[cards])
    (home / TASK / "reported.yaml").write_text(REPORTED)
    return home


@pytest.fixture
def results(accepted: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return shutil.copytree(accepted, tmp_path / "results")


@pytest.fixture(scope="session")
def site(accepted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of `accepted`; not to be changed."""
    out = tmp_path_factory.mktemp("site") / "site"
    build_site(read_results(accepted), out)
    return out
