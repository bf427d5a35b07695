"""A server on loopback that writes bytes as a test wishes, HTTP or not."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Serve = Callable[[socket.socket], None]


@contextmanager
def serving_bytes(serve: Serve) -> Iterator[str]:
    """The URL. `serve` gets each connection in a thread of its own, with the request unread."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def one(connection: socket.socket) -> None:
        with connection, suppress(OSError):  # the client may have given up
            serve(connection)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def drips(text: bytes, *, first: bytes = b"", every_s: float = 0.02, seconds: float = 3.0) -> Serve:
    """Sends `first`, then `text` over and over, byte by byte."""

    def serve(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(first)
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            for place in range(len(text)):
                connection.sendall(text[place : place + 1])
                time.sleep(every_s)

    return serve


def floods(text: bytes, *, first: bytes = b"", seconds: float = 3.0) -> Serve:
    """Sends `first`, then `text` over and over, as fast as it is read."""

    def serve(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(first)
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            connection.sendall(text * 100)

    return serve


def silent(connection: socket.socket) -> None:
    """Reads nothing, sends nothing."""
    time.sleep(3.0)
