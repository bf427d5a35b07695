"""JUnit XML and the job summary: complete, parsable, and inert whatever a run says."""

from xml.etree import ElementTree

import pytest

from micebench.comparison.flips import losses
from micebench.comparison.gate import GateOptions
from micebench.comparison.job_summary import append_summary, job_summary, words
from micebench.comparison.junit import junit, write_junit
from micebench.comparison.multi_run import compare_all, gate
from tests.report.runs import BREAKOUT, CONTROL, HOSTILE


@pytest.fixture(scope="module")
def lost(pair):
    return {str(pair.new.path): losses(pair.new, pair.comparison["flipped"]["lost"])}


def test_lost_sessions_say_where_and_why(pair, lost):
    (found,) = lost.values()
    assert [loss.session for loss in found][:2] == [BREAKOUT, "cu-008"]  # both from turn 1 on
    named = {loss.session: loss for loss in found}
    assert (named[BREAKOUT].turn, named[BREAKOUT].reason) == (1, BREAKOUT)
    assert (named["plain-001"].turn, named["plain-001"].reason) == (2, "the circle is still blue")
    assert named["cm-005"].turn == 3
    assert named["plain-002"].instruction == BREAKOUT


def test_junit_parses_and_keeps_hostile_text_as_text(pair, lost):
    document = junit(pair.gate, lost)
    root = ElementTree.fromstring(document)
    (suite,) = root
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", "1", "0")
    (case,) = suite
    (failure,) = case
    assert (case.get("name"), failure.tag, failure.get("type")) == ("turn_success@3", "failure", "regressed")
    assert case.get("classname") == "micebench.<b id=planted>new"
    assert failure.get("message") == pair.gate.decision.reasons[0]
    assert failure.text is not None
    assert BREAKOUT in failure.text
    assert "\\x1b[31mred" in failure.text
    assert all(line.isprintable() for line in failure.text.splitlines())


def test_what_cannot_be_decided_is_an_error_and_a_pass_is_none(pair, tmp_path):
    strict = gate(pair.base, [pair.new, pair.base, tmp_path / "gone"], [GateOptions(metric="overall@3")])
    write_junit(tmp_path / "made" / "gate.xml", strict, {})
    (suite,) = ElementTree.parse(tmp_path / "made" / "gate.xml").getroot()
    assert [[child.tag for child in case] for case in suite] == [["error"], ["system-out"], ["error"]]
    assert [case[0].get("type") for case in suite] == ["incomplete", None, "incomplete"]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "0", "2")


def test_the_summary_decides_first_and_has_every_row(pair, lost):
    text = job_summary([pair.comparison], pair.gate, lost)
    assert text.startswith("## ❌ micebench gate: regressed\n")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [
        c for turns in pair.comparison["metrics"].values() for c in turns.values() if c["difference"] is not None
    ]
    assert len(rows) == 1 + len(cells)
    assert len({row.count("|") for row in rows}) == 1
    assert f"The {len(pair.comparison['flipped']['lost'])} lost sessions, worst first" in text


def test_nothing_of_a_run_is_markup_in_the_summary(pair, lost):
    text = job_summary([pair.comparison], pair.gate, lost)
    ours = text.replace("<details><summary>", "").replace("</summary>", "").replace("</details>", "")
    assert "<" not in ours
    assert "alert(" not in text
    for hostile in (*HOSTILE, "a | b", "[x](https://y.zz)", "@someone", "www.y.zz", "`code`", "# head"):
        escaped = words(hostile, 4000)
        assert not set(escaped) & set('<>[]()|`*_@"\\~$!'), hostile
        assert "www.y" not in escaped
        assert "\n" not in escaped
    assert "\\x1b" not in words(CONTROL, 100)  # the backslash is spelled, too
    assert "&#92;x1b" in words(CONTROL, 100)


def test_summaries_are_appended(pair, tmp_path):
    path = tmp_path / "steps" / "summary.md"
    for _ in range(2):
        append_summary(path, [pair.comparison], None, {})
    assert path.read_text(encoding="utf-8").count("### ") == 2


def test_several_runs_have_their_holm_column(pair, third):
    found = [one.to_json() for one in compare_all(pair.base, [pair.new, third])]
    text = job_summary(found, None, {})
    assert text.count("| Holm |") == 2
