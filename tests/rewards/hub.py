"""A Hugging Face hub on this machine, as far as downloads need one: it serves the files of one folder under one id."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Where it listens, and the path of every request so far."""

    def __init__(self, address: str, requests: list[str]) -> None:
        self.address = address
        self.requests = requests


@contextmanager
def serve(identifier: str, folder: Path) -> Iterator[Hub]:
    """The hub while it runs; every other id is answered with 404."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            requests.append(path)
            if path == f"/api/models/{identifier}/revision/main":
                self._send(json.dumps({"id": identifier, "sha": COMMIT, "siblings": []}).encode())
            elif path == f"/api/models/{identifier}/tree/{COMMIT}":
                files = [{"type": "file", "path": file.name, "size": file.stat().st_size, "oid": _mark(file)} for file in folder.iterdir()]
                self._send(json.dumps(files).encode())
            elif path.startswith(f"/{identifier}/resolve/"):
                file = folder / path.rpartition("/")[2]
                self._send(file.read_bytes(), {"ETag": f'"{_mark(file)}"', "X-Repo-Commit": COMMIT})
            else:
                self._send(b"{}", {"X-Error-Code": "RepoNotFound"}, status=404)

        def _send(self, content: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Hub(f"http://127.0.0.1:{server.server_port}", requests)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _mark(file: Path) -> str:
    return hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest()
