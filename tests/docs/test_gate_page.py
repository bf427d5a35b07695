"""The workflow and the commands of docs/gate.md are ones that exist."""

import re
import shlex
from typing import Any

import yaml
from typer.main import get_command

from micebench.cli import build_app
from tests.docs.test_examples import ROOT, blocks

PAGE = "docs/gate.md"
OF_RUN = {"--limit", "--seed"}
"""Options that the page mentions and that `micebench run` has."""


def steps() -> list[dict[str, Any]]:
    (workflow,) = (yaml.safe_load(block) for block in blocks(PAGE, "yaml"))
    assert workflow[True] == "pull_request"  # YAML 1.1 takes the key "on" for a truth value; GitHub does not
    return workflow["jobs"]["gate"]["steps"]


def test_the_workflow_gates_and_uploads_what_the_gate_writes():
    (gate,) = (step["run"] for step in steps() if "--gate" in step.get("run", ""))
    uploaded = steps()[-1]["with"]["path"].split()
    assert len(uploaded) == 2
    assert all(f" {name}" in gate for name in uploaded)


def test_every_command_and_option_is_one_of_compare():
    shown = [line.partition("#")[0] for line in blocks(PAGE, "")[0].splitlines()]
    lines = [*shown, *(step["run"] for step in steps() if "run" in step)]
    commands = [shlex.split(line)[2:] for line in lines if line.startswith("micebench compare")]
    assert len(commands) == 4
    compare = get_command(build_app()).commands["compare"]  # type: ignore[attr-defined]
    for words in commands:
        assert compare.make_context("compare", words).params["new"]
    mentioned = set(re.findall(r"`(--[a-z]+)", (ROOT / PAGE).read_text(encoding="utf-8"))) - OF_RUN
    assert mentioned <= {name for parameter in compare.params for name in parameter.opts}
