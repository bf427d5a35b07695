"""The page in a real Chromium: labels by keyboard, reload, resume; nothing leaks, nothing leaves the machine."""

import json
import shutil
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from micebench.annotation.human_labels import labels_of
from micebench.engine.run_reader import open_run
from micebench.store.label_journal import label_path
from tests.annotation.sitting import desk_for
from tests.annotation.test_views_blind import REASONS
from tests.browser import MARKS
from tests.report.test_html_browser import contrast

pytestmark = MARKS


@pytest.fixture(scope="module")
def connections() -> Iterator[list]:
    """Addresses that this process connects to, its servers included."""
    found: list = []
    connect = socket.socket.connect
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            socket.socket, "connect", lambda self, address: (found.append(address), connect(self, address))[1]
        )
        yield found


class Recorder:
    """Keeps everything an application sends, assets and images apart."""

    def __init__(self, app) -> None:
        self.app = app
        self.sent: list[bytes] = []

    async def __call__(self, scope, receive, send) -> None:
        async def keep(message) -> None:
            path = scope.get("path", "")
            if "/assets/" not in path and "/images/" not in path:
                self.sent.append(repr(message).encode() if "body" not in message else message["body"])
            await send(message)

        if "headers" in scope:  # uncompressed, so that it can be read
            scope["headers"] = [pair for pair in scope["headers"] if pair[0].lower() != b"accept-encoding"]
        await self.app(scope, receive, keep)


class Served:
    """A desk behind the page, in a thread."""

    def __init__(self, run, **options) -> None:
        import uvicorn

        from micebench.annotation.page import make_app

        self.run = run
        self.desk = desk_for(run, **options)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.socket.getsockname()[1]}/"
        self.recorder = Recorder(make_app(self.desk, None, "127.0.0.1"))
        self.server = uvicorn.Server(uvicorn.Config(self.recorder, log_level="error", timeout_graceful_shutdown=1))
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],), daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.02)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)
        self.socket.close()

    def said(self, reviewer: str) -> list[tuple]:
        """(status, value, note) of each line of a reviewer's file."""
        path = label_path(self.run.path, reviewer)
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [(line["status"], line["value"], line["reason"]) for line in lines if "status" in line]


@pytest.fixture(scope="module")
def served(finished, tmp_path_factory, connections) -> Iterator:
    pytest.importorskip("gradio", reason="the page is made with gradio: pip install 'micebench[review]'")
    started: dict[tuple, Served] = {}

    def serve(**options) -> Served:
        key = tuple(sorted(options.items()))
        if key not in started:
            path = tmp_path_factory.mktemp("served") / "run"
            shutil.copytree(finished.path, path)
            started[key] = Served(open_run(path), **options)
        return started[key]

    yield serve
    for one in started.values():
        one.stop()


class Window:
    """One reviewer's browser, and everything it must not do."""

    def __init__(self, browser, served: Served, reviewer: str, **options) -> None:
        self.context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        self.context.set_default_timeout(90_000)
        self.page = self.context.new_page()
        self.noise: list[str] = []
        self.sent, self.first = served.recorder.sent, len(served.recorder.sent)
        self.page.on("console", lambda message: self.noise.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.noise.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.noise.append("dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self._request(request.url, served.address))
        self.page.goto(served.address + (f"?reviewer={reviewer}" if reviewer else ""))
        self.page.wait_for_selector("#mb-stage .mb")

    def _request(self, url: str, address: str) -> None:
        if not url.startswith((address, "data:", "blob:")):
            self.noise.append(f"request: {url}")

    def view(self) -> str | None:
        return self.page.get_attribute("#mb-stage .mb", "data-view")

    def press(self, keys: str) -> None:
        """Keys, each after the page has answered the one before."""
        for key in keys:
            before = self.view()
            self.page.keyboard.press(key)
            self.wait(before)

    def wait(self, before: str | None) -> None:
        self.page.wait_for_function(
            "before => document.querySelector('#mb-stage .mb')?.dataset.view !== before", arg=before
        )

    def question(self) -> tuple[str, int]:
        """(session, turn) on the screen."""
        tags = self.page.locator(".mb-tag").all_inner_texts()
        return tags[0], int(tags[1].split()[1])

    def progress(self) -> str:
        return self.page.inner_text(".mb-progress output")

    def received(self) -> str:
        """What the server has sent since this window was opened."""
        self.page.wait_for_timeout(300)
        return b"".join(self.sent[self.first :]).decode(errors="replace")


@pytest.fixture
def sit_down(browser, served) -> Iterator:
    opened: list[Window] = []

    def opener(reviewer: str, *, window: dict | None = None, **options) -> tuple[Served, Window]:
        server = served(**options)
        opened.append(Window(browser, server, reviewer, **(window or {})))
        return server, opened[-1]

    yield opener
    for one in opened:
        one.context.close()


def test_three_labels_by_keyboard_then_reload_and_go_on(sit_down):
    server, window = sit_down("anna")
    asked = [(item.session, item.turn) for item in server.desk.queue.items]
    shown = []
    for key in "ynu":
        shown.append(window.question())
        window.press(key)
    assert [name[:20] for name, _ in shown] == [name[:20] for name, _ in asked[:3]]
    assert [turn for _, turn in shown] == [turn for _, turn in asked[:3]]
    assert server.said("anna") == [("ok", 1.0, ""), ("ok", 0.0, ""), ("refused", None, "")]
    assert window.progress() == f"3 of {len(asked)}"
    window.page.reload()
    window.page.wait_for_selector("#mb-stage .mb-question")
    assert window.progress() == f"3 of {len(asked)}"
    assert window.question()[1] == asked[3][1]
    window.press("b")  # to the one before
    assert "Your label: cannot tell" in window.page.inner_text(".mb-given")
    window.press("y")
    assert server.said("anna")[-1] == ("ok", 1.0, "")
    assert len(labels_of(server.run, "anna").final) == 3
    assert window.noise == []


def test_a_blind_page_receives_no_verdict_before_it_is_asked_for(sit_down, connections):
    server, window = sit_down("blind")
    window.press("yn")
    received = window.received()
    assert "Was the instruction of turn" in received
    for text in (received, window.page.content()):
        assert not any(word in text for word in (*REASONS, "exact:", "clumsy"))
    window.press("v")
    assert any(reason in window.received() for reason in REASONS)
    assert "exact:" in window.page.inner_text("#mb-last")
    assert labels_of(server.run, "blind").seen == {server.desk.queue.items[1]}
    assert {address[0] for address in connections if isinstance(address, tuple)} <= {"127.0.0.1", "::1", "localhost"}


def test_an_audit_shows_the_verdict(sit_down):
    server, window = sit_down("carl", blind=False)
    window.page.wait_for_selector(".mb-verdict")
    assert window.page.inner_text(".mb-verdict").startswith("exact: ")
    window.press("y")
    assert not any(label.blind for label in labels_of(server.run, "carl").final.values())


def test_one_key_pressed_twice_is_one_answer(sit_down):
    server, window = sit_down("dora")
    before = window.view()
    window.page.evaluate(
        """() => { for (const key of 'yyn')
            document.body.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true})); }"""
    )
    window.wait(before)
    window.page.wait_for_timeout(500)
    assert server.said("dora") == [("ok", 1.0, "")]


def test_two_reviewers_at_once(sit_down):
    server, first = sit_down("eve")
    _, second = sit_down("fred")
    for one, other in ("yn", "ny", "yn"):
        first.press(one)
        second.press(other)
    assert [value for _, value, _ in server.said("eve")] == [1.0, 0.0, 1.0]
    assert [value for _, value, _ in server.said("fred")] == [0.0, 1.0, 0.0]


def test_the_page_asks_for_a_name_and_keeps_it_in_its_address(sit_down):
    server, window = sit_down("")
    page = window.page
    page.wait_for_selector("#mb-name input, #mb-name textarea")
    field = page.locator("#mb-name input, #mb-name textarea")
    field.fill("../gina")
    page.keyboard.press("Enter")
    page.wait_for_selector("#mb-stage [role=alert]")
    assert "give a name" in page.inner_text("#mb-stage [role=alert]")
    field.fill("Gina")
    page.click("#mb-start")
    page.wait_for_selector("#mb-stage .mb-question")
    assert page.url == f"{server.address}?reviewer=gina"


def test_a_note_is_kept_with_the_label_and_its_letters_are_no_answers(sit_down):
    server, window = sit_down("hugo")
    window.page.keyboard.press("m")
    window.page.keyboard.type("yes, no: <b>but</b>")
    window.page.keyboard.press("Escape")
    assert server.said("hugo") == []
    window.press("nb")
    assert server.said("hugo") == [("ok", 0.0, "yes, no: <b>but</b>")]
    assert "yes, no: <b>but</b>" in window.page.inner_text(".mb-given")
    assert window.page.locator(".mb-given b").count() == 1


def test_the_keyboard_alone_reaches_every_button(sit_down):
    server, window = sit_down("ida")
    reached: list[str] = []
    for _ in range(30):
        window.page.keyboard.press("Tab")
        reached.append(window.page.evaluate("document.activeElement.id"))
        if reached[-1] == "mb-show":
            break
    wanted = ["mb-key-y", "mb-key-n", "mb-key-u", "mb-key-i", "mb-skip", "mb-back", "mb-show"]
    assert [name for name in reached if name in wanted] == wanted
    window.page.focus("#mb-key-n")
    before = window.view()
    window.page.keyboard.press("Enter")
    window.wait(before)
    assert [value for _, value, _ in server.said("ida")] == [0.0]


def test_holding_f_puts_the_image_before_in_the_place_of_the_one_after(sit_down):
    _, window = sit_down("jon")
    page = window.page
    before, after = (page.locator(f".mb-{part} img").evaluate("image => image.src") for part in ("before", "after"))
    page.keyboard.down("f")
    assert page.locator(".mb-after img").evaluate("image => image.src") == before
    page.keyboard.up("f")
    assert page.locator(".mb-after img").evaluate("image => image.src") == after


def test_grades_have_their_own_keys(sit_down):
    server, window = sit_down("kim", metrics=("CC.background", "IF"))
    assert window.page.is_visible("#mb-key-4")
    assert not window.page.is_visible("#mb-key-y")
    window.page.keyboard.press("y")  # no answer to this question
    window.press("4")
    assert window.page.is_visible("#mb-key-y")
    assert not window.page.is_visible("#mb-key-4")
    assert server.said("kim") == [("ok", 0.75, "")]


def test_nothing_of_the_data_runs_and_every_image_loads(sit_down):
    server, window = sit_down("lea", blind=False)
    for _ in server.desk.queue.items:
        window.page.wait_for_function("Array.from(document.images).every(one => one.complete && one.naturalWidth)")
        assert window.page.query_selector("#planted") is None
        window.press("y")
    assert "questions are answered" in window.page.inner_text("h1")
    assert not window.page.is_visible("#mb-key-y")
    assert window.noise == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def test_it_fits_the_window_and_contrasts(sit_down, tmp_path: Path, width, scheme):
    _, window = sit_down(
        f"m{width}{scheme}", window={"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    )
    page = window.page
    window.press("ynvb")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.eval_on_selector_all(
        ".mb *, #mb-bar *",
        "(nodes, limit) => nodes.filter(n => n.getBoundingClientRect().right > limit).length",
        width,
    )
    assert wide == 0
    for selector in (".mb h1", ".mb-hint", ".mb-asked p", ".mb-asked small", ".mb-tag", ".mb-step", ".mb-given",
                     ".mb-verdict", "#mb-key-y", "#mb-key-n", "#mb-key-u", "#mb-show", ".mb-last"):  # fmt: skip
        assert contrast(page, selector) >= 4.5, selector
    shot = tmp_path / f"review-{width}-{scheme}.png"
    page.screenshot(path=shot)
    assert shot.stat().st_size > 20_000


def status(url: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_only_the_runs_images_are_served_and_only_under_this_machines_name(served):
    server = served()
    source = server.run.edit_index().sessions.source(0)
    assert status(f"{server.address}images/{source}.png") == 200
    for name in ("0" * 64, "..%2F..%2Fmanifest", "manifest", f"..%2F{source[:2]}%2F{source}"):
        assert status(f"{server.address}images/{name}.png") == 404
    assert status(server.address, Host="evil.example") == 400
    assert status(f"{server.address}images/{source}.png", Host="evil.example") == 400
    for path in ("manifest.json", "summary.json"):
        assert status(f"{server.address}gradio_api/file={server.run.path / path}") in (403, 404)
