"""A stand-in for the hub's HTTP API on loopback: repositories, commits, downloads, and who may write."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class Hub:
    """What the stand-in knows and has been asked.

    Attributes:
        writers: tokens that may write.
        repos: (type, "owner/name") -> path -> content.
        settings: what each repository was made with.
        commits: summary, files added and files deleted of each commit, in order.
    """

    endpoint: str = ""
    writers: set[str] = field(default_factory=lambda: {"hf_writer"})
    repos: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    settings: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    commits: list[tuple[str, list[str], list[str]]] = field(default_factory=list)
    down: bool = False


@contextmanager
def serve() -> Iterator[Hub]:
    """A hub on a free port, until the end of the block."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if self.hub.down:
            return self._json(503, {"error": "down"})
        if path == "/api/validate-yaml":
            return self._json(200, {"errors": [], "warnings": []})
        if token not in self.hub.writers:
            return self._json(403 if token else 401, {"error": "You do not have write access"})
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        _, _, kind, owner, name, verb, *_ = path.split("/")
        files = self.hub.repos[kind.removesuffix("s"), f"{owner}/{name}"]
        if verb == "preupload":
            asked = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]
            ]
            return self._json(200, {"files": asked})
        assert verb == "commit", path
        address = f"{self.hub.endpoint}/{kind}/{owner}/{name}/commit/{'a' * 40}"
        return self._commit(address, files, [json.loads(line) for line in body.splitlines()])

    def do_GET(self) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        if self.hub.down:
            return self._json(503, {"error": "down"})
        if parts[0] == "api":
            kind, repo = parts[1].removesuffix("s"), "/".join(parts[2:4])
            files = self.hub.repos.get((kind, repo))
            if files is None:
                return self._json(404, {"error": "no"}, {"X-Error-Code": "RepoNotFound"})
            if "tree" in parts:
                return self._json(200, [
                    {"type": "file", "path": path, "size": len(data), "oid": sha1(data).hexdigest()}
                    for path, data in sorted(files.items())
                ])  # fmt: skip
            return self._json(200, {"id": repo, "sha": "b" * 40, "siblings": [{"rfilename": path} for path in files]})
        kind, repo, path = parts[0].removesuffix("s"), "/".join(parts[1:3]), "/".join(parts[5:])
        data = self.hub.repos.get((kind, repo), {}).get(path)
        if data is None:
            return self._json(404, {"error": "no such file"}, {"X-Error-Code": "EntryNotFound"})
        return self._send(200, data, {"X-Repo-Commit": "b" * 40, "ETag": f'"{sha1(data).hexdigest()}"'})

    do_HEAD = do_GET

    def _create(self, said: dict[str, Any]) -> None:
        repo = f"{said['organization']}/{said['name']}"
        key = said["type"], repo
        status = 409 if key in self.hub.repos else 200
        self.hub.repos.setdefault(key, {".gitattributes": b""})
        self.hub.settings.setdefault(key, said)
        self._json(status, {"url": f"{self.hub.endpoint}/{said['type']}s/{repo}", "name": repo})

    def _commit(self, address: str, files: dict[str, bytes], lines: list[dict[str, Any]]) -> None:
        added = {line["value"]["path"]: line["value"] for line in lines if line["key"] == "file"}
        deleted = [line["value"]["path"] for line in lines if line["key"] == "deletedFile"]
        for path, value in added.items():
            assert value["encoding"] == "base64"
            files[path] = base64.b64decode(value["content"])
        for path in deleted:
            del files[path]
        self.hub.commits.append((lines[0]["value"]["summary"], sorted(added), sorted(deleted)))
        self._json(200, {"commitUrl": address, "commitOid": "a" * 40, "success": True})

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json"} | (headers or {}))

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass
