"""The page of a comparison: every number, every flipped session, and nothing of a run as markup."""

import base64
import hashlib
import re

import pytest

from micebench.comparison.gate import GateOptions
from micebench.comparison.html import render, write_page
from micebench.comparison.lines import signed
from micebench.comparison.multi_run import compare_all, gate
from micebench.report.formatting import label, visible
from tests.report.page import Node, parse
from tests.report.runs import BREAKOUT, RTL, SCRIPT, STYLE


@pytest.fixture(scope="module")
def html(pair) -> str:
    return render(pair.base, [pair.new], [pair.comparison], pair.gate)


@pytest.fixture(scope="module")
def page(html) -> Node:
    return parse(html)


def shown(page: Node) -> list[str]:
    return [node.find("h3")[0].text for node in page.find("article")]


def test_every_number_stands_in_its_row(page, pair):
    (table,) = page.find("table", id="table-turns-0")
    bodies = {body.find("th")[0].text: body.find("tr") for body in table.find("tbody")}
    numbered = 0
    for name, turns in pair.comparison["metrics"].items():
        defined = [(turn, cell) for turn, cell in turns.items() if cell["difference"] is not None]
        for row, (turn, cell) in zip(bodies[label(name)], defined, strict=True):
            texts = [node.text.strip() for node in row.find("td")]
            assert texts[0] == turn
            assert signed(cell["difference"]) in texts[1]
            assert f"{signed(cell['low'])}, {signed(cell['high'])}" in texts[1]
            assert texts[2:4] == [f"{cell['a']:.1f}", f"{cell['b']:.1f}"]
            assert texts[-1] == (str(cell["n"]) if cell["n"] == cell["of"] else f"{cell['n']}/{cell['of']}")
            numbered += 1
    assert numbered >= 20
    tracks = [node.attributes["id"] for node in page.find("table") if "track" in node.attributes["id"]]
    assert len(tracks) == 3
    assert page.find("table", id="table-types-0")


def test_flipped_sessions_are_all_there_worst_first(page, pair):
    lost = pair.comparison["flipped"]["lost"]
    assert len(lost) >= 6
    assert shown(page) == [visible(name, 120) for name in lost]
    kinds = {node.attributes["data-kind"] for node in page.find("article")}
    assert kinds == {"lost-0"}


def test_each_turn_shows_both_images_and_both_reasons(page, pair):
    article = page.find("article")[0]
    images = [node.attributes["alt"] for node in article.find("img")]
    assert images[0] == "source image"
    assert images[1:] == [f"{who}, after turn {turn}" for turn in (1, 2, 3) for who in ("base", "new")]
    differing = page.find("li", klass="differs")
    assert differing
    for turn in differing:
        terms = [node.text for node in turn.find("dt")]
        assert "base: IF" in terms
        assert [term for term in terms if term.startswith("new: IF")]
        assert turn.find("details", klass="why")[0].attributes.get("open") is not None


def test_gained_sessions_are_gained(pair):
    (turned,) = compare_all(pair.new, [pair.base])
    page = parse(render(pair.new, [pair.base], [turned.to_json()]))
    assert {node.attributes["data-kind"] for node in page.find("article")} == {"gained-0"}
    assert shown(page) == [visible(name, 120) for name in turned.numbers["flipped"]["gained"]]


def test_the_decision_comes_first_with_its_reasons(page, pair):
    (item,) = page.find("ul", klass="decisions")[0].find("li")
    assert item.attributes["class"] == pair.gate.decision.outcome == "regressed"
    assert pair.gate.decision.reasons[0] in item.text
    assert "tolerance 1.0 points" in item.text


def test_hostile_strings_are_shown_and_make_no_elements(page, html):
    texts = {node.text for node in page.find("p", klass="instruction")}
    for text in (SCRIPT, BREAKOUT, STYLE):
        assert text in texts
    assert BREAKOUT in shown(page)
    assert BREAKOUT in {node.text for node in page.find("dd")}
    assert not page.find(id="planted")
    assert len(page.find("script")) == len(page.find("style")) == 1
    assert "<b id=planted>new" in page.find("h1")[0].text
    for node in page.find():
        assert not [name for name in node.attributes if name.startswith("on")], node
        for name in ("src", "href", "action", "srcset"):
            assert node.attributes.get(name, "#").startswith(("data:", "#")), node
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", html)
    assert visible(RTL) in html


def test_the_policy_allows_exactly_the_page_s_own_script(page):
    (policy,) = (node.attributes["content"] for node in page.find("meta") if "http-equiv" in node.attributes)
    digest = base64.b64encode(hashlib.sha256(page.find("script")[0].text.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")


def test_several_runs_have_a_glance_and_share_the_gallery(pair, third):
    found = [one.to_json() for one in compare_all(pair.base, [pair.new, third])]
    result = gate(pair.base, [pair.new, third], [GateOptions(), GateOptions(metric="turn_success@2")])
    page = parse(render(pair.base, [pair.new, third], found, result))
    rows = page.find("table", id="table-glance")[0].find("tbody")[0].find("tr")
    assert [row.find("th")[0].text for row in rows] == ["<b id=planted>new", "third"]
    assert len(page.find("ul", klass="decisions")[0].find("li")) == 4
    assert {node.attributes["data-kind"] for node in page.find("article")} == {"lost-0", "lost-1"}
    heads = [node.text for node in page.find("table", id="table-turns-1")[0].find("th", scope="col")]
    assert "Holm" in heads


def test_the_gallery_is_bounded_and_says_so(pair):
    page = parse(render(pair.base, [pair.new], [pair.comparison], limit=3))
    assert shown(page) == [visible(name, 120) for name in pair.comparison["flipped"]["lost"][:3]]
    total = len(pair.comparison["flipped"]["lost"])
    assert f"3 of {total} are shown" in page.find("section", id="sessions")[0].text
    assert len(parse(render(pair.base, [pair.new], [pair.comparison], budget=1)).find("article")) == 1


def test_nothing_flipped_and_nothing_to_compare_are_pages_too(pair, tmp_path):
    (same,) = compare_all(pair.base, [pair.base])
    assert "No session changed sides" in render(pair.base, [pair.base], [same.to_json()])
    missing = gate(pair.base, [tmp_path / "none"], [GateOptions()])
    page = parse(render(pair.base, [], [], missing))
    assert "is not a run" in page.find("ul", klass="decisions")[0].text


def test_equal_runs_give_equal_files(pair, html, tmp_path):
    write_page(tmp_path / "new" / "page.html", pair.base, [pair.new], [pair.comparison], pair.gate)
    assert (tmp_path / "new" / "page.html").read_text(encoding="utf-8") == html
