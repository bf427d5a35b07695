"""Names, addresses and details of submitters are shown, never interpreted."""

import json

import pytest

from micebench.errors import CardError, MicebenchError
from micebench.leaderboard.literature_results import web_address
from micebench.leaderboard.markdown import markdown, written
from micebench.leaderboard.results import read_results
from micebench.leaderboard.site import build_site, ranked
from tests.leaderboard.accepted import change
from tests.leaderboard.conftest import TASK
from tests.report.page import parse

SCRIPT = "<script>alert(1)</script>"
BREAKOUT = "\"'><img src=x onerror=alert(1)>"
TURNED = "evil\u202ednuora\x1b[31m"
STYLE = "</style><h1 id=planted>planted</h1>"
TABLE = "| 1 | best | [x](http://evil) <!-- /leaderboard:small --> `code`"


@pytest.fixture
def hostile(results):
    """Results whose every text is an attack."""
    change(
        results / TASK / "clumsy" / "verification.json",
        name=SCRIPT + TURNED,
        url="javascript:alert(1)",
        command=STYLE,
        micebench=BREAKOUT,
        checks=[{"check": SCRIPT, "outcome": "passed", "detail": BREAKOUT + STYLE}],
    )
    change(results / TASK / "oracle" / "verification.json", name=TABLE, url='https://e.org/"onclick="alert(1)')
    rows = [
        {"name": SCRIPT, "source": STYLE, "url": "data:text/html,x", "note": BREAKOUT, "metrics": {"overall": {3: 1}}}
    ]
    (results / TASK / "reported.yaml").write_text(json.dumps({"rows": rows}))
    return results


def test_no_page_has_a_tag_of_theirs(hostile, tmp_path):
    build_site(read_results(hostile), tmp_path / "site")
    for path in (tmp_path / "site").rglob("*.html"):
        text = path.read_text()
        whole = parse(text)
        assert not whole.find(id="planted"), path.name
        assert len(whole.find("script")) == (path.name == "index.html")
        assert all("onerror" not in node.attributes and "onclick" not in node.attributes for node in whole.find())
        assert all(not image.attributes["src"].startswith("x") for image in whole.find("img"))
        assert "\u202e" not in text
        assert "\x1b" not in text
        for link in whole.find("a"):
            assert not link.attributes["href"].startswith(("javascript:", "data:"))
    index = parse((tmp_path / "site" / "index.html").read_text()).text
    assert SCRIPT in index, "shown as it was written"
    assert "evil\\u202ednuora\\x1b[31m" in index


def test_a_table_in_markdown_has_only_its_own_cells(hostile):
    (board,) = ranked(read_results(hostile))
    text = markdown(TASK, [board])
    lines = text.splitlines()
    assert len(lines) == 2 + 4
    columns = lines[0].count("|")
    assert all(line.replace("\\|", "").count("|") == columns for line in lines)
    assert "<" not in text
    assert "](" not in text.replace("\\]\\(", "")
    around = f"a\n<!-- leaderboard:{TASK} -->\nold\n<!-- /leaderboard:{TASK} -->\nb\n"
    once = written(around, TASK, text)
    assert written(once, TASK, text) == once


@pytest.mark.parametrize(
    ("address", "linked"),
    [
        ("https://example.org/a?b=c#d", True),
        ("http://example.org", True),
        ("javascript:alert(1)", False),
        ("//example.org", False),
        ("data:text/html,x", False),
        ("https://example.org/\u202e", False),
        ("https://example.org/a b", False),
        ("https://", False),
        ("", False),
        (None, False),
    ],
)
def test_only_addresses_of_the_web_are_linked(address, linked):
    assert bool(web_address(address)) == linked


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("slug", "../../x", "slug is"),
        ("task", "mice", "task is"),
        ("model", "other", "model is"),
        ("mark", "best", "mark"),
        ("bundle_sha256", "0", "bundle_sha256"),
        ("verdicts_recomputed", -1, "verdicts_recomputed"),
        ("detection_probability", "sure", "detection_probability"),
        ("format", 2, "format"),
        ("name", "", "name"),
    ],
)
def test_a_verification_of_another_form_is_refused(results, field, value, said):
    change(results / TASK / "clumsy" / "verification.json", **{field: value})
    with pytest.raises(MicebenchError, match=said) as caught:
        read_results(results)
    assert "clumsy" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_that_are_none_are_refused(results):
    path = results / TASK / "clumsy" / "summary.json"
    text = path.read_text()
    for bad in ("NaN", "Infinity", '"<b>"', "[1]"):
        summary = json.loads(text)
        summary["metrics"]["overall"]["3"]["value"] = "PLACE"
        path.write_text(json.dumps(summary).replace('"PLACE"', bad))
        with pytest.raises(MicebenchError, match=r"clumsy/summary\.json"):
            read_results(results)


def test_a_folder_is_named_like_a_file_of_the_site(results):
    (results / TASK / "Not A Slug").mkdir()
    with pytest.raises(MicebenchError, match="rename it"):
        read_results(results)


@pytest.mark.parametrize(
    "row",
    [
        "{name: a, source: b}",
        "{name: a, source: b, metrics: {overall: {3: 101}}}",
        "{name: a, source: b, metrics: {overall: {3: .nan}}}",
        "{name: a, source: b, metrics: {overall: {3: 1}}, rank: 1}",
        "{name: a, metrics: {overall: {3: 1}}}",
    ],
)
def test_reported_numbers_have_a_form(results, row):
    (results / TASK / "reported.yaml").write_text(f"rows:\n  - {row}\n")
    with pytest.raises(CardError, match=r"reported\.yaml"):
        read_results(results)
