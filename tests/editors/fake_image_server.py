"""A server on loopback that answers as told, and remembers what it was asked."""

import base64
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image


@dataclass
class Call:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def form(self) -> list[tuple[str, bytes]]:
        """(field, content) of a multipart body, in order."""
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        parts = BytesParser(policy=HTTP).parsebytes(head + self.body).iter_parts()
        return [
            (part.get_param("name", header="content-disposition"), part.get_payload(decode=True)) for part in parts
        ]

    def field(self, name: str) -> str:
        return dict(self.form)[name].decode()

    @property
    def image(self) -> Image.Image:
        """The first image of the form."""
        data = next(content for name, content in self.form if name.startswith("image"))
        return Image.open(io.BytesIO(data))


@dataclass
class Reply:
    """What to answer: after a while, cut off in the middle, or one byte every `drip_s`."""

    body: bytes | dict[str, Any] = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    after_s: float = 0.0
    cut: bool = False
    drip_s: float = 0.0


Behaviour = Callable[[Call], Reply]


class Server:
    """`calls` so far; `most_at_once` that were under way together."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.calls: list[Call] = []
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer._answer(self)

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        call = Call(handler.command, handler.path, headers, body)
        with self._lock:
            self.calls.append(call)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        reply = self.behave(call)
        time.sleep(reply.after_s)
        with self._lock:
            self._now -= 1
        data = json.dumps(reply.body).encode() if isinstance(reply.body, dict) else reply.body
        try:
            handler.send_response(reply.status)
            for name, value in reply.headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            for place in range(len(data) if reply.drip_s else 0):
                handler.wfile.write(data[place : place + 1])
                time.sleep(reply.drip_s)
            if not reply.drip_s:
                handler.wfile.write(data[: len(data) // 2] if reply.cut else data)
        except OSError:
            pass  # the client has given up
        if reply.cut:
            handler.close_connection = True


@contextmanager
def serving(behave: Behaviour) -> Iterator[Server]:
    """The server, until the end of the block."""
    server = Server(behave)
    thread = threading.Thread(target=server._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server._http.shutdown()
        server._http.server_close()


def in_turn(*replies: Reply) -> Behaviour:
    """These replies one after the other; the last one for ever."""
    waiting = list(replies)
    lock = threading.Lock()

    def behave(_: Call) -> Reply:
        with lock:
            return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    return behave


def as_bytes(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def b64(image: Image.Image, kind: str = "PNG") -> str:
    return base64.b64encode(as_bytes(image, kind)).decode()
