"""A web server on this machine that answers as Zenodo and Git LFS do, and misbehaves on request."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Site:
    """What the server has, and what it was asked.

    Attributes:
        files: contents by path.
        answers: JSON by path, for GET and POST.
        cut_after: for a path, after how many bytes each of the next connections is broken.
        failures: for a path, the status codes of the next answers.
        ranges: whether the server can go on in the middle.
        asked: (method, path, Range header) of each request.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.answers: dict[str, Any] = {}
        self.cut_after: dict[str, list[int]] = {}
        self.failures: dict[str, list[int]] = {}
        self.ranges = True
        self.asked: list[tuple[str, str, str | None]] = []
        self.posted: list[Any] = []
        self.url = ""


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serves on 127.0.0.1 at a free port, told by ``site.url``."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_POST(self) -> None:
            site.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.do_GET()

        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            site.asked.append((self.command, self.path, asked))
            if site.failures.get(self.path):
                self.send_error(site.failures[self.path].pop(0))
            elif self.path in site.answers:
                answer = site.answers[self.path]
                content = answer(site.posted[-1]) if callable(answer) else answer
                self.send(200, json.dumps(content).encode())
            elif self.path in site.files:
                content = site.files[self.path]
                match = re.fullmatch(r"bytes=(\d+)-", asked or "") if site.ranges else None
                start = int(match[1]) if match else 0
                if match and start >= len(content):
                    self.send_error(416)
                    return
                extra = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if match else {}
                self.send(206 if match else 200, content[start:], extra)
            else:
                self.send_error(404)

        def send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.end_headers()
            cuts = site.cut_after.get(self.path)
            if cuts:
                self.wfile.write(content[: cuts.pop(0)])
                self.wfile.flush()
                self.connection.close()
                return
            self.wfile.write(content)

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # connections are broken on purpose

    server = Quiet(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
