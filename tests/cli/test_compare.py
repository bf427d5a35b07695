"""`micebench compare` pairs runs by session, and refuses what cannot be compared, in one line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import micebench
from micebench.cli import build_app
from micebench.engine.evaluate import evaluate
from micebench.errors import RunError
from micebench.metrics.holm import holm
from tests.toy import Painter, toy_cards


def made(folder: Path, name: str, *, salt: int = 0, limit: int | None = None, **options) -> Path:
    """A run of the toy task; `options` are those of `toy_cards`."""
    cards = [toy_cards(folder / "cards", **options)]
    painter = Painter()
    painter.options = {"salt": salt}
    evaluate("toy", painter, out=folder / name, cards=cards, limit=limit)
    return folder / name


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    return made(tmp_path, "a"), made(tmp_path, "b", salt=1, limit=4)


def verb(*arguments: object):
    return CliRunner().invoke(build_app(), ["compare", *map(str, arguments)], env={"COLUMNS": "80"})


def test_json_is_what_the_help_says(runs):
    result = verb(*runs, "--json", "--seed", 3)
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert list(found)[:4] == ["task", "judge", "a", "b"]
    assert (found["task"], found["judge"], found["seed"]) == ("toy", "meter", 3)
    assert (found["n_a"], found["n_b"], found["n_paired"]) == (6, 4, 4)
    assert (found["only_a"], found["only_b"], found["changed"]) == (["s004", "s005"], [], [])
    cell = found["metrics"]["marginal_success"]["1"]
    assert set(cell) == {"a", "b", "difference", "low", "high", "p", "mde", "n", "of", "missing", "p_holm"}
    assert (cell["n"], cell["of"]) == (4, 4)
    assert set(found["flipped"]) == {"gained", "lost", "n", "of"}
    again = micebench.compare(*runs, seed=3).to_json()
    assert json.loads(json.dumps(again)) == found


def test_the_table_shows_every_turn_and_what_was_left_out(runs):
    result = verb(*runs)
    assert result.exit_code == 0
    assert "4 sessions paired of 6 in BASE and 4 in NEW" in result.stdout
    assert "2 only in the base run: s004, s005" in result.stdout
    for label in ("Marginal success", "Turn-k success", "Overall", "gained", "lost", "MDE", "Color alter"):
        assert label in result.stdout
    assert "…" not in result.stdout  # nothing cut off at 80 columns


def test_several_runs_are_compared_with_one_base(runs, tmp_path):
    third = made(tmp_path, "c", salt=2)
    result = verb(*runs, third, "--json")
    assert result.exit_code == 0
    first, second = json.loads(result.stdout)["comparisons"]
    assert [one["b"]["path"] for one in (first, second)] == [str(runs[1]), str(third)]
    for turn, cell in first["metrics"]["turn_success"].items():
        other = second["metrics"]["turn_success"][turn]
        assert [cell["p_holm"], other["p_holm"]] == holm([cell["p"], other["p"]])
    shown = verb(*runs, third).stdout
    assert "Holm" in shown
    assert "…" not in shown


def test_a_page_is_written_where_asked(runs, tmp_path):
    page = tmp_path / "pages" / "comparison.html"
    assert verb(*runs, "--html", page).exit_code == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_run_equals_itself(runs):
    numbers = micebench.compare(runs[0], runs[0]).numbers
    for turns in numbers["metrics"].values():
        for cell in turns.values():
            if cell["difference"] is not None:
                assert (cell["difference"], cell["p"]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"judge": {"sleep_s": 0}}, "their judge card differs"),
        ({"task": {"count": 7}}, "their task card differs"),
    ],
)
def test_other_tasks_and_judges_are_refused(tmp_path, options, said):
    with pytest.raises(RunError, match=said) as refused:
        micebench.compare(made(tmp_path, "a"), made(tmp_path / "other", "b", **options))
    assert "\n" not in str(refused.value)
    assert str(tmp_path / "a") in str(refused.value)


def test_sessions_with_the_same_id_and_other_content_are_named(runs):
    sessions = runs[1] / "sessions.jsonl"
    lines = sessions.read_text(encoding="utf-8").splitlines()
    changed = json.loads(lines[2])
    changed["turns"][0]["instruction"] = "paint something else"
    lines[2] = json.dumps(changed, ensure_ascii=False)
    sessions.write_text("\n".join(lines) + "\n", encoding="utf-8")
    numbers = micebench.compare(*runs).numbers
    assert (numbers["changed"], numbers["n_paired"]) == (["s002"], 3)


def test_no_shared_session_is_an_error(runs):
    sessions = runs[1] / "sessions.jsonl"
    text = sessions.read_text(encoding="utf-8")
    assert "paint" in text
    sessions.write_text(text.replace("paint", "draw"), encoding="utf-8")
    with pytest.raises(RunError, match=r"share no session: 4 have the same id but other content"):
        micebench.compare(*runs)


def test_help_ends_with_examples():
    shown = verb("--help").stdout
    assert shown.count("micebench compare runs/") == 3
