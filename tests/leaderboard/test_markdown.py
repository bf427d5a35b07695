"""Tables of the README are those that `micebench leaderboard table` makes of `results/`."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from micebench.cli import build_app
from micebench.errors import DataError
from micebench.leaderboard.markdown import markdown, write_into, written
from micebench.leaderboard.results import read_results
from micebench.leaderboard.site import ranked
from tests.leaderboard.conftest import TASK

ROOT = Path(__file__).resolve().parents[2]
AROUND = f"before\n\n<!-- leaderboard:{TASK} -->\nold\n<!-- /leaderboard:{TASK} -->\n\nafter\n"


@pytest.mark.slow
def test_the_readme_shows_the_results_of_this_repository():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tasks = re.findall(r"<!-- leaderboard:([a-z0-9][a-z0-9._-]*) -->", readme)
    if not tasks:
        pytest.skip("README.md has no <!-- leaderboard:TASK --> markers yet")
    for task in tasks:
        table = markdown(task, ranked(read_results(ROOT / "results", task)))
        if not table:
            pytest.skip(f"results/{task} has no accepted result yet")
        assert written(readme, task, table) == readme, (
            f"README.md and results/ disagree: micebench leaderboard table --task {task} --write README.md"
        )


def test_accepted_results_of_this_repository_are_ranked():
    found = ranked(read_results(ROOT / "results", "mice-mini-long"))
    if not found:
        pytest.skip("results/mice-mini-long has no accepted result yet")
    (board,) = found
    places = {line.entry.result.slug: line.rank for line in board.lines}
    assert places["oracle"] == "1"
    assert places["identity"].endswith(str(len(board.lines)))
    assert all(line.entry.result.verification.mark == "verified" for line in board.lines)


def test_the_table_has_rank_values_intervals_and_mark(accepted):
    lines = markdown(TASK, ranked(read_results(accepted))).splitlines()
    assert lines[0] == (
        "| rank | model | overall, turn 3 | turn-3 success | content consistency, turn 3 | "
        "cumulative awareness, turn 3 | marginal success, turn 1 | mark |"
    )
    cells = {row.split(" | ")[1]: row.strip("| ").split(" | ") for row in lines[2:]}
    assert list(cells) == ["Oracle", "Drifting", "Clumsy", "Identity"]
    assert cells["Identity"][0] == "4"
    assert cells["Identity"][3] == "0.0 (0.0–16.8)"
    assert cells["Drifting"][-1] == "self-reported (judge not available to the verifier)"
    assert cells["Clumsy"][-1] == "verified here"


def test_the_verb_prints_it_and_writes_it_between_markers(accepted, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(AROUND)
    runner = CliRunner()
    printed = runner.invoke(build_app(), ["leaderboard", "table", str(accepted), "--task", TASK])
    assert printed.exit_code == 0
    again = ["leaderboard", "table", str(accepted), "--task", TASK, "--write", str(readme)]
    assert "updated" in runner.invoke(build_app(), again).output
    assert readme.read_text() == AROUND.replace("old", printed.output.rstrip("\n"))
    assert "up to date" in runner.invoke(build_app(), again).output


def test_a_stale_table_is_noticed(accepted, tmp_path):
    readme = tmp_path / "README.md"
    table = markdown(TASK, ranked(read_results(accepted)))
    readme.write_text(written(AROUND, TASK, table).replace("0.0 (0.0–16.8)", "0.1 (0.0–16.8)"))
    assert write_into(readme, TASK, table) is True
    assert write_into(readme, TASK, table) is False


@pytest.mark.parametrize(
    "text",
    ["nothing", AROUND + AROUND, AROUND.replace("/leaderboard", "/other"), "\n".join(reversed(AROUND.splitlines()))],
)
def test_missing_or_repeated_markers_are_named(tmp_path, text):
    (tmp_path / "README.md").write_text(text)
    with pytest.raises(DataError, match=f"<!-- leaderboard:{TASK} -->"):
        write_into(tmp_path / "README.md", TASK, "new")
    assert (tmp_path / "README.md").read_text() == text


def test_a_task_without_results_is_an_error_in_one_line(accepted):
    found = CliRunner().invoke(build_app(), ["leaderboard", "table", str(accepted), "--task", "mse"])
    assert isinstance(found.exception, DataError)
    assert "no accepted result on task 'mse'" in str(found.exception)


def test_build_says_what_it_left_out(accepted, results, tmp_path):
    (results / TASK / "clumsy" / "verification.json").unlink()
    found = CliRunner().invoke(build_app(), ["leaderboard", "build", str(results), "--out", str(tmp_path / "site")])
    assert found.exit_code == 0
    assert "3 submitted, 2 reported" in found.output
    assert "clumsy has no verification.json" in found.output


@pytest.mark.parametrize("verb", ["build", "table", "push"])
def test_help_ends_with_two_examples(verb):
    text = CliRunner().invoke(build_app(), ["leaderboard", verb, "--help"]).output
    assert text.partition("Examples:")[2].count("micebench leaderboard") + text.count("http.server") >= 2
