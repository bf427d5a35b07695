"""The page of a comparison in a real Chromium: quiet, filterable, reachable by keyboard, fit for every window."""

from itertools import pairwise

import pytest

from micebench.comparison.gate import GateOptions
from micebench.comparison.html import write_page
from micebench.comparison.multi_run import compare_all, gate
from tests.browser import MARKS
from tests.report import test_html_browser as report

pytestmark = MARKS
open_page = report.open_page


@pytest.fixture(scope="module")
def address(pair, third, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "comparison.html"
    found = [one.to_json() for one in compare_all(pair.base, [pair.new, third])]
    write_page(path, pair.base, [pair.new, third], found, gate(pair.base, [pair.new, third], [GateOptions()]))
    return path.as_uri()


def test_it_is_quiet_and_nothing_of_the_data_runs(open_page):
    watched = open_page()
    page = watched.page
    for summary in page.query_selector_all("details > summary"):
        summary.evaluate("node => node.parentNode.open = true")
    page.wait_for_timeout(200)
    assert watched.noise == []
    assert page.query_selector("#planted") is None
    assert page.evaluate("Array.from(document.images).every(image => image.naturalWidth > 0)")


def test_filters_and_search_show_what_was_asked_for(open_page, pair, third):
    watched = open_page()
    page = watched.page
    everything = watched.shown()
    lost = pair.comparison["flipped"]["lost"]
    assert len(everything) > len(lost)
    page.select_option("#f-outcome", label="third: lost")
    assert sorted(watched.shown()) == ["cm-004", "plain-000"]
    page.click("text=Reset")
    page.wait_for_timeout(100)
    page.fill("#f-text", "still blue cm-005")
    assert watched.shown() == ["cm-005"]
    page.fill("#f-text", "")
    page.select_option("#f-track", label="cu")
    assert set(watched.shown()) == {name for name in everything if name.startswith("cu-")}
    page.select_option("#f-track", label="all")
    page.select_option("#f-sort", "rank")
    assert watched.shown() != everything
    assert sorted(watched.shown()) == sorted(everything)
    assert page.inner_text("#f-count") == f"{len(everything)} of {len(everything)}"


def test_the_keyboard_reaches_runs_tables_and_sessions(open_page):
    page = open_page().page
    seen = []
    for _ in range(14):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "document.activeElement.id || document.activeElement.className || document.activeElement.tagName"
            )
        )
    assert seen[0] == "skip"
    assert "scroll" in seen
    assert "SUMMARY" in seen
    page.keyboard.press("Enter")
    page.focus("a[href='#run-2']")
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#run-2"


def test_headings_names_and_landmarks_are_in_order(open_page):
    page = open_page().page
    levels = page.eval_on_selector_all("h1, h2, h3", "nodes => nodes.map(node => Number(node.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(deeper - level <= 1 for level, deeper in pairwise(levels))
    assert page.eval_on_selector_all("img", "nodes => nodes.filter(node => !node.alt).length") == 0
    assert page.eval_on_selector_all("input, select", "nodes => nodes.filter(n => !n.labels.length).length") == 0
    identifiers = page.eval_on_selector_all("[id]", "nodes => nodes.map(node => node.id)")
    assert len(identifiers) == len(set(identifiers))
    assert page.eval_on_selector_all(".scroll", "nodes => nodes.filter(n => !n.ariaLabel || n.tabIndex).length") == 0


def test_without_javascript_everything_is_there(open_page):
    page = open_page(java_script_enabled=False).page
    assert page.locator(".session").count() > 6
    assert all(page.locator(".session").nth(place).is_visible() for place in range(6))
    assert not page.is_visible("#filters")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def test_it_fits_the_window_and_contrasts(open_page, width, scheme):
    page = open_page(viewport={"width": width, "height": 900}, color_scheme=scheme).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    beyond = "(nodes, limit) => nodes.filter(n => n.getBoundingClientRect().right > limit).length"
    assert page.eval_on_selector_all(".session *, .decisions *, .facts *", beyond, width) == 0
    for selector in (
        ".lead",
        ".decisions li",
        ".decisions .more",
        ".worse .v",
        ".num .ci",
        ".way.lost",
        ".who",
        "a[href]",
    ):
        assert report.contrast(page, selector) >= 4.5, selector
