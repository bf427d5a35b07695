"""``micebench report RUN`` prints the tables, or summary.json and nothing else, and writes the page."""

import json

import pytest
import typer
from typer.testing import CliRunner

from micebench.cli.report import report
from micebench.errors import RunError


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(report)
    return app


def test_it_prints_the_tables_and_writes_the_page(app, run):
    page = run.path / "report" / "index.html"
    page.unlink(missing_ok=True)
    result = CliRunner().invoke(app, [str(run.path)])
    assert result.exit_code == 0, result.output
    assert "clumsy on mice-mini" in result.output
    assert str(page) in result.output
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_json_is_the_summary_and_nothing_else(app, run):
    page = run.path / "report" / "index.html"
    page.unlink(missing_ok=True)
    result = CliRunner().invoke(app, [str(run.path), "--json", "--no-html"])
    assert json.loads(result.output) == run.summary()
    assert not page.exists()


def test_a_folder_that_is_no_run_is_one_clear_error(app, tmp_path):
    result = CliRunner().invoke(app, [str(tmp_path)])
    assert isinstance(result.exception, RunError)
    assert "is not a run" in str(result.exception)


def test_help_ends_with_two_examples(app):
    output = CliRunner().invoke(app, ["--help"]).output
    assert output.count("micebench report runs/") == 2
