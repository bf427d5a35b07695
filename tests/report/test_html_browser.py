"""The page in a real Chromium: quiet, inert, filterable, readable without JavaScript."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from micebench.report.html import write_report
from micebench.report.session_sampling import outcomes
from tests.browser import MARKS

pytestmark = MARKS


@pytest.fixture(scope="module")
def address(run) -> str:
    return write_report(run).as_uri()


class Watched:
    """An open page and everything it must not do."""

    def __init__(self, browser, address: str, **options) -> None:
        self.context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        self.page = self.context.new_page()
        self.noise: list[str] = []
        self.page.on("console", lambda message: self.noise.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.noise.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.noise.append("dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self._request(request.url, address))
        self.page.goto(address)

    def _request(self, url: str, address: str) -> None:
        if url != address and not url.startswith("data:"):
            self.noise.append(f"request: {url}")

    def shown(self) -> list[str]:
        """Ids of the sessions in sight, in the order of the page."""
        return self.page.eval_on_selector_all(
            ".session", "cards => cards.filter(c => c.offsetParent).map(c => c.querySelector('h3').textContent)"
        )


@pytest.fixture
def open_page(browser, address) -> Iterator:
    opened: list[Watched] = []

    def opener(**options) -> Watched:
        opened.append(Watched(browser, address, **options))
        return opened[-1]

    yield opener
    for watched in opened:
        watched.context.close()


def test_it_is_quiet_and_nothing_of_the_data_runs(open_page):
    watched = open_page()
    page = watched.page
    for summary in page.query_selector_all("details > summary"):
        summary.evaluate("node => node.parentNode.open = true")
    page.wait_for_timeout(200)
    assert watched.noise == []
    assert page.query_selector("#planted") is None
    assert page.evaluate("document.images.length") == page.evaluate(
        "Array.from(document.images).filter(image => image.naturalWidth > 0).length"
    )


def test_the_policy_refuses_a_planted_script(open_page):
    page = open_page().page
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
    assert page.evaluate("window.ran") is None


def test_filters_show_exactly_the_sessions_asked_for(open_page, run):
    watched = open_page()
    page = watched.page
    found = outcomes(run)
    assert len(watched.shown()) == 12
    page.select_option("#f-track", label="cm")
    assert watched.shown() == [key[0] for key, one in found.items() if one.track == "cm"]
    page.select_option("#f-outcome", label="all turns pass")
    assert watched.shown() == [k[0] for k, one in found.items() if (one.track, one.kind) == ("cm", "pass")]
    page.click("text=Reset")
    page.wait_for_timeout(100)
    assert len(watched.shown()) == 12
    page.select_option("#f-outcome", label="fails first at turn 1")
    assert watched.shown() == [key[0] for key, one in found.items() if one.kind == "fail-1"]
    page.select_option("#f-outcome", label="any verdict missing")
    assert watched.shown() == [key[0] for key, one in found.items() if one.gaps]
    page.click("text=Reset")
    page.wait_for_timeout(100)
    page.select_option("#f-type", label="background_change")
    kinds = {s.id: {turn.edit_type for turn in s.turns} for s in run.sessions()}
    assert watched.shown() == [name for name, types in kinds.items() if "background_change" in types]
    assert page.inner_text("#f-count") == f"{len(watched.shown())} of 12"


def test_search_finds_words_of_instructions_rules_and_ids(open_page):
    watched = open_page()
    page = watched.page
    page.fill("#f-text", "cu NUMBER 008")
    assert watched.shown() == ["cu-008"]
    page.fill("#f-text", "<script>alert")
    assert watched.shown() == ["plain-002"]
    page.fill("#f-text", "cm-005")
    assert watched.shown() == ["cm-005"]
    page.fill("#f-text", "no such words")
    assert watched.shown() == []
    assert page.is_visible("text=No session matches these filters.")
    assert watched.noise == []


def test_worst_first_orders_by_turns_followed(open_page, run):
    watched = open_page()
    as_run = watched.shown()
    watched.page.select_option("#f-sort", "rank")
    found = {key[0]: one for key, one in outcomes(run).items()}
    badness = [found[name].badness for name in watched.shown()]
    assert badness == sorted(badness)
    assert watched.shown() != as_run
    watched.page.select_option("#f-sort", "order")
    assert watched.shown() == as_run


def test_the_keyboard_reaches_search_filters_and_reasons(open_page):
    page = open_page().page
    page.focus("#f-text")
    page.keyboard.type("cm-004")
    seen = []
    while "SUMMARY" not in seen and len(seen) < 12:
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert seen[:4] == ["f-track", "f-type", "f-outcome", "f-sort"]
    assert seen[-1] == "SUMMARY"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.parentNode.open") is True
    assert page.inner_text("details[open] dl").startswith("judged as")


def test_without_javascript_everything_is_there(open_page):
    watched = open_page(java_script_enabled=False)
    page = watched.page
    assert page.locator(".session").count() == 12
    assert all(page.locator(".session").nth(n).is_visible() for n in range(12))
    assert not page.is_visible("#filters")
    assert page.is_visible("#table-overall")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def test_it_fits_the_window_and_contrasts(open_page, tmp_path: Path, width, scheme):
    watched = open_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = watched.page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.eval_on_selector_all(
        ".session *", "(nodes, limit) => nodes.filter(n => n.getBoundingClientRect().right > limit).length", width
    )
    assert wide == 0
    for selector in ("body", ".lead", ".chip.pass", ".chip.fail", ".num .ci", ".warning", ".chip.plain"):
        assert contrast(page, selector) >= 4.5, selector
    shot = tmp_path / f"report-{width}-{scheme}.png"
    page.screenshot(path=shot, full_page=True)
    assert shot.stat().st_size > 20_000


def contrast(page, selector: str) -> float:
    """WCAG 2 contrast of a node's text with what lies behind it."""
    ink, ground = page.eval_on_selector(
        selector,
        """node => {
            const ink = getComputedStyle(node).color;
            let ground = 'rgba(0, 0, 0, 0)';
            for (let n = node; n && ground === 'rgba(0, 0, 0, 0)'; n = n.parentElement)
                ground = getComputedStyle(n).backgroundColor;
            return [ink, ground].map(text => text.match(/[\\d.]+/g).slice(0, 3).map(Number));
        }""",
    )
    light, dark = sorted((luminance(ink), luminance(ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: list[float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
