"""A real HTTP server on loopback that answers, or misbehaves, as a test says."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from micebench.judges.models.vlm_probe import QUESTION

Act = Callable[[BaseHTTPRequestHandler], None]


def said(*texts: str, end: str = "stop", **message: Any) -> dict[str, Any]:
    """A chat completion with one choice per text."""
    return {
        "choices": [
            {"index": number, "finish_reason": end, "message": {"role": "assistant", "content": text} | message}
            for number, text in enumerate(texts)
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2},
    }


def sends(status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None) -> Act:
    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)
        if length is not None:
            handler.close_connection = True

    return act


def completes(*texts: str, **more: Any) -> Act:
    return sends(200, json.dumps(said(*texts, **more)).encode())


def walk(turns: int, last: str = "yes") -> str:
    """A GA reply that goes through so many turns, of which all but the last comply."""
    lines = [f"<turn_{turn}>yes</turn_{turn}> ok" for turn in range(1, turns)]
    return "\n".join([*lines, f"<turn_{turns}>{last}</turn_{turns}> gone", f"<final>{last}</final>"])


def complies(body: dict[str, Any]) -> Act:
    """Every turn that GA is asked about complies."""
    return completes(walk(body["messages"][0]["content"][-1]["text"].count("Turn ") - 1))


def hangs(seconds: float) -> Act:
    def act(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        handler.close_connection = True

    return act


def dribbles(seconds: float) -> Act:
    """Sends a byte every few milliseconds and never ends."""

    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        end = time.monotonic() + seconds
        handler.close_connection = True
        try:
            while time.monotonic() < end:
                handler.wfile.write(b" ")
                time.sleep(0.01)
        except OSError:
            pass

    return act


def cuts(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.connection.close()


def _is_probe(body: dict[str, Any]) -> bool:
    return body.get("messages", [{}])[0].get("content", [{}])[-1].get("text") == QUESTION


class Vlm:
    """`decide` gets the number of the call (0, 1, ...) and its body, and says what happens.

    The question of the probe before editing is answered by `probed`, and kept apart, in `probes`.
    """

    def __init__(self, decide: Callable[[int, dict[str, Any]], Act], models: Act | None = None) -> None:
        self.decide = decide
        self.models = models or sends(200, b'{"data": [{"id": "tiny", "max_model_len": 8192}]}')
        self.probed = completes("yes", end="length")
        self.probes: list[dict[str, Any]] = []
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.url = ""
        self._lock = threading.Lock()

    @contextmanager
    def running(self) -> Iterator["Vlm"]:
        vlm = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                vlm.models(self)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if _is_probe(body):
                    vlm.probes.append(body)
                    return vlm.probed(self)
                with vlm._lock:
                    number = len(vlm.bodies)
                    vlm.bodies.append(body)
                    vlm.headers.append(dict(self.headers))
                    vlm.times.append(time.monotonic())
                return vlm.decide(number, body)(self)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: Any) -> None:
                pass

        server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}/v1"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
