"""The site in a real Chromium: sorted, filtered and read by mouse, keyboard and without JavaScript."""

import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from micebench.leaderboard.results import read_results
from tests.browser import MARKS
from tests.leaderboard.conftest import TASK
from tests.leaderboard.many import write_many
from tests.report.test_html_browser import contrast

MANY = 500
BOARD = f"#board-{TASK}-exact"
pytestmark = MARKS


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(site, accepted, tmp_path_factory) -> Iterator[str]:
    """A server of two folders: ``site/`` as built, ``many/`` with 500 models."""
    home = tmp_path_factory.mktemp("served")
    shutil.copytree(site, home / "site")
    like = next(one for one in read_results(accepted).accepted if one.slug == "clumsy")
    write_many(like, MANY, home / "many")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(home)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


class Watched:
    """An open page, what it asked for, and everything it must not do."""

    def __init__(self, browser, address: str, **options) -> None:
        self.context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        self.page = self.context.new_page()
        self.noise: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.noise.append(message.text))
        self.page.on("pageerror", lambda error: self.noise.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)

    def names(self, table: str = BOARD) -> list[str]:
        """Models in sight, in the order of the table."""
        return self.page.eval_on_selector_all(
            f"{table} tbody tr", "rows => rows.filter(r => r.offsetParent).map(r => r.querySelector('th').innerText)"
        )

    def values(self, column: int) -> list[float]:
        """First numbers of a column's cells in sight."""
        return self.page.eval_on_selector_all(
            f"{BOARD} tbody tr",
            "(rows, c) => rows.filter(r => r.offsetParent).map(r => parseFloat(r.cells[c].innerText))",
            column,
        )

    def sort(self, title: str) -> None:
        self.page.click(f"{BOARD} th:has-text('{title}') button")


@pytest.fixture
def visit(browser, address) -> Iterator:
    opened: list[Watched] = []

    def opener(path: str = "site/index.html", **options) -> Watched:
        place = path if path.startswith("file:") else f"{address}/{path}"
        opened.append(Watched(browser, place, **options))
        return opened[-1]

    yield opener
    for watched in opened:
        watched.context.close()


def test_it_is_quiet_and_loads_only_its_own_two_files(visit, site):
    for path in ("site/index.html", "many/index.html", (site / "index.html").as_uri()):
        watched = visit(path)
        assert watched.noise == []
        assert [url.rsplit("/", 1)[1] for url in watched.asked] == ["index.html", "leaderboard.css", "leaderboard.js"]
        assert watched.page.evaluate("getComputedStyle(document.querySelector('.scroll')).overflowX") == "auto"


def test_pages_of_models_are_reached_and_need_no_script(visit):
    watched = visit()
    watched.page.click(f"{BOARD} a:has-text('Clumsy')")
    assert watched.page.inner_text("h1") == f"Clumsy on {TASK}"
    assert watched.page.evaluate(
        "Array.from(document.images).every(image => image.complete && image.naturalWidth > 0)"
    )
    assert watched.page.evaluate("document.scripts.length") == 0
    watched.page.click("text=All models on")
    assert watched.page.url.endswith(f"index.html#{TASK}")
    assert watched.noise == []


def test_the_policy_refuses_a_planted_script(visit):
    page = visit().page
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
    assert page.evaluate("window.ran") is None


def test_500_rows_are_sorted_by_any_column_and_back(visit):
    watched = visit("many/index.html")
    by_rank = watched.names()
    assert len(by_rank) == MANY
    assert watched.values(3) == sorted(watched.values(3), reverse=True)
    watched.sort("Turn-3 success")
    assert watched.values(4) == sorted(watched.values(4), reverse=True)
    assert watched.names() != by_rank
    watched.sort("Turn-3 success")
    assert watched.values(4) == sorted(watched.values(4))
    assert watched.page.get_attribute(f"{BOARD} th:has-text('Turn-3 success')", "aria-sort") == "ascending"
    watched.sort("Model")
    assert watched.names() == sorted(by_rank)
    assert watched.page.locator(f"{BOARD} [aria-sort]").count() == 1
    watched.sort("Rank")
    assert watched.names() == by_rank


def test_500_rows_are_filtered_by_words_and_mark(visit):
    watched = visit("many/index.html")
    page = watched.page
    assert page.inner_text("#f-count") == f"{MANY + 1} of {MANY + 1}"
    page.fill("#f-text", "editor 12")
    assert sorted(watched.names()) == ["Editor 012", *(f"Editor {n}" for n in (112, *range(120, 130), 212, 312, 412))]
    page.select_option("#f-mark", label="self-reported")
    assert sorted(watched.names()) == [
        "Editor 012",
        "Editor 120",
        "Editor 123",
        "Editor 126",
        "Editor 129",
        "Editor 312",
    ]
    page.select_option("#f-mark", label="reported by a paper")
    assert watched.names() == []
    assert page.is_visible("#nothing")
    page.fill("#f-text", "")
    assert watched.names(f"#reported-{TASK}") == ["Reported"]
    page.click("text=Reset")
    page.wait_for_timeout(100)
    assert len(watched.names()) == MANY
    assert watched.noise == []


def test_columns_under_two_rows_of_headings_sort_too(visit):
    page = visit().page
    headers = f"#reported-{TASK} thead tr:nth-child(2) th"
    assert page.locator(headers).count() == 3

    def column(place: int) -> list[str]:
        return page.eval_on_selector_all(
            f"#reported-{TASK} tbody tr", "(rows, c) => rows.map(r => r.cells[c].innerText)", place
        )

    page.click(f"{headers}:nth-child(3) button")
    assert column(3) == ["41.5", "12.0"]
    page.click(f"{headers}:nth-child(3) button")
    assert column(3) == ["12.0", "41.5"]
    page.click(f"{headers}:nth-child(1) button")
    assert column(1) == ["70.00", "–"], "what has no value comes last"
    page.click(f"{headers}:nth-child(1) button")
    assert column(1) == ["70.00", "–"]


def test_the_keyboard_sorts_and_filters(visit):
    watched = visit("many/index.html")
    page = watched.page
    page.focus("#f-text")
    page.keyboard.type("Editor 00")
    wanted = sorted(f"Editor {n:03d}" for n in (*range(10), 100, 200, 300, 400))
    assert sorted(watched.names()) == wanted
    page.focus(f"{BOARD} th:has-text('Model') button")
    page.keyboard.press("Enter")
    assert watched.names() == wanted
    page.keyboard.press("Space")
    assert watched.names() == wanted[::-1]
    assert page.evaluate("document.activeElement.tagName") == "BUTTON"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('th').innerText").startswith("Mark")


def test_without_javascript_everything_is_there_in_order_of_rank(visit):
    watched = visit("many/index.html", java_script_enabled=False)
    page = watched.page
    rows = page.locator(f"{BOARD} tbody tr")
    assert rows.count() == MANY
    assert rows.first.is_visible()
    assert rows.last.is_visible()
    assert not page.is_visible("#filters")
    assert page.locator("button").locator("visible=true").count() == 0
    shown = [float(text) for text in page.locator(f"{BOARD} tbody tr td:nth-child(4) .v").all_inner_texts()]
    assert shown == sorted(shown, reverse=True)
    assert watched.noise == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
@pytest.mark.parametrize("path", ["site/index.html", f"site/{TASK}/clumsy.html"])
def test_it_fits_the_window_and_contrasts(visit, tmp_path: Path, path, width, scheme):
    page = visit(path, viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce").page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    seen = (".mark.verified", ".lead", ".num .ci", ".num .v", "tbody th", "thead th", "footer p")
    also = (".mark.self", ".mark.paper", ".mark.second", ".sources li", ".sort", ".legend-list dd", ".board .rank")
    for selector in seen + (also if path.endswith("index.html") else (".detail", ".digest", ".chip.pass")):
        assert contrast(page, selector) >= 4.5, selector
    shot = tmp_path / f"{Path(path).stem}-{width}-{scheme}.png"
    page.screenshot(path=shot, full_page=True)
    assert shot.stat().st_size > 20_000
