"""`micebench --help`, `import micebench` and the help of every verb import nothing that takes time."""

import subprocess
import sys
from pathlib import Path

import pytest

# pydantic is left out: typer itself imports it where it is installed
HEAVY = (
    "torch",
    "datasets",
    "pandas",
    "scipy",
    "numpy",
    "pyarrow",
    "PIL",
    "matplotlib",
    "jinja2",
    "yaml",
)
HELP = """
import sys
sys.argv = ["micebench", *sys.argv[1:], "--help"]
from micebench.cli import main
try:
    main()
finally:
    print("\\nloaded:", *sys.modules)
"""


def loaded(code: str, *words: str) -> set[str]:
    repository = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, cwd=repository
    )
    return set(ended.stdout.rpartition("loaded:")[2].split())


@pytest.mark.parametrize("verb", [[], ["run"], ["plan"], ["judge"]], ids=["micebench", "run", "plan", "judge"])
def test_help_is_light(verb: list[str]) -> None:
    modules = loaded(HELP, *verb)
    assert "typer" in modules
    assert sorted(modules & set(HEAVY)) == []


def test_a_recipe_that_is_not_there_is_told_at_once() -> None:
    code = HELP.replace(', "--help"', "").replace("finally:", "except SystemExit:")
    modules = loaded(code, "train", "nobody")
    assert "micebench.cards.recipes" in modules
    assert sorted(modules & {"torch", "diffusers", "transformers", "datasets"}) == []


def test_the_package_is_light() -> None:
    modules = loaded("import micebench, sys; print('loaded:', *sys.modules)")
    assert "micebench" in modules
    assert not modules & {*HEAVY, "typer", "rich"}
