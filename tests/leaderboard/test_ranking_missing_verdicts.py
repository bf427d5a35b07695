"""Where verdicts are missing, a model is ranked by its bound, and the board, the page and the table say so."""

import json
from pathlib import Path

import pytest

from micebench.errors import DataError
from micebench.leaderboard.bundle_reader import _SubmittedRun, read_evidence
from micebench.leaderboard.markdown import markdown
from micebench.leaderboard.results import read_results
from micebench.leaderboard.site import build_site, ranked
from micebench.metrics.summary import summarize
from micebench.report.formatting import number
from micebench.submission import read_bundle
from tests.leaderboard.accepted import change, copy, write
from tests.leaderboard.conftest import TASK
from tests.leaderboard.test_site import page, rows
from tests.submission.forge import Forgery


def rewritten(folder: Path, forged: Forgery) -> None:
    """Put a changed bundle in a result, with the summary of its verdicts, as if it had been accepted so."""
    bundle = read_bundle(forged.fit().pack(folder / "bundle.zip"))
    kept = json.loads((folder / "summary.json").read_text())
    own = summarize(_SubmittedRun(bundle).table(), resamples=kept["resamples"])
    write(folder / "summary.json", kept | {"metrics": own["metrics"], "coverage": own["coverage"]})
    change(folder / "verification.json", bundle_sha256=bundle.sha256)


@pytest.fixture
def thinned(results: Path) -> Path:
    """`clumsy` again, without the verdicts on the edits that did not follow."""
    folder = copy(results / TASK / "clumsy", "thinned", name="Thinned")
    forged = Forgery(folder / "bundle.zip")
    lines = forged.lines("verdicts.jsonl")
    forged.write("verdicts.jsonl", [v for v in lines if not (v["metric"] == "IF" and v["value"] == 0)])
    rewritten(folder, forged)
    return results


def test_leaving_out_failures_does_not_improve_a_rank(thinned: Path):
    (board,) = ranked(read_results(thinned))
    lines = {line.entry.result.slug: line for line in board.lines}
    honest, other = lines["clumsy"], lines["thinned"]
    assert other.cells[0].value > honest.cells[0].value + 1
    assert other.bound == pytest.approx(honest.bound)
    assert other.place == honest.place
    assert list(lines)[-1] == "identity"
    assert (honest.missing, honest.bound) == ("", honest.cells[0].value)
    stands = other.entry.standing
    assert other.missing == f"{stands.missing_verdicts} verdicts of {stands.missing_sessions} sessions missing"


def test_the_board_the_page_and_the_table_show_bound_and_count(thinned: Path, tmp_path: Path):
    (board,) = ranked(read_results(thinned))
    line = next(line for line in board.lines if line.entry.result.slug == "thinned")
    build_site(read_results(thinned), tmp_path / "site")
    (table,) = page(tmp_path / "site").find("table", id=f"board-{TASK}-exact")
    row = next(row for row in rows(table) if row.find("th")[0].text == "Thinned")
    cell = row.find("td", klass="num")[0]
    assert cell.find("span", klass="v")[0].text == f"≥ {number(line.bound)}"
    assert number(line.cells[0].value) in cell.find("span", klass="ci")[0].text
    assert cell.find("span", klass="n")[0].text == line.missing
    other = next(row for row in rows(table) if row.find("th")[0].text == "Clumsy")
    assert "≥" not in other.text
    words = page(tmp_path / "site", f"{TASK}/thinned.html").text
    assert f"{line.missing}: Overall, turn 3 is ranked as {number(line.bound)}" in words
    written = next(text for text in markdown(TASK, [board]).splitlines() if "Thinned" in text)
    assert f"| ≥ {number(line.bound)} ({number(line.cells[0].value)}" in written
    assert f"over what was scored; {line.missing}) |" in written


def test_a_bound_that_its_verdicts_do_not_give_is_refused(thinned: Path):
    path = thinned / TASK / "thinned" / "summary.json"
    summary = json.loads(path.read_text())
    summary["metrics"]["overall"]["3"]["at_least"] = summary["metrics"]["overall"]["3"]["value"]
    path.write_text(json.dumps(summary))
    with pytest.raises(DataError, match=r"is not what the verdicts in bundle\.zip give"):
        ranked(read_results(thinned))


def test_edits_that_failed_count_as_the_worst(results: Path):
    """One last edit that failed, and was called failed: the same rank."""
    folder = copy(results / TASK / "clumsy", "failing", name="Failing")
    forged = Forgery(folder / "bundle.zip")
    verdicts, edits = forged.lines("verdicts.jsonl"), forged.lines("edits.jsonl")
    bad = {(v["session"], v["turn"]) for v in verdicts if v["metric"] == "IF" and v["value"] == 0 and v["turn"] == 3}
    for edit in edits:
        if (edit["session"], edit["turn"]) in bad:
            edit |= {"status": "failed", "image": None, "reason": "out of memory"}
    forged.write("edits.jsonl", edits).trim()
    rewritten(folder, forged.write("verdicts.jsonl", [v for v in verdicts if (v["session"], v["turn"]) not in bad]))
    (board,) = ranked(read_results(results))
    lines = {line.entry.result.slug: line for line in board.lines}
    assert lines["failing"].bound is not None
    assert lines["failing"].bound <= lines["clumsy"].bound
    assert lines["failing"].cells[0].value > lines["clumsy"].cells[0].value
    order = [line.entry.result.slug for line in board.lines]
    assert order.index("failing") > order.index("clumsy")


def test_pages_show_no_words_of_the_submitter_as_the_judges(results: Path, tmp_path: Path):
    folder = copy(results / TASK / "clumsy", "wordy", name="Wordy")
    forged = Forgery(folder / "bundle.zip")
    forged.change("verdicts.jsonl", lambda line: line.update(reason="FORGED reason", raw=["FORGED raw"], votes=[0.5]))
    edits, verdicts = forged.lines("edits.jsonl"), forged.lines("verdicts.jsonl")
    name = edits[-1]["session"]
    edits[-1] |= {"status": "failed", "image": None, "reason": "FORGED fault"}
    forged.write("edits.jsonl", edits).trim()
    rewritten(folder, forged.write("verdicts.jsonl", [v for v in verdicts if (v["session"], v["turn"]) != (name, 3)]))
    result = next(one for one in read_results(results).accepted if one.slug == "wordy")
    shown = read_evidence(result, shown=20).cards
    assert "the editor failed" in {turn.absence for card in shown for turn in card.turns}
    assert all(not chip.reason for card in shown for turn in card.turns for chip in turn.chips)
    build_site(read_results(results), tmp_path / "site")
    for path in (tmp_path / "site").rglob("*.html"):
        text = path.read_text()
        assert "FORGED" not in text
        assert "no reason given" not in text
    assert "their reasons are left out" in (tmp_path / "site" / TASK / "wordy.html").read_text()
