"""Leaving out verdicts, or calling them not applicable, is refused or bounded: it never improves a rank."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from micebench.cli import build_app
from micebench.submission import Verification, submit, verify_bundle
from micebench.submission.coverage import SESSION_COVERAGE
from tests.submission.conftest import ABOUT, Made
from tests.submission.forge import Forgery, Line
from tests.submission.test_rejudge_sample import Slow, slow
from tests.submission.test_verify_forgeries import failure, with_summary

__all__ = ["slow"]  # a fixture

ABSENT = {"missing": None, "unparsed": "unparsed", "refused": "refused", "error": "error"}


def failures(lines: list[Line], metric: str = "IF") -> list[int]:
    return [n for n, line in enumerate(lines) if line["metric"] == metric and line["value"] == 0]


def thinned(forged: Forgery, numbers: list[int], status: str | None) -> Forgery:
    """Verdicts left out (status None), or called something without a value."""
    lines = forged.lines("verdicts.jsonl")
    for number in numbers:
        lines[number] |= {"status": status or "gone", "value": None}
    return forged.write("verdicts.jsonl", [line for line in lines if line["status"] != "gone"])


def sampled(made: Made, folder: Path) -> Forgery:
    """With the images of 14 of 26 sessions."""
    path = folder / "sampled.zip"
    return Forgery(submit(made.run.path, **ABOUT, out=path, images="sample", sessions=14, cards=made.cards).path)


@pytest.mark.parametrize("status", ABSENT.values(), ids=ABSENT)
def test_a_missing_verdict_of_an_exact_judge_refuses_the_bundle(made: Made, tmp_path: Path, status: str | None):
    forged = Forgery(made.bundle)
    (number,) = failures(forged.lines("verdicts.jsonl"))[:1]
    line = forged.lines("verdicts.jsonl")[number]
    forged = with_summary(made, thinned(forged, [number], status), tmp_path / "b.zip")
    check, said = failure(made, forged.pack(tmp_path / "b.zip"))
    where = f"IF of session {line['session']!r} turn {line['turn']}"
    if status is None:
        assert (check, said) == (
            "coverage",
            f"1 verdict missing, {where} the first; this judge answers every question: run `micebench judge RUN` "
            "to fill them in",
        )
    else:
        assert check == "verdicts"
        assert f"1 differ; {where} is {status}, judged here 0" in said


def test_a_verdict_missing_in_a_session_without_images_refuses_the_bundle(made: Made, tmp_path: Path):
    forged = sampled(made, tmp_path)
    kept = set(forged.said["images"]["sessions"])
    lines = forged.lines("verdicts.jsonl")
    numbers = [number for number in failures(lines) if lines[number]["session"] not in kept][:1]
    forged = with_summary(made, thinned(forged, numbers, None), tmp_path / "b.zip")
    assert failure(made, forged.pack(tmp_path / "b.zip"))[0] == "coverage"


def fitting(made: Made, folder: Path, change: Callable[[Forgery, str], None]) -> Forgery:
    """A bundle changed in one session that is not in the sample which the change draws."""
    for name in (line["id"] for line in Forgery(made.bundle).lines("sessions.jsonl")):
        forged = Forgery(made.bundle)
        forged.say(lambda said: said["images"].update(kept="sample", sessions=said["images"]["sessions"][:14]))
        before = forged.members["verdicts.jsonl"]
        change(forged, name)
        if forged.lines("verdicts.jsonl") == [json.loads(line) for line in before.splitlines()]:
            continue
        forged = with_summary(made, forged, folder / "b.zip").trim().fit()
        if name not in forged.said["images"]["sessions"]:
            return forged
    raise AssertionError("every change drew its own session")


@pytest.mark.parametrize(
    ("metric", "status", "value", "said"),
    [
        ("IF", "not_applicable", None, "is not_applicable, by its annotation ok"),
        ("IF", "invalid_annotation", None, "is invalid_annotation, by its annotation ok"),
        ("CC.background", "ok", 1.0, "is ok, by its annotation not_applicable"),
    ],
)
def test_applicability_is_checked_in_sessions_without_images(
    made: Made, tmp_path: Path, metric: str, status: str, value: float | None, said: str
):
    def change(forged: Forgery, name: str) -> None:
        lines = forged.lines("verdicts.jsonl")
        of = [line for line in lines if line["session"] == name and line["metric"] == metric]
        if value is not None:
            of = [line for line in of if line["status"] == "not_applicable"]
        for line in of:
            line |= {"status": status, "value": value}
        forged.write("verdicts.jsonl", lines)

    forged = fitting(made, tmp_path, change)
    check, why = failure(made, forged.pack(tmp_path / "b.zip"))
    assert check == "verdicts"
    assert said in why


def verified(judged: Slow, forged: Forgery, path: Path) -> Verification:
    forged = with_summary(judged, forged, path)
    return verify_bundle(forged.pack(path), cards=judged.cards, sample=26)


def test_missing_verdicts_of_another_judge_are_counted_by_session(slow: Slow, tmp_path: Path):
    lines = Forgery(slow.bundle).lines("verdicts.jsonl")
    first: dict[str, int] = {}
    for number in failures(lines):
        first.setdefault(lines[number]["session"], number)
    two = list(first.values())[:2]
    assert len(two) == 2
    assert 2 / 468 < 0.01  # few of the verdicts, many of the sessions
    found = verified(slow, thinned(Forgery(slow.bundle), two, None), tmp_path / "b.zip")
    assert {c.check: (c.outcome, c.detail) for c in found.checks}["coverage"] == (
        "failed",
        f"2 of 26 sessions lack a verdict; at least {SESSION_COVERAGE:.0%} must have all of theirs: run `micebench "
        "judge RUN --retry-failed` to ask for them again",
    )


@pytest.mark.parametrize("status", ABSENT.values(), ids=ABSENT)
def test_thinning_another_judges_verdicts_gains_nothing(slow: Slow, tmp_path: Path, status: str | None):
    honest = verified(slow, Forgery(slow.bundle), tmp_path / "honest.zip")
    lines = Forgery(slow.bundle).lines("verdicts.jsonl")
    name = lines[failures(lines)[0]]["session"]
    numbers = [number for number in failures(lines) if lines[number]["session"] == name]
    found = verified(slow, thinned(Forgery(slow.bundle), numbers, status), tmp_path / "b.zip")
    assert found.passed, found.checks
    assert found.standing is not None
    assert honest.standing is not None
    assert (honest.standing.words, honest.standing.missing_verdicts) == ("", 0)
    assert honest.standing.value == honest.standing.bound
    assert (found.standing.missing_verdicts, found.standing.missing_sessions) == (len(numbers), 1)
    assert found.standing.bound is not None
    assert honest.standing.bound is not None
    assert found.standing.bound <= honest.standing.bound + 1e-9
    assert found.standing.bound < (found.standing.value or 0.0)


def test_verify_shows_the_bound_and_what_is_missing(slow: Slow, tmp_path: Path):
    lines = Forgery(slow.bundle).lines("verdicts.jsonl")
    forged = thinned(Forgery(slow.bundle), failures(lines)[:1], None)
    path = with_summary(slow, forged, tmp_path / "b.zip").pack(tmp_path / "b.zip")
    done = CliRunner().invoke(build_app(), ["verify", str(path), "--cards", str(slow.cards[0])])
    assert done.exit_code == 0, done.output
    assert "1 verdict of 1 session missing: Overall, turn 3 is ranked as " in done.stdout
    assert "its bound with each of them at its worst" in done.stdout


def test_changed_applicability_of_another_judge_is_counted_by_session(slow: Slow, tmp_path: Path):
    """Few of the verdicts, but in too many sessions: `not_applicable` has no bound."""
    lines = Forgery(slow.bundle).lines("verdicts.jsonl")
    first: dict[str, int] = {}
    for number in failures(lines):
        first.setdefault(lines[number]["session"], number)
    numbers = list(first.values())
    assert 0.10 * 26 < len(numbers) < 0.10 * 468
    found = verified(slow, thinned(Forgery(slow.bundle), numbers, "not_applicable"), tmp_path / "b.zip")
    detail = {check.check: check.detail for check in found.checks}["verdicts"]
    assert not found.passed
    assert f"{len(numbers)} sessions with a verdict that is not applicable where it has a value here" in detail


def test_edits_called_failed_are_ranked_as_failures(made: Made, tmp_path: Path):
    """A last edit that failed leaves the session's turn unscored; the number ranked by counts it as failed."""
    forged = with_summary(made, failed_last(made), tmp_path / "b.zip").trim().fit()
    from micebench.leaderboard.bundle_reader import _SubmittedRun
    from micebench.metrics.ranks import pseudo_values
    from micebench.report.summary_columns import Column
    from micebench.submission import read_bundle
    from micebench.submission.standing import standing

    bundle = read_bundle(forged.pack(tmp_path / "b.zip"))
    table = _SubmittedRun(bundle).table()
    stands = standing(bundle.summary, table)
    assert (stands.missing_verdicts, stands.missing_sessions) == (6, 1)
    honest = made.run.summary()["metrics"]["overall"]["3"]["value"]
    assert stands.bound is not None
    assert stands.bound <= honest < (stands.value or 0.0)
    least = pseudo_values(table, "overall", 3, consistency="edival", side=Column("overall", 3).worst_side)
    assert least is not None
    assert 100 * least.value == pytest.approx(stands.bound)


def failed_last(made: Made) -> Forgery:
    """A session that failed only at its last turn, with that edit called failed."""
    forged = Forgery(made.bundle)
    follow: dict[str, list[float]] = {}
    for line in forged.lines("verdicts.jsonl"):
        if line["metric"] == "IF":
            follow.setdefault(line["session"], []).append(line["value"])
    name = next(name for name, values in follow.items() if values == [1.0, 1.0, 0.0])
    edits = forged.lines("edits.jsonl")
    for edit in edits:
        if (edit["session"], edit["turn"]) == (name, 3):
            edit |= {"status": "failed", "image": None, "reason": "out of memory"}
    kept = [v for v in forged.lines("verdicts.jsonl") if (v["session"], v["turn"]) != (name, 3)]
    return forged.write("edits.jsonl", edits).write("verdicts.jsonl", kept)
