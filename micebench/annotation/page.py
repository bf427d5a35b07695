"""The page on which people label: gradio's components around the views, served to this machine and nobody else."""

import os
from importlib import resources
from typing import TYPE_CHECKING, Any

from micebench.annotation.labeling_session import Desk, Seat
from micebench.annotation.views import Views
from micebench.errors import MicebenchError, needs_extra
from micebench.execution.images import decode_png
from micebench.judges.human import ANSWERS, reviewer_name
from micebench.utils.png import bare_rgb, encode_png

if TYPE_CHECKING:
    import gradio as gr
    from fastapi import FastAPI

_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
"""Whatever gradio's pages name on other hosts (previews of links, fonts), the browser does not fetch."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_VIEW = "(seat, view, note) => [seat, document.querySelector('#mb-stage [data-view]')?.dataset.view ?? '', note]"
_LOST = "The server was started anew: reload this page. Labels are safe; this answer was not saved."
_MOVES = (("skip", "Skip (s)"), ("back", "Back (b)"), ("show", "Show verdict (v)"))


def make_app(desk: Desk, reviewer: str | None, host: str) -> "FastAPI":
    """The web application: the page at ``/``, the run's images at ``/images/<sha256>.png``.

    Args:
        reviewer: who labels; None: the page asks, and keeps the name in its address.
        host: address it is served at; on a loopback address, requests under other names are refused.

    Raises:
        MicebenchError: gradio is not installed (with the remedy).
    """
    # Before the import: gradio and the hub's client report their use unless told otherwise.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import gradio
        from fastapi import FastAPI
        from gradio.themes import Base
        from starlette.middleware.trustedhost import TrustedHostMiddleware
    except ImportError as error:
        raise needs_extra("review", error) from error

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    _serve_images(app, desk)

    @app.middleware("http")
    async def guard(request: Any, following: Any) -> Any:
        response = await following(request)
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    if host in _LOOPBACK:  # a page elsewhere cannot reach this one by having its own name point here
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*_LOOPBACK, "[::1]"])
    return gradio.mount_gradio_app(
        app,
        _blocks(desk, reviewer),
        path="/",
        server_name=host,
        footer_links=[],
        run_history=False,  # would keep every label in the browser, too
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
        max_file_size=0,
        theme=Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"], radius_size="md"),
        head=f"<style>{_style()}</style><script>{_resource('review.js')}</script>",
    )


def _serve_images(app: "FastAPI", desk: Desk) -> None:
    from fastapi import Response

    def image(digest: str) -> Response:
        try:
            png = desk.run.blob(digest) if len(digest) == 64 and digest.isalnum() else None
            png = png and encode_png(bare_rgb(decode_png(png)))  # a profile in it would show other colours
        except (MicebenchError, OSError, ValueError, SyntaxError):
            png = None
        if png is None:
            return Response(status_code=404)
        return Response(png, media_type="image/png", headers={"Cache-Control": "private, max-age=86400, immutable"})

    app.get("/images/{digest}.png")(image)


def _blocks(desk: Desk, fixed: str | None) -> "gr.Blocks":
    """The page's components and what their events do."""
    import gradio as gr

    views = Views(desk)

    def shown(seat: Seat) -> tuple[Any, ...]:
        return (
            seat,
            gr.update(visible=False),
            gr.update(value=views.stage(seat)),
            gr.update(visible=True),
            gr.update(value=views.last(seat)),
            views.note(seat),
        )

    def ask_name(message: str = "") -> tuple[Any, ...]:
        hidden, asking = gr.update(visible=False), gr.update(visible=True)
        return None, asking, gr.update(value=views.welcome(message)), hidden, "", ""

    def as_it_was(seat: Seat | None, alert: str, note: str) -> tuple[Any, ...]:
        return seat, *[gr.skip()] * 3, gr.update(value=views.alert(alert)), note

    def sit_down(name: str) -> tuple[Any, ...]:
        try:
            return shown(desk.sit_down(reviewer_name(name)))
        except MicebenchError as error:
            return ask_name(str(error))

    def opened(request: gr.Request) -> tuple[Any, ...]:
        name = fixed or dict(request.query_params).get("reviewer", "")
        return sit_down(name) if name else ask_name()

    def doing(action: str) -> Any:
        def act(seat: Seat | None, view: str, note: str) -> tuple[Any, ...]:
            if seat is None:
                return as_it_was(None, _LOST, note)
            try:
                return shown(desk.act(seat, view, action, note))
            except MicebenchError as error:
                return as_it_was(seat, str(error), note)

        return act

    with gr.Blocks(title="micebench review", analytics_enabled=False, fill_width=True) as page:
        seat = gr.State(None)
        view = gr.Textbox(visible=False)
        stage = gr.HTML(elem_id="mb-stage", apply_default_css=False)
        with gr.Column(visible=False, elem_id="mb-who") as who:
            name = gr.Textbox(label="Your name as a reviewer", placeholder="anna", max_lines=1, elem_id="mb-name")
            start = gr.Button("Start", variant="primary", elem_id="mb-start")
        with gr.Column(visible=False, elem_id="mb-bar") as bar:
            with gr.Row(elem_id="mb-status"):
                last = gr.HTML(elem_id="mb-last", apply_default_css=False)
                note = gr.Textbox(
                    label="Note, kept with the label",
                    show_label=False,
                    container=False,
                    placeholder="note (m), kept with the label",
                    max_lines=1,
                    elem_id="mb-note",
                )
            with gr.Row(elem_id="mb-answers"):
                buttons = [
                    gr.Button(f"{answer.word} ({key})", elem_id=f"mb-key-{key}", elem_classes="mb-key", min_width=90)
                    for key, answer in ANSWERS.items()
                ]
                moves = [
                    gr.Button(words, elem_id=f"mb-{action}", elem_classes="mb-move", min_width=90)
                    for action, words in _MOVES
                ]
        outputs = [seat, who, stage, bar, last, note]
        quiet: dict[str, Any] = {"outputs": outputs, "show_progress": "hidden", "api_visibility": "private"}
        for key, button in zip((*ANSWERS, *(action for action, _ in _MOVES)), (*buttons, *moves), strict=True):
            button.click(doing(key), inputs=[seat, view, note], js=_VIEW, **quiet)
        for begin in (start.click, name.submit):
            begin(sit_down, inputs=[name], js="name => { micebenchReviewer(name); return name; }", **quiet)
        page.load(opened, **quiet)
    return page


def _style() -> str:
    """The report's palette, then the page's own rules: one look."""
    report = (resources.files("micebench.report") / "templates" / "report.css").read_text(encoding="utf-8")
    return report.partition("* {")[0] + _resource("review.css")


def _resource(name: str) -> str:
    return (resources.files("micebench.annotation") / "templates" / name).read_text(encoding="utf-8")


def serve(app: "FastAPI", host: str, port: int) -> None:
    """Serve until the process is told to stop; says nothing about single requests."""
    import uvicorn

    uvicorn.run(app, host=host, port=port, log_level="warning")
