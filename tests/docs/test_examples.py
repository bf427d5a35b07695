"""What README and docs show can be typed as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def micebench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "micebench", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"},
    )


def test_the_editor_of_the_docs(tmp_path):
    code = blocks("docs/editors.md", "python")[0]
    (tmp_path / "my_editor.py").write_text(code, encoding="utf-8")
    done = micebench(tmp_path, "run", "--model", "my_editor:Mirror", "--limit", "6")
    assert done.returncode == 0, done.stderr
    assert "Turn-k success" in done.stdout

    card = next(block for block in blocks("docs/editors.md", "yaml") if "id: mirror" in block)
    folder = tmp_path / "my-cards" / "baselines" / "mirror"
    folder.mkdir(parents=True)
    (folder / "editor.yaml").write_text(card, encoding="utf-8")
    text = code.replace("def edit", "def __init__(self, card):\n        self.card = card\n\n    def edit")
    (tmp_path / "my_editor.py").write_text(text, encoding="utf-8")
    done = micebench(tmp_path, "run", "--model", "mirror", "--cards", "my-cards", "--limit", "6", "--no-report")
    assert done.returncode == 0, done.stderr


def test_the_judge_of_the_docs(tmp_path):
    (tmp_path / "my_judge.py").write_text(blocks("docs/judges.md", "python")[0], encoding="utf-8")
    folder = tmp_path / "my-cards" / "judges" / "brightness"
    folder.mkdir(parents=True)
    (folder / "judge.yaml").write_text(blocks("docs/judges.md", "yaml")[0], encoding="utf-8")
    common = ("--judge", "brightness", "--cards", "my-cards")
    done = micebench(tmp_path, "run", "--model", "oracle", "--limit", "6", "--no-report", "--out", "r", *common)
    assert done.returncode == 0, done.stderr
    done = micebench(tmp_path, "judge", "r", *common)
    assert done.returncode == 0, done.stderr


def test_the_sessions_of_the_docs(tmp_path):
    (tmp_path / "release" / "images").mkdir(parents=True)
    (tmp_path / "release" / "sessions.jsonl").write_text(blocks("docs/tasks.md", "json")[0], encoding="utf-8")
    Image.new("RGB", (64, 48), "red").save(tmp_path / "release" / "images" / "kitchen.png")
    folder = tmp_path / "my-cards" / "tasks" / "kitchen"
    folder.mkdir(parents=True)
    (folder / "task.yaml").write_text(blocks("docs/tasks.md", "yaml")[0], encoding="utf-8")
    done = micebench(tmp_path, "check", "--task", "kitchen", "--data", "release", "--cards", "my-cards")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_world_of_the_docs(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", blocks("docs/mini.md", "python")[0]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 6


def test_the_python_of_the_readme(tmp_path):
    code = blocks("README.md", "python")[0].replace("limit=90", "limit=6")
    base = "micebench.evaluate('mice-mini', 'oracle', out='runs/base', limit=6)\n"
    done = subprocess.run(
        [sys.executable, "-c", f"import micebench\n{base}{code}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr


VERBS = (
    "run",
    "judge",
    "report",
    "compare",
    "check",
    "plan",
    "list",
    "publish",
    "submit",
    "verify",
    "calibrate",
    "train",
)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_with_examples(verb, tmp_path):
    done = micebench(tmp_path, verb, "--help")
    assert done.returncode == 0, done.stderr
    assert len(re.findall(rf"^ +micebench {verb}\b", done.stdout, re.MULTILINE)) >= 2


def test_links_lead_somewhere():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
